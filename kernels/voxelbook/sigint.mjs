// Hears SIGINT while the main thread computes: Node's own listeners wait for that thread, a script that may be broken off
// by the signal does not. It sleeps on a thread of its own and wakes for nothing else.
import vm from 'node:vm';
import { workerData } from 'node:worker_threads';

const sleep = new vm.Script('(cell) => Atomics.wait(cell, 0, 0)').runInThisContext();
globalThis.__sleep = () => sleep(new Int32Array(new SharedArrayBuffer(4)));
const asleep = new vm.Script('__sleep()');
for (;;) {
  try {
    asleep.runInThisContext({ breakOnSigint: true });
  } catch {
    workerData.wire.postMessage({ kind: 'interrupt' });
  }
}
