// ARCHITECTURE.md's how-tos followed literally: a network, a loss, a transform and a metric added from files outside the project are
// trained for five steps, resumed, and trained by a Slurm job, to the same weights.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { pipeline } from '../../src/augment/index.js';
import { Random } from '../../src/base/random.js';
import { lookup } from '../../src/base/registry.js';
import { nodeArguments } from '../../src/base/workers.js';
import { build, describe as describeModel } from '../../src/model/index.js';
import { complete, readProgress, readScores, type ShortExperiment, study } from '../../src/run/index.js';
import { tf } from '../../src/tensor/tf.js';
import { type Experiment, type Recipe, runFolderOf } from '../../src/train/index.js';
import { modulesOf, writeModules } from '../codeBlocks.js';
import { type Cluster, startCluster, whyNoCluster } from './cluster.js';
import { finalWeights, leaveWorkplace, timelessLog, tinyExperiment, workplace } from './tiny.js';

const cli = nodeArguments(new URL('../../src/run/cli.js', import.meta.url));

/** Ends its own process after a step, as a person or a cluster may, where a variable asks for it. */
const stop = `import { extend } from 'voxelbook';
extend({
  hooks: [{ name: 'stop', onStepEnd: ({ step }) => { if (\`\${step}\` === process.env.STOP_AFTER) process.kill(process.pid, 'SIGTERM'); } }],
});
`;

describe('the how-tos of ARCHITECTURE.md', function () {
  this.timeout(600_000);
  const modules = modulesOf('ARCHITECTURE.md');
  let root: string;
  let folder: string;
  let file: string;
  let e: Experiment;
  let expected: { weights: object; log: unknown[] };

  /** What a run left behind, in the folder of runs that is set. */
  const found = () => ({ weights: finalWeights(runFolderOf(e, 0, 1)), log: timelessLog(runFolderOf(e, 0, 1)) });
  const run = (env: object, ...args: string[]) =>
    spawnSync(process.execPath, [...cli, 'run', file, ...args], {
      encoding: 'utf8',
      env: { ...process.env, VOXELBOOK_THREADS: '1', ...env },
    });
  const ownRuns = (name: string) => {
    process.env.VOXELBOOK_RUNS = path.join(root, name);
  };

  after(leaveWorkplace);
  before(async () => {
    root = workplace();
    process.env.VOXELBOOK_DATA = path.join(root, 'data');
    folder = path.join(root, 'outside');
    file = path.join(folder, 'e.json');
    writeModules(folder, new Map([...modules, ['stop.ts', stop]]));
    const { recipe, prediction, configuration, scale } = tinyExperiment(root);
    const given = {
      dataset: '../Dataset042_Balls',
      model: { network: 'thin', width: 4 },
      recipe: {
        ...recipe,
        epochs: 5,
        iterationsPerEpoch: 1,
        validationIterationsPerEpoch: 1,
        deepSupervision: 'none',
        loss: { kind: 'squared', weight: 2 },
        augmentation: [
          { transform: 'noise', sd: [0, 0.1] },
          { transform: 'scaled', most: 1.2 },
        ],
        hooks: [{ kind: 'stop' }],
      },
      scoring: { metrics: ['prevalence'] },
      seeds: [1],
      ...{ prediction, configuration, scale },
      extensions: [...modules.keys(), 'stop.ts'].map((name) => `./${name}`),
    };
    fs.writeFileSync(file, JSON.stringify(given));
    e = await complete(given as unknown as ShortExperiment, { folder, onNote: () => {} });
  });

  it('all four train five steps', () => {
    const { status, stdout, stderr } = run({});
    assert.equal(status, 0, stdout + stderr);
    expected = found();
    const steps = readProgress(runFolderOf(e, 0, 1)).filter(({ lr }) => lr !== undefined);
    assert.equal(steps.length, 5);
  });

  it('the network', () => {
    assert.deepEqual(Object.keys(expected.weights), ['body.weight', 'body.bias', 'head.weight', 'head.bias']);
    const spec = { ...e.model, inputChannels: 1, classes: 3 } as never;
    const { params, forward } = build(spec);
    assert.deepEqual(forward({ params, training: false, updates: {} }, tf.ones([1, 4, 5, 6, 1]))[0].shape, [1, 4, 5, 6, 3]);
    assert.deepEqual(
      describeModel(spec, [4, 5, 6]).stages.map((stage) => stage.name),
      ['body', 'head'],
    );
  });

  it('the loss', () => {
    const { loss } = lookup('losses', 'squared');
    const value = loss(tf.zeros([1, 1, 1, 2, 2]), tf.zeros([1, 1, 1, 2]), { weight: 2 }, { regions: false, heads: 2 });
    assert.equal(value.dataSync()[0], 0.5);
    for (const { loss } of readProgress(runFolderOf(e, 0, 1))) if (loss !== undefined) assert.ok(loss! > 0 && loss! < 2 / 3);
  });

  it('the transform', () => {
    const { apply, draw } = pipeline(e.recipe.augmentation as Recipe['augmentation'], { patchSize: [2, 2, 2], mirrorAxes: [] });
    const sample = { image: new Float32Array(8).fill(1), seg: new Int16Array(8), shape: [2, 2, 2] as never, channels: 1 };
    const drawn = draw(new Random(1).split('a'), sample);
    const { by } = drawn.find(({ transform }) => transform === 'scaled') as unknown as { by: number };
    const plain = apply(
      drawn.filter(({ transform }) => transform !== 'scaled'),
      structuredClone(sample),
    );
    assert.deepEqual(
      apply(drawn, structuredClone(sample)).image,
      plain.image.map((v) => v * by),
    );
  });

  it('the metric', () => {
    for (const { classes } of readScores(runFolderOf(e, 0, 1))!.cases)
      for (const name of ['shell', 'core']) {
        const share = classes[name].prevalence as number;
        assert.ok(share > 0 && share < 0.2, `${name} ${share}`);
      }
  });

  it('stopped after the third step and resumed, they come to the same weights', () => {
    ownRuns('resumed');
    const stopped = run({ STOP_AFTER: '3' }, '--in-process');
    assert.equal(stopped.status, 143, stopped.stdout + stopped.stderr);
    assert.ok(readProgress(runFolderOf(e, 0, 1)).length < expected.log.length);
    const again = run({});
    assert.equal(again.status, 0, again.stdout + again.stderr);
    assert.deepEqual(found(), expected);
  });

  it('a Slurm job comes to the same weights', async function () {
    const why = whyNoCluster();
    if (why) {
      console.log(`      skipped: ${why}`);
      this.skip();
    }
    ownRuns('cluster');
    let cluster: Cluster | undefined;
    try {
      cluster = startCluster();
      Object.assign(process.env, cluster.env);
      const { failures } = await study([e], { display: null, target: 'slurm', slurm: { cpus: 1, pollMs: 500 } });
      assert.deepEqual(failures, []);
      assert.deepEqual(found(), expected);
    } finally {
      delete process.env.SLURM_CONF;
      cluster?.stop();
    }
  });
});
