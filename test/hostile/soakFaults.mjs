// Loaded into a run's process before anything else: a slow disk, or a clock that jumps. VOXELBOOK_SOAK_FAULT says which.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const fault = process.env.VOXELBOOK_SOAK_FAULT;
if (fault === 'slow disk') {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const late =
    (work) =>
    (...args) => {
      Atomics.wait(cell, 0, 0, Math.random() * 40);
      return work(...args);
    };
  for (const name of ['openSync', 'writeSync', 'readSync', 'fsyncSync', 'renameSync']) fs[name] = late(fs[name]);
  syncBuiltinESMExports();
}
if (fault === 'clock jumps') {
  const Real = Date;
  const hour = 3_600_000;
  let offset = 0;
  setInterval(() => {
    offset = (Math.random() - 0.5) * 48 * hour;
  }, 150).unref();
  globalThis.Date = class extends Real {
    constructor(...args) {
      super(...(args.length > 0 ? args : [Real.now() + offset]));
    }
    static now() {
      return Real.now() + offset;
    }
  };
}
