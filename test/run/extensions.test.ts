import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { extensionFile, loadExtensions, ownFiles } from '../../src/base/extensions.js';
import { nodeArguments } from '../../src/base/workers.js';
import { complete, graph, readProgress, readScores, type ShortExperiment } from '../../src/run/index.js';
import { submit } from '../../src/run/slurm.js';
import { runFolderOf, runHash } from '../../src/train/index.js';
import { writeOwnParts } from './ownParts.js';
import { finalWeights, leaveWorkplace, timelessLog, tinyExperiment, workplace } from './tiny.js';

const cli = nodeArguments(new URL('../../src/run/cli.js', import.meta.url));
const voxelbook = (...args: string[]) => spawnSync(process.execPath, [...cli, ...args], { encoding: 'utf8' });

/** An experiment with everything of the module in it, five steps. */
const ownExperiment = (root: string, seed = 1) => {
  const { recipe, prediction, configuration, scale } = tinyExperiment(root);
  return {
    dataset: '../Dataset042_Balls',
    configuration,
    model: { network: 'tiny', width: 3 },
    recipe: {
      ...recipe,
      epochs: 1,
      iterationsPerEpoch: 5,
      validationIterationsPerEpoch: 1,
      deepSupervision: 'none',
      loss: { kind: 'own-tversky' },
      augmentation: [
        { transform: 'noise', sd: [0, 0.1] },
        { transform: 'invert', probability: 0.5, below: 0.9 },
      ],
      hooks: [{ kind: 'halve' }],
    },
    prediction,
    scoring: { metrics: ['filled', 'iou'] },
    seeds: [seed],
    scale,
    extensions: ['./my-parts.ts'],
  };
};

