// One folder's tests in a mocha process of its own. It always comes back: when mocha has ended, also when it does not end
// after its count or falls silent; and nothing that was started by the tests is left running.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { stripVTControlCharacters } from 'node:util';
import { root } from './steps.mjs';

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Runs these files or patterns with mocha and passes its output on.
 * @param group what mocha runs
 * @param graceMs how long the process may stay after its count
 * @param silenceMs how long it may print nothing; longer than the longest limit of one test
 * @returns `count` (passed, failed, skipped; undefined without one), `failures`, what mocha said of the failed tests after
 * its count, and `fault`, what was wrong with how it ended
 */
export async function testFolder(group, { graceMs = 30_000, silenceMs = 2_400_000, output = process.stdout } = {}) {
  const mark = `VOXELBOOK_TEST_FOLDER=${randomUUID()}`;
  const [name, value] = mark.split('=');
  const child = spawn(process.execPath, ['node_modules/mocha/bin/mocha.js', '--reporter', 'test/reporter.cjs', ...group], {
    cwd: root,
    detached: true, // a process group of its own, which can be ended as a whole
    env: { ...process.env, [name]: value },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const stop = (signal) => {
    endAll(child.pid, mark);
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.once(signal, stop);

  let text = '';
  let heard = Date.now();
  let counted;
  child.stdout.on('data', (data) => {
    text = (text + data).slice(-100_000);
    heard = Date.now();
    if (/^counted \d+ \d+ \d+$/m.test(text)) counted ??= Date.now();
    output.write(data);
  });
  let how;
  const exited = new Promise((resolve) =>
    child.once('exit', (code, signal) => {
      how = signal ?? `exit code ${code}`;
      resolve();
    }),
  );
  const closed = new Promise((resolve) => child.once('close', resolve));
  let fault;
  while (how === undefined && !fault) {
    await Promise.race([exited, wait(250)]);
    if (how !== undefined) break;
    if (counted && Date.now() - counted > graceMs) fault = 'the runner did not end after its count and was ended';
    else if (!counted && Date.now() - heard > silenceMs)
      fault = `the runner printed nothing for ${Math.round(silenceMs / 60_000)} minutes and was ended`;
  }
  endAll(child.pid, mark);
  await exited;
  // What left the group and the mark may still hold the pipe; it keeps nobody.
  await Promise.race([closed, wait(2000)]);
  child.stdout.destroy();
  for (const signal of signals) process.off(signal, stop);
  const count = /^counted (\d+) (\d+) (\d+)$/m.exec(text)?.slice(1).map(Number);
  if (!count) fault ??= `the runner ended without a count (${how})`;
  const failures = /^ +\d+ failing$[\s\S]*?(?=^counted )/m.exec(stripVTControlCharacters(text))?.[0].trimEnd();
  return { count, failures, fault };
}

/** Ends the process group and, where /proc tells, every process that inherited the mark and left the group. */
function endAll(group, mark) {
  const end = (pid) => {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Gone already.
    }
  };
  end(-group);
  if (!fs.existsSync('/proc/self/environ')) return;
  for (const pid of fs.readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      if (fs.readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(mark)) end(Number(pid));
    } catch {
      // Gone, or another user's.
    }
  }
}
