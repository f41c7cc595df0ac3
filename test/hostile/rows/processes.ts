// C1, W1, W2 and claims: processes and threads killed, hung, aborted, racing.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { VoxelbookError } from '../../../src/base/errors.js';
import { runJobs } from '../../../src/base/pool.js';
import { Random } from '../../../src/base/random.js';
import { nodeArguments, startWorker } from '../../../src/base/workers.js';
import { tf } from '../../../src/tensor/tf.js';
import { CheckpointFolder } from '../../../src/train/checkpoint.js';
import { loop } from '../../../src/train/loop.js';
import { tinyInput, tinyNetwork, tinyRecipe } from '../../train/tiny.js';
import { Lost, must, type Outcome, type Row } from '../row.js';

const kills: Row = {
  id: 'C1',
  what: 'kill -9 (or a freeze, and the folder as it is then) at random moments of saving a checkpoint',
  inputs: (n) => Math.ceil(n / 2),
  seconds: 300,
  async begin({ seed, scratch }) {
    const network = tinyNetwork(1, 3, 64);
    const folder = path.join(scratch, 'run');
    fs.mkdirSync(folder);
    const start = () =>
      spawn(process.execPath, [...nodeArguments(new URL('../../train/saver.js', import.meta.url)), folder], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    let child: ReturnType<typeof start> | undefined;
    let last = 0;
    return {
      async one(i) {
        const random = new Random(`kill ${i} ${seed}`);
        const next = () => new Promise((resolve) => child!.stdout!.once('data', resolve));
        if (!child) {
          child = start();
          await next();
        }
        await next();
        await new Promise((resolve) => setTimeout(resolve, random.uniform(0, 25)));
        const end = i % 10 === 9;
        child.kill(end ? 'SIGKILL' : 'SIGSTOP');
        if (end) await new Promise((resolve) => child!.once('exit', resolve));
        const copy = fs.mkdtempSync(path.join(scratch, 'copy-'));
        fs.cpSync(folder, copy, { recursive: true });
        if (end) child = undefined;
        else child.kill('SIGCONT');
        const found = new CheckpointFolder(copy, 'saved', network).load();
        fs.rmSync(copy, { recursive: true });
        if (!found) {
          if (last > 0) throw new Lost('no checkpoint');
          return 'sound';
        }
        const whole = [...found.params['first.bias'].dataSync()].every((v) => v === found.position.step);
        const { step } = found.position;
        tf.dispose([found.params, found.optimiser.slots]);
        must(whole, 'a mixture of two checkpoints');
        if (step < last) throw new Lost(`step ${step} after step ${last}`);
        last = step;
        return 'equal';
      },
      end() {
        child?.kill('SIGKILL');
      },
    };
  },
};

const rivals = 8;
const claims: Row = {
  id: 'locks, leases',
  what: `dead claims of every kind, ${rivals} rivals each: one owner, nothing left behind`,
  inputs: (n) => 5 * n,
  seconds: 300,
  async begin({ scratch, count, first }) {
    const dead = { pid: 2 ** 22 + 1, host: os.hostname(), startTicks: '1', token: 'dead', since: 'before' };
    const files = Array.from({ length: count }, (_, i) => path.join(scratch, `r${first + i}`));
    const rubbish = ['', '{', '[]', `999999999 ${os.hostname()}`, JSON.stringify(dead), '{"pid":-1,"host":1}', '\0\0\0\0'];
    for (const [i, file] of files.entries()) {
      fs.writeFileSync(file, rubbish[i % rubbish.length]);
      if (i % rubbish.length === 4 && i % 2 === 0)
        fs.writeFileSync(`${file}.after-dead`, JSON.stringify({ ...dead, token: 'dead2' }));
    }
    const gate = new Int32Array(new SharedArrayBuffer(8));
    const won = await Promise.all(
      Array.from(
        { length: rivals },
        () =>
          new Promise<number[]>((resolve, reject) => {
            startWorker(new URL('../../base/claimRival.js', import.meta.url), { workerData: { files, gate, rivals } })
              .on('message', resolve)
              .on('error', reject);
          }),
      ),
    );
    const owners = new Map<number, number>();
    for (const i of won.flat()) owners.set(i, (owners.get(i) ?? 0) + 1);
    const left = fs.readdirSync(scratch).filter((name) => name.includes('after') || name.includes('tmp'));
    return (i) => {
      const k = i - first;
      must(owners.get(k) === 1, `${owners.get(k) ?? 0} owners`);
      must(!left.some((name) => name.startsWith(`r${i}.`)), `left behind: ${left}`);
      return 'equal';
    };
  },
};

const acts = ['fine', 'fine', 'throw', 'reject', 'fault', 'exit', 'unhandled', 'loop', 'slow'];
const workers: Row = {
  id: 'W1',
  what: 'jobs that throw, reject, exit, never answer or die beside good ones: all named, the others done',
  inputs: (n) => Math.ceil(0.21 * n),
  seconds: 120,
  begin({ seed }) {
    const url = new URL('../../base/poolJobs.js', import.meta.url);
    return async (i): Promise<Outcome> => {
      const random = new Random(`pool ${i} ${seed}`);
      const jobs = Array.from({ length: random.int(1, 7) }, (_, k) => ({ id: `job${k}`, act: random.choice(acts) }));
      const wrong = jobs.filter(({ act }) => act !== 'fine' && act !== 'slow').map(({ id }) => id);
      try {
        const results = await runJobs(url, jobs, {
          what: 'test',
          workers: random.int(1, 4),
          hangSeconds: 1.5,
        });
        must(wrong.length === 0, `a success in spite of ${wrong}`);
        must(JSON.stringify(results) === JSON.stringify(jobs.map(({ id }) => `${id} done`)), 'other results');
        return 'equal';
      } catch (error) {
        if (!(error instanceof VoxelbookError)) throw error;
        const named = [...new Set(error.faults.map(({ path: at }) => at.split(' ')[0]))].sort();
        must(JSON.stringify(named) === JSON.stringify(wrong.sort()), `named ${named}; wrong were ${wrong}`);
        throw error;
      }
    };
  },
};

const aborts: Row = {
  id: 'W2',
  what: 'training aborted at a random moment: no tensor left behind, and resumed to the bits of the uninterrupted run',
  inputs: (n) => Math.ceil(n / 4),
  seconds: 120,
  async begin({ seed, scratch }) {
    const bits = (params: Record<string, tf.Tensor>) =>
      Object.keys(params)
        .sort()
        .map((name) => Buffer.from(new Uint8Array(params[name].dataSync().buffer)).toString('base64'))
        .join();
    const whole = async (folder: string, signal?: AbortSignal) => {
      const done = await loop({ ...tinyInput(folder, { ...tinyRecipe, epochs: 2 }) }, { signal, savingShare: 1 } as never);
      const text = bits(done.params);
      tf.dispose(done.params);
      return text;
    };
    const begun = performance.now();
    const first = path.join(scratch, 'whole');
    fs.mkdirSync(first);
    const wanted = await whole(first);
    const took = performance.now() - begun;
    return async (i): Promise<Outcome> => {
      const random = new Random(`abort ${i} ${seed}`);
      const folder = fs.mkdtempSync(path.join(scratch, 'run-'));
      const before = tf.memory().numTensors;
      const stop = new AbortController();
      const timer = setTimeout(() => stop.abort(new Error('stopped')), random.uniform(0, took));
      let aborted = false;
      await whole(folder, stop.signal).catch((error) => {
        aborted = /stopped/.test(String(error));
        if (!aborted) throw error;
      });
      clearTimeout(timer);
      must(tf.memory().numTensors === before, `${tf.memory().numTensors - before} tensors left behind`);
      must((await whole(folder)) === wanted, 'resumed to other bits');
      must(tf.memory().numTensors === before, 'tensors left behind');
      fs.rmSync(folder, { recursive: true });
      return 'equal';
    };
  },
};

export const rows: Row[] = [kills, claims, workers, aborts];