describe('parts of a person’s own, from a file outside the project', () => {
  let root: string;
  let folder: string;
  let file: string;
  const silent = { onNote: () => {} };
  const completed = (change: object = {}) =>
    complete({ ...ownExperiment(root), ...change } as unknown as ShortExperiment, { folder, ...silent });

  after(leaveWorkplace);
  before(() => {
    root = workplace();
    folder = path.join(root, 'own');
    file = path.join(folder, 'e.json');
    writeOwnParts(folder);
    fs.writeFileSync(file, JSON.stringify(ownExperiment(root)));
  });

  it('train, predict and score in a child process; what is loaded is printed first', async function () {
    this.timeout(240_000);
    const run = voxelbook('run', file);
    assert.equal(run.status, 0, run.stderr + run.stdout);
    assert.match(run.stdout, /^loads code: .*loss\.ts, .*my-parts\.ts \([0-9a-f]{12}\)\n/);
    const e = await completed();
    assert.deepEqual(e.recipe.loss, { kind: 'own-tversky', beta: 0.7 });
    const own = runFolderOf(e, 0, 1);
    const [first] = readScores(own)!.cases;
    const { shell } = first.classes;
    assert.ok((shell.filled as number) > 0 && (shell.filled as number) < 0.2, String(shell.filled));
    assert.ok(Math.abs((shell.iou as number) - shell.dsc / (2 - shell.dsc)) < 1e-12);
    assert.equal(readProgress(own).at(-1)!.lr, 0.005);
    assert.equal(fs.readFileSync(path.join(own, 'steps.txt'), 'utf8'), '1 2 3 4 5 ');
    assert.deepEqual(Object.keys(finalWeights(own)), ['first.weight', 'first.bias', 'head.weight', 'head.bias']);
    // The finished run predicts in another process again.
    const out = path.join(root, 'out');
    const predict = voxelbook('predict', path.join(root, 'Dataset042_Balls', 'imagesTr'), out, '--run', file);
    assert.equal(predict.status, 0, predict.stderr);
    assert.equal(fs.readdirSync(out).filter((f) => f.endsWith('.nii.gz')).length, 6);
  });

  it('a run that was stopped resumes with them to the same weights', async function () {
    this.timeout(240_000);
    const second = path.join(folder, 'second.json');
    fs.writeFileSync(second, JSON.stringify({ ...ownExperiment(root, 2), recipe: { ...ownExperiment(root).recipe, epochs: 4 } }));
    const e = await completed({ seeds: [2], recipe: { ...ownExperiment(root).recipe, epochs: 4 } });
    const own = runFolderOf(e, 0, 2);
    const child = spawn(process.execPath, [...cli, 'run', second, '--in-process'], { stdio: 'ignore' });
    while (readProgress(own).length < 6 && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill('SIGTERM');
    await new Promise((resolve) => child.on('close', resolve));
    assert.equal(readScores(own), undefined);
    const again = voxelbook('run', second);
    assert.equal(again.status, 0, again.stderr);
    const [weights, log] = [finalWeights(own), timelessLog(own)];
    fs.rmSync(own, { recursive: true });
    assert.equal(voxelbook('run', second).status, 0);
    assert.deepEqual(finalWeights(own), weights);
    assert.deepEqual(timelessLog(own), log);
  });

  it('a Slurm job script computes the run with them', async function () {
    this.timeout(240_000);
    const e = await completed({ seeds: [3] });
    const { folder: scripts } = await submit(graph([e]), { dryRun: true });
    // What a node does with the script, without a scheduler.
    const [lines] = fs.readdirSync(path.join(scripts, 'arrays'));
    execFileSync('bash', [path.join(scripts, 'run.sh'), path.join(scripts, 'arrays', lines)], {
      env: { ...process.env, SLURM_ARRAY_TASK_ID: '0' },
      stdio: 'pipe',
    });
    assert.ok(readScores(runFolderOf(e, 0, 3))!.cases.every((c) => 'filled' in c.classes.core));
  });

  it('what the module and its files hold belongs to the identity, where they lie does not', async () => {
    const e = await completed();
    const hash = runHash(e, 0, 1);
    writeOwnParts(path.join(root, 'elsewhere'));
    const moved = { ...e, extensions: [extensionFile(path.join(root, 'elsewhere', 'my-parts.ts'))] };
    assert.equal(runHash(moved, 0, 1), hash);
    fs.appendFileSync(path.join(root, 'elsewhere', 'loss.ts'), '// other\n');
    const other = extensionFile(path.join(root, 'elsewhere', 'my-parts.ts'));
    assert.notEqual(runHash({ ...e, extensions: [other] }, 0, 1), hash);
    await assert.rejects(loadExtensions(moved.extensions), /an extension has changed since this experiment was made/);
    assert.deepEqual(
      ownFiles(path.join(folder, 'my-parts.ts')).map((f) => path.basename(f)),
      ['loss.ts', 'my-parts.ts'],
    );
  });

  it('its settings are checked like built-in ones', async () => {
    await assert.rejects(completed({ model: { network: 'tiny', width: 99 } }), /model\.width: 99/);
    await assert.rejects(
      completed({ model: { network: 'tiny', widht: 2 } }),
      /model\.widht: an unknown key, 2; .*Did you mean width\?/,
    );
    const { recipe } = ownExperiment(root);
    await assert.rejects(completed({ recipe: { ...recipe, loss: { kind: 'own-tversky', beta: 2 } } }), /recipe\.loss\.beta: 2/);
    await assert.rejects(
      completed({ recipe: { ...recipe, augmentation: [{ transform: 'invret', below: 1 }] } }),
      /recipe\.augmentation\[0\]\.transform: "invret"; .*Did you mean invert\?/,
    );
    await assert.rejects(
      completed({ scoring: { metrics: ['fillled'] } }),
      /scoring\.metrics\[0\]: "fillled"; .*Did you mean filled\?/,
    );
  });

  it('an experiment from someone else stays data where its reader says so', () => {
    for (const command of ['run', 'study', 'submit', 'train', 'model', 'predict']) {
      const args = command === 'predict' ? ['in', 'out', '--run', file] : [file];
      const { status, stderr, stdout } = voxelbook(command, ...args, '--no-extensions');
      assert.equal(status, 1, command);
      assert.match(stderr, /this experiment would run code of its own\n.*my-parts\.ts; expected no extensions/, command);
      assert.doesNotMatch(stdout, /loads code/);
    }
  });

  for (const [what, text, message] of [
    [
      'a kind that does not exist',
      "import { extend } from 'voxelbook';\n\nextend({ loses: [] });\nextend({ loses: [{ name: 'a' }] } as never);",
      /bad\.ts:4, loses: an unknown kind; .*Did you mean losses\?/,
    ],
    [
      'a part without its function',
      "import { extend } from 'voxelbook';\nextend({\n  losses: [{ name: 'mine' }] } as never);",
      /bad\.ts:2, losses\.mine\.loss: undefined; expected a function\. Add loss\./,
    ],
    [
      'the name of a built-in one',
      "import { extend } from 'voxelbook';\nextend({ schedules: [{ name: 'poly', rate: () => 1 }] } as never);",
      /bad\.ts:2, schedules\.poly: the name of a built-in one/,
    ],
    [
      'an error in it',
      'type A = number;\nconst a: A[] = [];\nconst b: A = (a as any).x.y;\nconsole.log(b);',
      /bad\.ts:3: Cannot read properties of undefined/,
    ],
    ['what is no program', 'const a: number = 1;\nconst b = = 2;', /bad\.ts:2: Expression expected\.; expected a module/],
    ['types that are code', 'enum A { b }\nexport { A };', /bad\.ts:1: .*only types that can be left out/],
  ] as const)
    it(`an error names file, line and part: ${what}`, async () => {
      const bad = path.join(folder, 'bad.ts');
      fs.writeFileSync(bad, text);
      await assert.rejects(loadExtensions([extensionFile(bad)]), message);
    });

  it('a file that is not there, or is no module, is named', async () => {
    await assert.rejects(completed({ extensions: ['./nowhere.ts'] }), /nowhere\.ts: no such file; expected a module/);
    fs.writeFileSync(path.join(folder, 'half.ts'), "import './gone.ts';\n");
    await assert.rejects(completed({ extensions: ['./half.ts'] }), /gone\.ts: no such file; .*half\.ts names/);
  });
});
