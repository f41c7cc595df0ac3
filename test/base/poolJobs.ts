// A worker for pool.test: does what its job says, good or bad.
import fs from 'node:fs';
import { VoxelbookError } from '../../src/base/errors.js';
import { answerJobs } from '../../src/base/poolWorker.js';

answerJobs<{ id: string; act: string }>(async ({ id, act }, stage) => {
  stage('act');
  if (act === 'throw') throw new Error('broken');
  if (act === 'reject') await Promise.reject(new Error('rejected'));
  if (act === 'fault') throw new VoxelbookError('bad', { code: 'x', path: 'file', given: 'a', expected: 'b', fix: 'Do c.' });
  if (act === 'exit') process.exit(0);
  if (act === 'unhandled')
    setTimeout(() => {
      throw new Error('late');
    }, 0);
  if (act === 'memory') {
    const hoard: number[][] = [];
    for (;;) hoard.push(new Array(1e6).fill(Math.random()));
  }
  if (act === 'loop') for (;;);
  // Hangs the first time only: what it left behind tells the second that it is the second.
  if (act.startsWith('once ') && !fs.existsSync(act.slice(5))) {
    fs.writeFileSync(act.slice(5), '');
    for (;;);
  }
  if (act === 'slow')
    for (let i = 0; i < 8; i++) {
      stage(`step ${i}`);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  if (act === 'unhandled') await new Promise(() => {});
  return `${id} done`;
});
