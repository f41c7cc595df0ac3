// Native kernels: calls that do not fit, in processes of their own.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { must, type Row } from '../row.js';

const calls = 1000;
const operators: Row = {
  id: 'N1 calls',
  what: `native operators with shapes and settings that mostly do not fit; ${calls.toLocaleString('en')} calls an input`,
  inputs: (n) => Math.ceil(n / 50),
  seconds: 300,
  begin({ seed }) {
    const script = fileURLToPath(new URL('../../tensor/native/mutations.ts', import.meta.url));
    return (i) => {
      const args = ['--import', 'tsx', script, String(1000 * seed + i), String(calls)];
      const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
      if (status !== 0)
        throw new Error(`ended with ${signal ?? status} at ${stderr.split('\n').findLast((line) => line.startsWith('{'))}`);
      const [returned, refused] = stdout.trim().split(' ').map(Number);
      must(returned + refused === calls, `${returned} returned, ${refused} refused`);
      return 'sound';
    };
  },
};

export const rows: Row[] = [operators];
