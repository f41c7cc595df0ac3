// disk, rm, stop and attach: on real runs of seconds.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { byteText } from '../../src/base/text.js';
import { nodeArguments } from '../../src/base/workers.js';
import { main } from '../../src/run/cli.js';
import { diskUse, remove, type ShortExperiment, start, stateOf, stop, withDependents } from '../../src/run/index.js';
import { noteMembers } from '../../src/run/members.js';
import { type Experiment, runFolderOf } from '../../src/train/index.js';
import { leaveWorkplace, tinyExperiment, workplace } from './tiny.js';

const cli = nodeArguments(new URL('../../src/run/cli.js', import.meta.url));

/** A command line in this process, with what it prints. */
async function voxelbook(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const printed = { stdout: '', stderr: '' };
  const { stdout, stderr } = process;
  const write = { stdout: stdout.write, stderr: stderr.write };
  const take = (name: 'stdout' | 'stderr') => (text: string | Uint8Array) => {
    printed[name] += text;
    return true;
  };
  stdout.write = take('stdout');
  stderr.write = take('stderr');
  try {
    const status = await main(args);
    return { status, ...printed };
  } finally {
    stdout.write = write.stdout;
    stderr.write = write.stderr;
  }
}
const quiet = { display: null };

describe('housekeeping', function () {
  this.timeout(300_000);
  let small: Experiment;
  let grown: Experiment;
  let long: Experiment;
  let folder: (experiment: Experiment) => string;

  after(leaveWorkplace);
  before(async () => {
    const root = workplace();
    const { recipe } = tinyExperiment(root);
    const short = { ...recipe, epochs: 1, iterationsPerEpoch: 2, validationIterationsPerEpoch: 1 };
    small = tinyExperiment(root, { recipe: short });
    grown = tinyExperiment(root, { name: 'grown', recipe: short, init: { upkernFrom: small } }, 5);
    // Longer than any test waits for it.
    long = tinyExperiment(root, { name: 'long', recipe: { ...recipe, epochs: 100_000 } });
    folder = (experiment) => runFolderOf(experiment, 0, 1);
    await start(grown, quiet);
  });

  /** A run that is going, started as a notebook starts it. */
  async function going(): Promise<{ ended: Promise<unknown> }> {
    const ended = start(long as ShortExperiment, quiet).catch((error) => error);
    while (stateOf(folder(long)) !== 'running' || !fs.existsSync(path.join(folder(long), 'progress.jsonl')))
      await new Promise((resolve) => setTimeout(resolve, 50));
    return { ended };
  }

  it('disk: every run and the data, largest first, as du counts them', async () => {
    const rows = diskUse();
    const names = [small, grown].map((e) => path.basename(folder(e)));
    assert.deepEqual(
      rows
        .map((r) => r.name)
        .filter((name) => names.includes(name))
        .sort(),
      names.sort(),
    );
    for (const { folder: at, bytes } of rows) {
      const counted = Number(spawnSync('du', ['-s', '--block-size=1', at], { encoding: 'utf8' }).stdout.split('\t')[0]);
      assert.equal(bytes, counted, at);
    }
    assert.ok(rows.some((r) => r.name.startsWith('data/preprocessed')));
    assert.deepEqual(
      rows,
      [...rows].sort((a, b) => b.bytes - a.bytes),
    );
    const { status, stdout } = await voxelbook('disk');
    assert.equal(status, 0);
    const [head, ...lines] = stdout.trim().split('\n');
    assert.match(head, /size +checkpoints +predictions +state +name/);
    assert.match(lines.find((line) => line.endsWith(names[0]))!, /^ *\d[\d.]* [kM]B +\d[\d.]* [kM]B +\d[\d.]* [kM]B +finished/);
    assert.ok(
      lines
        .at(-1)!
        .trim()
        .startsWith(byteText(rows.reduce((sum, r) => sum + r.bytes, 0))),
    );
  });

  it('sizes are written as a person reads them', () =>
    assert.deepEqual([0, 1000, 900e3, 1e6, 999.6e6, 12.4e9].map(byteText), [
      '0 kB',
      '1 kB',
      '900 kB',
      '1.0 MB',
      '1.0 GB',
      '12 GB',
    ]));

  it('rm: tells what would go, with what was started from it, and asks', async () => {
    const { status, stdout, stderr } = await voxelbook('rm', path.basename(folder(small)));
    assert.equal(status, 2);
    assert.match(stdout, new RegExp(`${path.basename(folder(grown))}, .*which needs one of these`));
    assert.match(stderr, /no terminal to ask at.*--yes/);
    assert.deepEqual(
      [small, grown].map((e) => stateOf(folder(e))),
      ['finished', 'finished'],
    );
  });

  it('what needs a run is found by what it was started from: weights of the same fold and seed, a cascade’s labels of any fold', () => {
    assert.deepEqual(withDependents([folder(small)]), [folder(small), folder(grown)]);
    assert.deepEqual(withDependents([folder(grown)]), [folder(grown)]);
    const cascade: Experiment = { ...small, name: 'second stage', previousStage: { ...grown, folds: [0, 1] } };
    const at = (e: Experiment, fold: number, seed: number) => {
      const made = runFolderOf(e, fold, seed);
      fs.mkdirSync(made);
      fs.writeFileSync(path.join(made, 'experiment.json'), JSON.stringify({ experiment: e, fold, seed }));
      return made;
    };
    const [other, otherSeed] = [at(cascade, 1, 1), at(cascade, 1, 2)];
    assert.deepEqual(withDependents([folder(small)]), [folder(small), folder(grown), other]);
    remove([other, otherSeed]);
  });

  it('a living run is refused, with what needs it; stopped it has a checkpoint, and goes', async () => {
    const { ended } = await going();
    assert.throws(() => remove([folder(small), folder(long)]), /process \d+ on .* works on it; expected no living process/);
    assert.ok(fs.existsSync(folder(small)));
    const { status, stdout } = await voxelbook('stop', '--all');
    assert.equal(status, 0);
    assert.match(stdout, new RegExp(`${path.basename(folder(long))}: stopped`));
    await ended;
    assert.equal(stateOf(folder(long)), 'stopped');
    const { checkpoints } = JSON.parse(fs.readFileSync(path.join(folder(long), 'checkpoints.json'), 'utf8'));
    assert.ok(checkpoints.length > 0);
    assert.match((await voxelbook('stop', '--all')).stdout, /no run is going/);
  });

  it('attach: shows the progress of a run that is going and says how it ended', async () => {
    const { ended } = await going();
    const name = path.basename(folder(long));
    const attached = spawn(process.execPath, [...cli, 'attach', name], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    let seen = () => {};
    const shown = new Promise<void>((resolve) => (seen = resolve));
    attached.stdout.on('data', (data) => {
      text += data;
      if (/step \d+\/400000/.test(text)) seen();
    });
    const code = new Promise((resolve) => attached.once('exit', resolve));
    await shown;
    await stop(folder(long));
    await ended;
    assert.equal(await code, 0);
    assert.match(text, new RegExp(`epoch \\d+/100000 · step \\d+/400000 · loss [\\s\\S]*${name}: stopped`));
    assert.match((await voxelbook('attach', path.basename(folder(small)))).stdout, /: finished, /);
  });

  it('what cannot be meant is refused', async () => {
    for (const args of [['stop'], ['stop', 'x', '--all'], ['rm'], ['attach']])
      assert.equal((await voxelbook(...args)).status, 2, args.join(' '));
    assert.match((await voxelbook('rm', 'nothing-of-that-name', '--yes')).stderr, /there is no such run/);
  });

  it('rm removes the run and what needs it, and nothing else', async () => {
    const kept = fs
      .readdirSync(path.dirname(folder(small)))
      .filter((name) => ![small, grown].some((e) => folder(e).endsWith(name)));
    // What an earlier removal left in the middle goes too, and is no run.
    fs.cpSync(folder(grown), `${folder(grown)}.removing`, { recursive: true });
    assert.equal(diskUse().filter((r) => r.state && r.name.endsWith('.removing')).length, 0);
    // What was made from it says so; what was made from others, or does not say, stays.
    const made = ['ensembles/of-it', 'find-best/of-it', 'ensembles/of-others', 'ensembles/silent'].map((name) =>
      path.join(path.dirname(folder(small)), name),
    );
    const members = [[folder(small), folder(long)], [folder(grown)], [folder(long)]];
    for (const [i, at] of made.entries()) {
      fs.mkdirSync(at, { recursive: true });
      if (members[i])
        noteMembers(
          at,
          members[i].map((run) => ({ folder: run })),
        );
    }
    kept.push('ensembles', 'find-best');
    const { status, stdout } = await voxelbook('rm', path.basename(folder(small)), '--yes');
    assert.equal(status, 0);
    assert.match(stdout, /ensembles\/of-it, \d+ kB, made from one of these/);
    assert.match(stdout, /4 removed/);
    assert.deepEqual(
      made.map((at) => fs.existsSync(at)),
      [false, false, true, true],
    );
    assert.deepEqual(fs.readdirSync(path.dirname(folder(small))).sort(), kept.sort());
  });
});
