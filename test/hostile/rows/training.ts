// C2, D1, S1, N5: whole runs killed and resumed, the same seed twice, long training, and data sets with planted faults.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { VoxelbookError } from '../../../src/base/errors.js';
import { Random } from '../../../src/base/random.js';
import { nodeArguments } from '../../../src/base/workers.js';
import { check, open } from '../../../src/dataset/index.js';
import { start } from '../../../src/run/index.js';
import { readLease } from '../../../src/run/lease.js';
import { type Experiment, runFolderOf } from '../../../src/train/index.js';
import { writeVolume } from '../../../src/volume/index.js';
import { image, label, rawFolder, remove, shape, volumeOf } from '../../dataset/folder.js';
import { tinyNetworks } from '../../model/tinyNetworks.js';
import { finalWeights, timelessLog, tinyExperiment, writeTinySet } from '../../run/tiny.js';
import { Lost, must, type Outcome, type Row } from '../row.js';

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A MedNeXt, the same grown by UpKern, and an STU-Net. */
function experiments(root: string): Experiment[] {
  const small = tinyExperiment(root);
  const recipe = { ...small.recipe, epochs: 2 };
  const k3 = { ...small, recipe };
  const strides = [
    [2, 2, 2],
    [2, 2, 2],
  ];
  return [
    k3,
    { ...tinyExperiment(root, { recipe, name: 'tiny k5 UpKern', init: { upkernFrom: k3 } }, 5) },
    {
      ...k3,
      name: 'tiny STU-Net',
      model: { network: 'stunet', widths: [2, 3, 4], blocks: [1, 1, 1], strides } as Experiment['model'],
    },
  ];
}

const resumed: Row = {
  id: 'C2',
  what: 'runs (MedNeXt k3, k5 grown from it, STU-Net) killed at random moments and resumed: weights and log as undisturbed, bit by bit',
  inputs: (n) => Math.ceil(0.03 * n),
  seconds: 1200,
  async begin({ seed, scratch }) {
    process.env.VOXELBOOK_DATA = path.join(scratch, 'data');
    process.env.VOXELBOOK_SAVING_SHARE = '0';
    process.env.VOXELBOOK_RUNS = path.join(scratch, 'undisturbed');
    writeTinySet(path.join(scratch, 'Dataset042_Balls'));
    const list = experiments(scratch);
    const found = (folder: string) => JSON.stringify([finalWeights(folder), timelessLog(folder)]);
    const wanted: string[] = [];
    const took: number[] = [];
    for (const experiment of list) {
      const begun = performance.now();
      wanted.push(found((await start(experiment, { display: null })).folder));
      took.push(performance.now() - begun);
    }
    return async (i): Promise<Outcome> => {
      const random = new Random(`resume ${i} ${seed}`);
      const k = i % list.length;
      process.env.VOXELBOOK_RUNS = path.join(scratch, `runs-${i}`);
      const folder = runFolderOf(list[k], 0, 1);
      for (let kills = random.int(1, 4); ; kills--) {
        const running = start(list[k], { display: null }).catch((error) => {
          if (error instanceof VoxelbookError && /SIGKILL/.test(error.message)) return undefined;
          throw error;
        });
        if (kills > 0) {
          await Promise.race([running, sleep(random.uniform(0, took[k]))]);
          const pid = readLease(folder)?.pid;
          try {
            if (pid) process.kill(pid, 'SIGKILL');
          } catch {
            // It has just ended.
          }
        }
        if (await running) break;
      }
      if (!fs.existsSync(path.join(folder, 'progress.jsonl'))) throw new Lost('no log');
      must(found(folder) === wanted[k], `${list[k].name}: other weights or another log`);
      fs.rmSync(process.env.VOXELBOOK_RUNS, { recursive: true });
      return 'equal';
    };
  },
};

interface Trained {
  tensors: number[];
  rss: number[];
  digest: string;
}
/** Steps on noise in a process of its own. */
async function trained(order: object, threads?: number): Promise<Trained> {
  const child = nodeArguments(new URL('../../train/trainer.js', import.meta.url));
  const env = threads ? { ...process.env, VOXELBOOK_THREADS: `${threads}`, TF_NUM_INTRAOP_THREADS: `${threads}` } : process.env;
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', ...child, JSON.stringify(order)], {
    maxBuffer: 1e8,
    env,
  });
  return JSON.parse(stdout);
}

const mednext = { network: 'mednext', kernel: 3, width: 4, blocks: Array(9).fill(1), expansion: 2 };
const twice: Row = {
  id: 'D1',
  what: 'the same seed twice, in two processes: MedNeXt, STU-Net, SegResNet by 1, 2 and 4 threads, the same bits after ten steps',
  inputs: (n) => Math.ceil(0.09 * n),
  seconds: 600,
  begin() {
    const models = [mednext, tinyNetworks.stunet.spec, tinyNetworks.segresnet.spec];
    return async (i): Promise<Outcome> => {
      const order = { model: models[i % 3], patch: [16, 16, 16], batchSize: 1 + (Math.floor(i / 9) % 2), steps: 10 };
      const threads = [1, 2, 4][Math.floor(i / 3) % 3];
      const [one, two] = [await trained(order, threads), await trained(order, threads)];
      must(/^[0-9a-f]{64}$/.test(one.digest) && one.digest === two.digest, `${JSON.stringify(order)}, ${threads} threads`);
      return 'equal';
    };
  },
};

