import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { VoxelbookError } from '../../src/base/errors.js';
import { Random } from '../../src/base/random.js';
import { nodeArguments } from '../../src/base/workers.js';
import { initialise } from '../../src/model/network.js';
import { tf } from '../../src/tensor/tf.js';
import { type Checkpoint, CheckpointFolder, readCheckpoint, startPosition, writeCheckpoint } from '../../src/train/checkpoint.js';
import { readWeights, toParams } from '../../src/weights/index.js';
import { tinyNetwork } from './tiny.js';

const network = tinyNetwork(1, 3, 64);
const temporary = () => fs.mkdtempSync(path.join(os.tmpdir(), 'checkpoint-'));
const made = (step: number): Checkpoint => {
  const params = initialise(network, new Random(step));
  const slots = {
    'm.first.weight': tf.fill(params['first.weight'].shape, step),
    'v.first.weight': params['first.weight'].clone(),
  };
  return {
    params,
    optimiser: { step, steps: { 'first.weight': Math.max(1, step - 4) }, slots },
    position: { ...startPosition(3), step, done: step, seconds: 0.1 + 0.2 },
  };
};
const values = (x: tf.Tensor) => [...x.dataSync()];
const drop = ({ params, optimiser }: Checkpoint) => tf.dispose([params, optimiser.slots]);

