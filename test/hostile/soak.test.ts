// A day in an hour: train → predict → score → report again and again, while processes are killed and stopped, the disk fills and is slow,
// and the clock jumps. Every round must end with the bits of the undisturbed one, and nothing may grow in the process that watches.
//
//   VOXELBOOK_SOAK=60 npx mocha --exit test/hostile/soak.test.ts     minutes; as root, so that a small disk can be mounted
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import v8 from 'node:v8';
import vm from 'node:vm';
import { VoxelbookError } from '../../src/base/errors.js';
import { Random } from '../../src/base/random.js';
import * as report from '../../src/report/index.js';
import { predictFolder, start } from '../../src/run/index.js';
import { readLease } from '../../src/run/lease.js';
import { runFolderOf } from '../../src/train/index.js';
import { finalWeights, leaveWorkplace, tinyExperiment, workplace } from '../run/tiny.js';

const minutes = Number(process.env.VOXELBOOK_SOAK ?? 0);
const faults = ['none', 'killed', 'stopped', 'full disk', 'slow disk', 'clock jumps'] as const;
const preload = pathToFileURL(path.join(import.meta.dirname, 'soakFaults.mjs')).href;

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc') as () => void;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];
const entries = (folder: string) => fs.readdirSync(folder).length;

(minutes > 0 ? describe : describe.skip)(`soak of ${minutes} minutes`, function () {
  this.timeout(minutes * 60_000 + 3_600_000);
  let root: string;
  let disk: string;
  const temporary = process.env.TMPDIR;
  before(() => {
    root = workplace();
    // What is left behind in the folder of temporary files is to be seen: it is one of our own.
    process.env.TMPDIR = path.join(root, 'tmp');
    fs.mkdirSync(process.env.TMPDIR);
    process.env.VOXELBOOK_DATA = path.join(root, 'data');
    disk = path.join(root, 'disk');
    fs.mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', disk]);
  });
  after(() => {
    spawnSync('umount', ['-l', disk]);
    if (temporary === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = temporary;
    leaveWorkplace();
  });

  it('every round ends with the same bits; memory, handles, threads and temporary files stay flat', async () => {
    const experiment = tinyExperiment(root, { recipe: { ...tinyExperiment(root).recipe, epochs: 2 } });
    const random = new Random(`soak ${minutes}`);
    const images = path.join(root, 'Dataset042_Balls', 'imagesTr');

    /** Predicts in this process, as a notebook does, shows a table, and gives digests of everything that was made. */
    const look = async (folder: string) => {
      const output = path.join(root, 'predicted');
      fs.rmSync(output, { recursive: true, force: true });
      await predictFolder(images, output, [folder], { onWarning: () => {} });
      const run = await start(experiment, { display: null });
      const table = report.comparison([{ name: experiment.name, scores: [run.scores], dataset: experiment.dataset }]).toHtml();
      assert.ok(table.includes(experiment.name));
      const labels = [output, folder].flatMap((at) =>
        (fs.readdirSync(at, { recursive: true }) as string[])
          .filter((name) => name.endsWith('.nii.gz'))
          .sort()
          .map((name) => [
            name,
            createHash('sha256')
              .update(fs.readFileSync(path.join(at, name)))
              .digest('hex'),
          ]),
      );
      assert.ok(labels.length >= 7, `${labels.length} label maps`);
      return JSON.stringify([finalWeights(folder), labels]);
    };

    process.env.VOXELBOOK_RUNS = path.join(root, 'undisturbed');
    const undisturbed = (await start(experiment, { display: null })).folder;
    const wanted = await look(undisturbed);
    // What TensorFlow and the compiler of JavaScript keep is there after a dozen predictions.
    for (let i = 0; i < 15; i++) assert.equal(await look(undisturbed), wanted);

    const told = new Map<string, number>();
    const seen: { rss: number; files: number; threads: number; temporary: number }[] = [];
    const end = performance.now() + minutes * 60_000;
    for (let round = 0; performance.now() < end; round++) {
      process.env.VOXELBOOK_RUNS = path.join(disk, 'runs');
      fs.rmSync(process.env.VOXELBOOK_RUNS, { recursive: true, force: true });
      const folder = runFolderOf(experiment, 0, 1);
      const filler = path.join(disk, 'filler');
      let done = false;
      for (let attempt = 0; !done; attempt++) {
        // The fifth is left alone: what is undisturbed must end.
        const fault = attempt < 5 ? random.choice(faults) : 'none';
        const env = { VOXELBOOK_SOAK_FAULT: fault, NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import ${preload}` };
        const running = start(experiment, { display: null, ...(fault.includes(' ') && { env }) }).then(
          () => 'finished',
          (error) => {
            if (!(error instanceof VoxelbookError)) throw error;
            return error.message;
          },
        );
        await Promise.race([running, sleep(random.uniform(200, 9000))]);
        const pid = readLease(folder)?.pid;
        if (fault === 'killed' && pid) signal(pid, 'SIGKILL');
        if (fault === 'stopped' && pid) {
          signal(pid, 'SIGSTOP');
          await sleep(random.uniform(200, 2000));
          signal(pid, 'SIGCONT');
        }
        if (fault === 'full disk') {
          const { bavail, bsize } = fs.statfsSync(disk);
          try {
            fs.writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - random.int(0, 20) * 4096)));
          } catch {
            // The run took the rest at this moment: full is full.
          }
        }
        const how = await running;
        fs.rmSync(filler, { force: true });
        done = how === 'finished';
        const key = `${fault}: ${done ? 'finished' : 'ended, and said so'}`;
        told.set(key, (told.get(key) ?? 0) + 1);
        if (fault === 'none' || fault === 'stopped' || fault === 'clock jumps' || fault === 'slow disk')
          assert.ok(done, `round ${round}, ${fault}: ${how}`);
        else if (!done) assert.match(how, /SIGKILL|ENOSPC|does not fit|bytes free|disk/, `round ${round}, ${fault}`);
      }
      assert.equal(await look(folder), wanted, `round ${round} ended with other bits`);
      const left = (fs.readdirSync(disk, { recursive: true }) as string[]).filter((name) => name.endsWith('.tmp'));
      assert.deepEqual(left, [], `round ${round}`);
      assert.deepEqual(processesIn(disk), [], `round ${round}`);
      collect();
      seen.push({
        rss: process.memoryUsage.rss() / 1e6,
        files: entries('/proc/self/fd'),
        threads: entries('/proc/self/task'),
        temporary: entries(process.env.TMPDIR!),
      });
    }
    const third = Math.floor(seen.length / 3);
    const of = (key: keyof (typeof seen)[0]) => {
      const values = seen.map((s) => s[key]);
      return [values.slice(third, 2 * third), values.slice(-third)].map((list) => Math.round(median(list)));
    };
    const figures = { rssMB: of('rss'), files: of('files'), threads: of('threads'), temporary: of('temporary') };
    console.log(
      `      ${seen.length} rounds; ${[...told]
        .map(([what, n]) => `${what} ${n}`)
        .sort()
        .join(', ')}`,
    );
    const decile = (k: number) => Math.round(seen[Math.floor((k * (seen.length - 1)) / 9)].rss);
    console.log(
      `      MB in ten rounds from the first to the last: ${Array.from({ length: 10 }, (_, k) => decile(k)).join(', ')}`,
    );
    console.log(`      medians of the second and the last third: ${JSON.stringify(figures)}`);
    assert.ok(third >= 2, 'too few rounds to say what grows');
    for (const key of ['files', 'threads', 'temporary'] as const) assert.ok(figures[key][1] <= figures[key][0], key);
    assert.ok(figures.rssMB[1] <= figures.rssMB[0] + 32, 'memory grows');
  });
});

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has just ended.
  }
}

/** Processes that work in a folder. */
const processesIn = (folder: string) =>
  fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder);
      } catch {
        return false;
      }
    });