const long: Row = {
  id: 'S1',
  what: 'ten training steps on 16³ patches for each of N: as many tensors at the end, memory grows by less than 1 MB a thousand steps (from 2,000 on)',
  inputs: () => 1,
  seconds: 7200,
  begin({ asked }) {
    const steps = 10 * asked;
    return async (): Promise<Outcome> => {
      const { tensors, rss } = await trained({ model: mednext, patch: [16, 16, 16], batchSize: 1, steps });
      must(new Set(tensors.slice(1)).size === 1, `${tensors[1]} tensors, then ${tensors.at(-1)}`);
      // The least of each quarter: what the heap holds back for a while is no growth.
      const quarter = Math.floor(steps / 4);
      const least = (k: number) => Math.min(...rss.slice(k * quarter, (k + 1) * quarter));
      const perThousand = ((least(3) - least(1)) / (2 * quarter)) * 1000;
      must(steps < 2000 || perThousand < 1e6, `${(perThousand / 1e6).toFixed(2)} MB in a thousand steps`);
      return 'equal';
    };
  },
};

const voxels = shape[0] * shape[1] * shape[2];
const ramp = () => Float32Array.from({ length: voxels }, (_, i) => i);
/** Puts a fault into case k. @returns the code it must be found under */
const plants: ((folder: string, k: number, random: Random) => string)[] = [
  (folder, k, random) => {
    const data = ramp();
    for (let n = random.int(1, 20); n > 0; n--)
      data[random.int(0, voxels)] = random.choice([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    writeVolume(image(folder, k, random.int(0, 2)), volumeOf(data));
    return 'not-finite';
  },
  (folder, k, random) => {
    writeVolume(image(folder, k, random.int(0, 2)), volumeOf(ramp().fill(random.int(-5, 5))));
    return 'constant';
  },
  (folder, k) => {
    fs.rmSync(label(folder, k));
    return 'label-missing';
  },
  (folder, k, random) => {
    fs.rmSync(image(folder, k, random.int(0, 2)));
    return 'channels';
  },
  (folder, k, random) => {
    writeVolume(image(folder, k, 1), volumeOf(ramp(), { spacingMm: [2, 1 + random.uniform(0.1, 3), 1] }));
    return 'spacing';
  },
  (folder, k) => {
    writeVolume(
      image(folder, k, 0),
      volumeOf(
        new Float32Array(2 * voxels).map((_, i) => i),
        { channels: 2 },
      ),
    );
    return 'channels';
  },
  (folder, k, random) => {
    const at = random.int(0, voxels);
    writeVolume(label(folder, k), volumeOf(ramp().map((_, i) => (i === at ? random.uniform(0.1, 0.9) : i % 3))));
    return 'label-values';
  },
  (folder, k, random) => {
    const data = new Uint8Array(voxels).map((_, i) => i % 3);
    data[random.int(0, voxels)] = random.int(3, 200);
    writeVolume(label(folder, k), volumeOf(data));
    return 'label-unknown';
  },
  (folder, k) => {
    writeVolume(
      label(folder, k),
      volumeOf(
        new Uint8Array(6 * 8 * 6).map((_, i) => i % 3),
        { shape: [6, 8, 6] },
      ),
    );
    return 'shape';
  },
  (folder, k, random) => {
    const file = random.chance(0.5) ? label(folder, k) : image(folder, k, 0);
    fs.truncateSync(file, random.int(1, fs.statSync(file).size - 1));
    return '';
  },
];

const planted: Row = {
  id: 'N5',
  what: 'data sets with one to four faulty cases (NaN, infinite, constant, missing, cut, of another size, spacing or labels): each named, and no other',
  inputs: (n) => Math.ceil(n / 2),
  begin({ seed }) {
    return async (i): Promise<Outcome> => {
      const random = new Random(`planted ${i} ${seed}`);
      const folder = rawFolder(6);
      try {
        const wanted = new Map<number, string>();
        for (let n = random.int(1, 5); n > 0; n--) {
          const k = random.int(0, 6);
          if (!wanted.has(k)) wanted.set(k, plants[(i + n) % plants.length](folder, k, random));
        }
        const { faults, warnings } = await check(open(folder));
        // What the whole set says of itself: a label that no case is left to show.
        const of = (k: number) => [...faults, ...warnings].filter((f) => new RegExp(`\\ba${k}(\\b|_)`).test(f.path));
        for (const [k, code] of wanted) {
          must(of(k).length > 0, `a${k} with ${code || 'a cut file'} is not named`);
          must(!code || of(k).some((f) => f.code === code), `a${k}: ${of(k).map((f) => f.code)}; wanted ${code}`);
        }
        for (let k = 0; k < 6; k++) must(wanted.has(k) || of(k).length === 0, `a${k} is whole: ${of(k).map((f) => f.code)}`);
        for (const f of faults) must(f.given !== '' && f.expected !== '' && f.fix !== '', `${f.code} without words`);
        return faults.length > 0 ? 'refused' : 'equal';
      } finally {
        remove(folder);
      }
    };
  },
};

export const rows: Row[] = [resumed, twice, long, planted];
