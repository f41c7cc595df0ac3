// One of several rivals for the same dead claims: all go for each file at the same moment; writes down which it got.
import { parentPort, workerData } from 'node:worker_threads';
import { thisProcess, tryClaim } from '../../src/base/claim.js';

const { files, gate, rivals } = workerData as { files: string[]; gate: Int32Array; rivals: number };
const mine = thisProcess();
const won: number[] = [];
for (const [round, file] of files.entries()) {
  // Everybody waits until all stand here.
  if (Atomics.add(gate, 0, 1) + 1 === rivals * (round + 1)) {
    Atomics.store(gate, 1, round + 1);
    Atomics.notify(gate, 1);
  }
  while (Atomics.load(gate, 1) <= round) Atomics.wait(gate, 1, round, 10);
  if (!tryClaim(file, mine)) won.push(round);
}
parentPort!.postMessage(won);