describe('train checkpoint', () => {
  it('gives back every bit of parameters, slots and position', () => {
    const folder = temporary();
    const before = made(7);
    const checkpoints = new CheckpointFolder(folder, 'a', network);
    checkpoints.save(before);
    const after = checkpoints.load()!;
    assert.deepEqual(after.position, before.position);
    assert.deepEqual([after.optimiser.step, after.optimiser.steps], [7, { 'first.weight': 3 }]);
    for (const name of Object.keys(before.params))
      assert.deepEqual(values(after.params[name]), values(before.params[name]), name);
    for (const slot of Object.keys(before.optimiser.slots))
      assert.deepEqual(values(after.optimiser.slots[slot]), values(before.optimiser.slots[slot]), slot);
    drop(before);
    drop(after);
  });

  it('is a weights file any safetensors reader takes, under the official names', () => {
    const folder = temporary();
    const before = made(1);
    const file = new CheckpointFolder(folder, 'a', network).saveParams('final', before);
    const params = toParams(network, readWeights(file).tensors);
    assert.deepEqual(values(params['last.weight']), values(before.params['last.weight']));
    drop(before);
    tf.dispose(params);
  });

  it('a damaged or missing newest checkpoint falls back to the one before, and says so', () => {
    for (const harm of ['cut', 'flip', 'remove']) {
      const folder = temporary();
      const checkpoint = made(1);
      const checkpoints = new CheckpointFolder(folder, 'a', network);
      for (const done of [1, 2, 3]) checkpoints.save({ ...checkpoint, position: { ...checkpoint.position, done } });
      const newest = checkpoints.file('at-000000003');
      const bytes = fs.readFileSync(newest);
      bytes[bytes.length - 1] ^= 1;
      if (harm === 'remove') fs.rmSync(newest);
      else fs.writeFileSync(newest, harm === 'cut' ? bytes.subarray(0, 500) : bytes);
      const notices: string[] = [];
      const found = checkpoints.load((text) => notices.push(text))!;
      assert.equal(found.position.done, 2);
      assert.equal(notices.length, 1);
      assert.ok(notices[0].includes(newest) && notices[0].includes('at-000000002'), notices[0]);
      // The run goes on from there; what was damaged keeps its bytes and is not met again.
      assert.equal(checkpoints.newest(), 'at-000000002');
      assert.equal(fs.existsSync(`${newest}.damaged`), harm !== 'remove');
      drop(found);
      drop(checkpoint);
    }
  });

  it('where none can be read, or one is foreign, there is an error that names it, never a new beginning', () => {
    const folder = temporary();
    const checkpoint = made(1);
    const checkpoints = new CheckpointFolder(folder, 'a', network);
    assert.equal(checkpoints.load(), undefined);
    const first = checkpoints.save(checkpoint);
    const second = checkpoints.save({ ...checkpoint, position: { ...checkpoint.position, done: 2 } });
    assert.throws(() => new CheckpointFolder(folder, 'b', network).load(), /belongs|run a; expected run b/);
    for (const file of [first, second]) fs.truncateSync(file, 1000);
    assert.throws(
      () => checkpoints.load(),
      (e: VoxelbookError) => e.code === 'checkpoint-damaged' && e.message.includes(second),
    );
    for (const file of [first, second]) fs.rmSync(file);
    assert.throws(
      () => checkpoints.load(),
      (e: VoxelbookError) => e.code === 'checkpoint-missing' && e.message.includes(second),
    );
    fs.writeFileSync(path.join(folder, 'checkpoints.json'), '{"checkpo');
    assert.throws(
      () => checkpoints.load(),
      (e: VoxelbookError) => e.code === 'checkpoint-index-damaged',
    );
    drop(checkpoint);
  });

  it('any of 1000 flipped bits is found', () => {
    const folder = temporary();
    const small = tinyNetwork(1, 2, 2);
    const params = initialise(small, new Random(1));
    const file = path.join(folder, 'x.safetensors');
    writeCheckpoint(file, 'a', small, { params, optimiser: { step: 1, steps: {}, slots: {} }, position: startPosition(1) });
    const good = fs.readFileSync(file);
    const random = new Random('bits');
    let found = 0;
    let harmless = 0;
    for (let i = 0; i < 1000; i++) {
      const bad = Buffer.from(good);
      bad[random.int(0, bad.length)] ^= 1 << random.int(0, 8);
      fs.writeFileSync(file, bad);
      try {
        const read = readCheckpoint(file, 'a', small);
        // A flip that reads must have changed nothing: white space that pads the header.
        for (const name of Object.keys(params)) assert.deepEqual(values(read.params[name]), values(params[name]));
        drop(read);
        harmless++;
      } catch (error) {
        assert.match((error as VoxelbookError).code, /^checkpoint-/);
        found++;
      }
    }
    assert.equal(found + harmless, 1000);
    assert.ok(harmless < 20, `${harmless} flips were read`);
    tf.dispose(params);
  });

  it('killed 100 times at random moments while saving, always loads the newest complete checkpoint', async function () {
    this.timeout(process.env.VOXELBOOK_LONG_TESTS ? 1_800_000 : 400_000);
    const folder = temporary();
    const random = new Random('kills');
    let last = 0;
    let leftovers = 0;
    for (let kill = 0; kill < 100; ) {
      const child = spawn(process.execPath, [...nodeArguments(new URL('./saver.js', import.meta.url)), folder], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      await new Promise((resolve) => child.stdout!.once('data', resolve));
      // Starting costs seconds, saving milliseconds: a process is frozen at 19 moments, where its files are what a kill would
      // leave, and killed at the 20th. VOXELBOOK_LONG_TESTS=1 kills every time.
      const moments = process.env.VOXELBOOK_LONG_TESTS ? 1 : 20;
      for (let i = 0; i < moments && kill < 100; i++, kill++) {
        await new Promise((resolve) => child.stdout!.once('data', resolve));
        await new Promise((resolve) => setTimeout(resolve, random.uniform(0, 20)));
        const end = i === moments - 1 || kill === 99;
        child.kill(end ? 'SIGKILL' : 'SIGSTOP');
        if (end) await new Promise((resolve) => child.once('exit', resolve));
        // A copy of the folder as the disk has it at this moment is what a killed process would leave.
        const copy = temporary();
        fs.cpSync(folder, copy, { recursive: true });
        leftovers += fs.readdirSync(path.join(copy, 'checkpoints')).filter((f) => f.endsWith('.tmp')).length;
        const found = new CheckpointFolder(copy, 'saved', network).load();
        if (found) {
          const bias = values(found.params['first.bias']);
          assert.ok(
            bias.every((v) => v === found.position.step),
            'a mixture of two checkpoints',
          );
          assert.equal(found.optimiser.step, found.position.step);
          assert.ok(found.position.step >= last, 'an older checkpoint than before');
          last = found.position.step;
          drop(found);
        }
        assert.deepEqual(
          fs.readdirSync(path.join(copy, 'checkpoints')).filter((f) => f.endsWith('.tmp')),
          [],
        );
        fs.rmSync(copy, { recursive: true });
        if (!end) child.kill('SIGCONT');
      }
    }
    assert.ok(last > 50, `only ${last} saves`);
    assert.ok(leftovers > 0, 'no kill fell into a save');
  });

  describe('on a full disk', () => {
    const mount = path.join(os.tmpdir(), `full-${process.pid}`);
    let mounted = false;

    before(() => {
      fs.mkdirSync(mount, { recursive: true });
      mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount]).status === 0;
    });
    after(() => {
      if (mounted) spawnSync('umount', [mount]);
      fs.rmSync(mount, { recursive: true, force: true });
    });

    it('at 50 positions: the checkpoint that stood there loads, the error says bytes needed and free', function () {
      if (!mounted) {
        console.log('      skipped: mounting a tmpfs is not allowed here');
        this.skip();
      }
      const checkpoint = made(1);
      const folder = path.join(mount, 'run');
      const checkpoints = new CheckpointFolder(folder, 'a', network);
      checkpoints.save(checkpoint);
      const size = fs.statSync(checkpoints.file('at-000000001')).size;
      const block = fs.statfsSync(mount).bsize;
      const filler = path.join(mount, 'filler');
      let refused = 0;
      for (let i = 0; i < 50; i++) {
        const free = fs.statfsSync(mount).bavail * block;
        // From no byte at all to just too few for the file.
        const leave = Math.floor((i / 50) * Math.floor(size / block)) * block;
        fs.writeFileSync(filler, Buffer.alloc(Math.max(0, free - leave)));
        const next = { ...checkpoint, position: { ...checkpoint.position, step: i + 2, done: i + 2 } };
        assert.throws(
          () => checkpoints.save(next),
          (error: VoxelbookError) => {
            assert.equal(error.code, 'disk-full');
            assert.match(error.message, /\d+ bytes free; expected at least \d+ bytes/);
            refused++;
            return true;
          },
        );
        const found = checkpoints.load()!;
        assert.equal(found.position.done, 1);
        drop(found);
        fs.rmSync(filler);
      }
      assert.equal(refused, 50);
      drop(checkpoint);
    });

    it('a folder removed while running, or read-only, is an error that says so', () => {
      const folder = temporary();
      const checkpoint = made(1);
      const checkpoints = new CheckpointFolder(folder, 'a', network);
      fs.rmSync(folder, { recursive: true });
      assert.throws(() => checkpoints.save(checkpoint), /ENOENT.*expected an existing folder/);
      if (mounted) {
        const readOnly = path.join(mount, 'locked');
        const there = new CheckpointFolder(readOnly, 'a', network);
        there.save(checkpoint);
        spawnSync('mount', ['-o', 'remount,ro', mount]);
        try {
          const next = { ...checkpoint, position: { ...checkpoint.position, done: 2 } };
          assert.throws(() => there.save(next), /EROFS.*expected a writable file system/);
          drop(readCheckpoint(there.file('at-000000001'), 'a', network));
        } finally {
          spawnSync('mount', ['-o', 'remount,rw', mount]);
        }
      }
      drop(checkpoint);
    });
  });
});
