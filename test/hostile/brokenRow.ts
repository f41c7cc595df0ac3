// A row whose inputs do everything that a row may not: the runner must count each.
import fs from 'node:fs';
import { VoxelbookError } from '../../src/base/errors.js';
import { Lost, must, type Row } from './row.js';

const fault = { code: 'x', path: 'a', given: 'b', expected: 'c', fix: 'Do d.' };
const hoard: Buffer[] = [];
const doings: (() => never | 'equal' | 'sound')[] = [
  () => 'equal',
  () => 'sound',
  () => {
    throw new VoxelbookError('no', fault);
  },
  () => {
    throw new TypeError('raw');
  },
  () => must(false, 'other values') ?? 'equal',
  () => {
    throw new Lost('the old file');
  },
  () => process.abort(),
  () => {
    for (;;);
  },
  () => {
    for (let i = 0; i < 60; i++) hoard.push(Buffer.alloc(2 ** 20, 1));
    return 'equal';
  },
  () => process.exit(0),
  () => {
    throw new VoxelbookError('no fix', { ...fault, fix: '' });
  },
  () => 'equal',
];

export const rows: Row[] = [
  {
    id: 'broken',
    what: 'every fault once',
    inputs: () => doings.length,
    seconds: 20,
    memoryMiB: 40,
    begin({ scratch }) {
      fs.writeFileSync(`${scratch}/mine`, '');
      return (i) => doings[i]();
    },
  },
];
