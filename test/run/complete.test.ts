import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../../src/base/errors.js';
import { projectRoot } from '../../src/base/paths.js';
import { withDefaults } from '../../src/base/schema.js';
import { networkSettings } from '../../src/model/settings.js';
import { study as paperStudy, studyNames } from '../../src/paper/index.js';
import { storePlan } from '../../src/plan/index.js';
import { complete, readExperiments, type ShortExperiment } from '../../src/run/index.js';
import { referenceFiles } from '../../src/run/reference.js';
import { submit } from '../../src/run/slurm.js';
import { type Experiment, prepare, runHash, runName } from '../../src/train/index.js';
import { leaveWorkplace, tinyExperiment, workplace } from './tiny.js';

const silent = { onNote: () => {} };
const faultsOf = async (value: unknown): Promise<string> => {
  const error = await complete(value as ShortExperiment, silent).then(
    () => assert.fail('it was accepted'),
    (e) => e,
  );
  assert.ok(error instanceof VoxelbookError, String(error));
  return error.message;
};

describe('an experiment as a person writes it', () => {
  let root: string;
  after(leaveWorkplace);
  before(() => {
    root = workplace();
  });

  const short = (): ShortExperiment => ({
    dataset: path.join(root, 'Dataset042_Balls'),
    model: { network: 'mednext', size: 'S', kernel: 3 },
  });

  it('three keys are complete, and the same run as spelled out', async () => {
    const whole = await complete(short(), silent);
    assert.equal(whole.recipe.optimiser.kind, 'adamw');
    assert.equal(whole.recipe.epochs, 1000);
    assert.equal(whole.recipe.patchSize, undefined);
    assert.deepEqual(
      [whole.folds, whole.seeds, whole.scale, whole.configuration, whole.name],
      [[0], [0], 'paper', '3d_fullres', 'mednext S k3'],
    );
    const spelledOut = { ...whole, model: withDefaults(networkSettings.mednext, whole.model), trainShare: 1 } as Experiment;
    assert.equal(spelledOut.model.network === 'mednext' && spelledOut.model.width, 32);
    assert.equal(runHash(await complete(JSON.parse(JSON.stringify(spelledOut)), silent), 0, 0), runHash(whole, 0, 0));
    assert.notEqual(runHash(await complete({ ...short(), recipe: { gradientClip: 11 } }, silent), 0, 0), runHash(whole, 0, 0));
  });

  it('a whole experiment comes back as the very object', async () => {
    const whole = tinyExperiment(root);
    assert.equal(await complete(whole, silent), whole);
  });

  it('what is given of a recipe stands, the rest is the paper’s', async () => {
    const { recipe } = await complete(
      { ...short(), recipe: { epochs: 5, optimiser: { kind: 'adamw', learningRate: 0.5 } as never } },
      silent,
    );
    assert.deepEqual([recipe.epochs, recipe.iterationsPerEpoch], [5, 250]);
    assert.deepEqual(recipe.optimiser, {
      kind: 'adamw',
      learningRate: 0.5,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-4,
      weightDecay: 3e-5,
    });
    const other = await complete({ ...short(), recipe: { optimiser: { kind: 'sgd', learningRate: 0.5 } as never } }, silent);
    assert.deepEqual(other.recipe.optimiser, {
      kind: 'sgd',
      learningRate: 0.5,
      momentum: 0.99,
      nesterov: true,
      weightDecay: 3e-5,
    });
  });

  it('two-dimensional networks and pictures are 2d', async () => {
    assert.equal((await complete({ dataset: 'SimCells', model: { network: 'plain-conv-unet' } }, silent)).configuration, '2d');
    assert.equal((await complete({ dataset: 'SimGlioma', model: { network: 'transunet' } }, silent)).configuration, '2d');
    const unetr = await complete({ dataset: 'SimGlioma', model: { network: 'unetr' }, scale: 'demo' }, silent);
    assert.deepEqual([unetr.recipe.deepSupervision, unetr.recipe.patchSize, unetr.recipe.epochs], ['none', [32, 32, 32], 6]);
  });

  it('every experiment of every paper, at both scales, passes as it is', async function () {
    this.timeout(60_000);
    let count = 0;
    for (const name of studyNames)
      for (const scale of ['demo', 'paper'] as const)
        for (const e of paperStudy(name, { scale }).experiments) {
          const whole = await complete(e, silent);
          assert.equal(runHash(whole, 0, 0), runHash(e, 0, 0), `${name} ${e.name}`);
          count++;
        }
    assert.ok(count > 100, String(count));
  });

  it('misspelt keys, wrong names and missing settings are faults with the nearest name', async () => {
    const e = tinyExperiment(root) as Experiment & Record<string, any>;
    const change = (recipe: object) => faultsOf({ ...e, recipe: { ...e.recipe, ...recipe } });
    assert.match(
      await change({ augmentation: 'nnunet' }),
      /recipe\.augmentation: "nnunet"; expected .*nnunetv2.* Did you mean nnunetv2\?/,
    );
    assert.match(
      await change({ learning_rate: 3 }),
      /recipe\.learning_rate: an unknown key, 3; .* Did you mean optimiser\.learningRate\?/,
    );
    assert.match(
      await change({ optimiser: { kind: 'adam', learningRate: 1e-3 } }),
      /recipe\.optimiser\.kind: "adam"; expected one of sgd, adamw/,
    );
    assert.match(
      await change({ loss: { kind: 'fokal' } }),
      /recipe\.loss\.kind: "fokal"; expected one of dice\+ce, dice\+bce, .*Did you mean focal\?/,
    );
    const { learningRate: _, ...rest } = e.recipe.optimiser;
    assert.match(
      await change({ optimiser: { ...rest, lr: 0.01 } }),
      /recipe\.optimiser\.lr: an unknown key, 0\.01; .* Did you mean learningRate\?/,
    );
    const empty = await faultsOf({});
    assert.match(empty, /dataset: missing/);
    assert.match(empty, /model: missing/);
  });

  it('values are bounded, in what it starts from too, and every fault is named at once', async () => {
    const e = tinyExperiment(root);
    const text = await faultsOf({
      ...e,
      seeds: ['/../../../outside'],
      folds: [],
      model: { ...e.model, blocks: [1, 1, 65536, 1, 1, 1, 1, 1, 1] },
      recipe: { ...e.recipe, patchSize: [1e9, 1e9, 1e9] },
      init: { upkernFrom: { ...e, recipe: { ...e.recipe, patchSize: [16, 16, 0] } } },
    });
    assert.match(text, /seeds\[0\]: "\/\.\.\/\.\.\/\.\.\/outside"; expected a whole number of at least 0/);
    assert.match(text, /folds: \[\]; expected a list of 1 to 1000 folds/);
    assert.match(text, /model\.blocks\[2\]: 65536; expected a whole number from 1 to 64/);
    assert.match(text, /recipe\.patchSize\[0\]: 1000000000; expected a whole number from 1 to 4096/);
    assert.match(text, /init\.upkernFrom\.recipe\.patchSize\[2\]: 0;/);
    let deep: unknown = e;
    for (let i = 0; i < 5000; i++) deep = { ...e, init: { upkernFrom: deep } };
    assert.match(await faultsOf(deep), /at most 64 levels/);
    assert.match(await faultsOf({ ...e, name: 'a\nb' }), /name: "a\\nb"; expected one line without control characters/);
  });

  it('paths are relative to the file', async () => {
    const folder = path.join(root, 'experiments');
    fs.mkdirSync(folder, { recursive: true });
    const file = path.join(folder, 'e.json');
    fs.writeFileSync(path.join(folder, 'start.pth'), '');
    const text = { ...short(), dataset: '../Dataset042_Balls', init: { weights: 'start.pth' }, $schema: 'x.json' };
    fs.writeFileSync(file, JSON.stringify([text, { ...text, name: 'second' }]));
    const [e, second] = await readExperiments(file, silent);
    assert.equal(e.dataset, path.join(root, 'Dataset042_Balls'));
    assert.deepEqual(e.init, { weights: path.join(folder, 'start.pth') });
    assert.ok(!('$schema' in e));
    assert.equal(second.name, 'second');
    fs.writeFileSync(file, '[{}, {"dataset":');
    await assert.rejects(readExperiments(file, silent), /this experiment cannot be read\n.*e\.json: .*; expected JSON/);
    fs.writeFileSync(file, JSON.stringify([text, { ...text, sede: 1 }]));
    await assert.rejects(readExperiments(file, silent), /experiments\[1\]\.sede: an unknown key/);
  });

  it('an editor takes names of one’s own parts, with any settings; the commands do not before they are brought', async () => {
    const whole = (change: object) => ({ dataset: 'D', model: { network: 'mednext', size: 'S', kernel: 3 }, ...change });
    const own = [
      { model: { network: 'slim', width: 4 } },
      ...['optimiser', 'schedule', 'loss', 'sampler'].map((key) => ({ recipe: { [key]: { kind: 'mine', some: [1] } } })),
      {
        recipe: {
          augmentation: [
            { transform: 'offset', by: 0.1 },
            { transform: 'mirror', perAxis: 0.5 },
          ],
        },
      },
      { recipe: { hooks: [{ kind: 'rates' }] } },
      { prediction: { postprocessing: [{ kind: 'atMost', label: 1 }] } },
      { planner: 'windowed' },
      { planner: { kind: 'windowed', patch: 16 } },
      { scoring: { metrics: ['dsc', 'volumeErrorMl'] } },
    ];
    const wrong = [
      { recipe: { loss: { kind: 'focal', gama: 2 } } },
      { recipe: { loss: { kind: 'no name' } } },
      { recipe: { loss: { smooth: 1 } } },
      { recipe: { augmentation: [{ transform: 'noise', sd: 'much' }] } },
      { planner: 'Experiment Planner' },
      { recipe: { samplr: { kind: 'mine' } } },
    ];
    const script = `import json, sys, jsonschema
schema, values = json.load(sys.stdin)
jsonschema.Draft202012Validator.check_schema(schema)
check = jsonschema.Draft202012Validator(schema)
print(json.dumps([check.is_valid(value) for value in values]))`;
    const python = path.join(projectRoot, 'environment/.venv/bin/python');
    const text = fs.readFileSync(path.join(projectRoot, 'environment/docs/experiment.schema.json'), 'utf8');
    // Python's regular expressions know no classes of Unicode.
    const schema = JSON.parse(text.replaceAll('\\\\p{Cc}\\\\p{Zl}\\\\p{Zp}', '\\\\x00-\\\\x1f'));
    const answer = execFileSync(python, ['-c', script], { input: JSON.stringify([schema, [...own, ...wrong].map(whole)]) });
    assert.deepEqual(JSON.parse(String(answer)), [...own.map(() => true), ...wrong.map(() => false)]);
    for (const change of own)
      assert.match(await faultsOf(whole(change)), /expected (one of|dsc, )|there is no /, JSON.stringify(change));
  });

  it('the committed schemas and page are those of the code', () => {
    for (const [name, text] of Object.entries(referenceFiles()))
      assert.equal(
        fs.readFileSync(path.join(projectRoot, 'environment/docs', name), 'utf8'),
        text,
        `npm run schemas writes ${name} again`,
      );
  });
});

describe('the plan is the person’s', () => {
  let root: string;
  after(leaveWorkplace);
  beforeEach(() => {
    root = workplace();
  });
  const planAt = () => path.join(root, 'runs/data/preprocessed/Dataset042_Balls/nnUNetPlans.json');
  const read = () => JSON.parse(fs.readFileSync(planAt(), 'utf8'));

  it('the recipe’s patch and batch stay out of the data set’s plan', async function () {
    this.timeout(60_000);
    const prepared = await prepare(tinyExperiment(root));
    assert.deepEqual(prepared.configuration.patch_size, [16, 16, 16]);
    assert.notDeepEqual(read().configurations['3d_fullres'].patch_size, [16, 16, 16]);
  });

  it('an edited plan is what is used, is another run, and is never overwritten; what differs is said once', async function () {
    this.timeout(60_000);
    const e = tinyExperiment(root);
    await prepare(e);
    const plan = read();
    plan.configurations['3d_fullres'].spacing = [2, 2, 2];
    fs.writeFileSync(planAt(), JSON.stringify(plan));
    const notes: string[] = [];
    const edited = await complete(e, { onNote: (text) => notes.push(text) });
    await complete(e, { onNote: (text) => notes.push(text) });
    assert.equal(notes.length, 1);
    assert.match(
      notes[0],
      /nnUNetPlans\.json, which is not as it was planned\n {2}configurations\.3d_fullres\.spacing: \[2,2,2\] instead of \[1,1,1\]/,
    );
    assert.notEqual(runHash(edited, 0, 1), runHash(e, 0, 1));
    const prepared = await prepare(edited);
    assert.deepEqual(prepared.configuration.spacing, [2, 2, 2]);
    assert.deepEqual(read(), plan);
    assert.equal(storePlan(path.dirname(planAt()), { ...plan, dataset_name: 'other' }), false);
    // The same content in another layout is the same plan; another content is no longer what the run was made with.
    fs.writeFileSync(planAt(), JSON.stringify(plan, null, 4));
    await prepare(edited);
    plan.configurations['3d_fullres'].batch_size = 5;
    fs.writeFileSync(planAt(), JSON.stringify(plan));
    await assert.rejects(prepare(edited), /the plan has changed since this experiment was made/);
  });

  it('a plan named in the experiment is used where it lies, with data of its own', async function () {
    this.timeout(60_000);
    const e = tinyExperiment(root);
    await prepare(e);
    const plan = read();
    plan.configurations['3d_fullres'].spacing = [2, 2, 2];
    fs.writeFileSync(path.join(root, 'mine.json'), JSON.stringify(plan));
    const own = await complete({ ...e, plan: './mine.json' }, { ...silent, folder: root });
    const prepared = await prepare(own);
    assert.deepEqual(prepared.configuration.spacing, [2, 2, 2]);
    assert.notEqual(prepared.folder, (await prepare(e)).folder);
    assert.deepEqual(read().configurations['3d_fullres'].spacing, [1, 1, 1]);
    plan.transpose_forward = [0, 0, 0];
    fs.writeFileSync(path.join(root, 'mine.json'), JSON.stringify(plan));
    await assert.rejects(
      complete({ ...e, plan: './mine.json' }, { ...silent, folder: root }),
      /plan, transpose_forward: \[0,0,0\]/,
    );
    await assert.rejects(
      complete({ ...e, plan: 'mednxt' }, { ...silent, folder: root }),
      /mednxt: no such file; .*Plans of papers: mednext/,
    );
  });
});

describe('nothing from outside reaches a shell', () => {
  after(leaveWorkplace);
  it('a site with line breaks, quotes or unknown keys is refused with every fault', async () => {
    workplace();
    const site = {
      partition: 'gpu\ntouch canary',
      account: "a'b",
      time: '1h',
      memroy: '4G',
      setup: ['module load x\nrm'],
      env: { 'A B': '1' },
    };
    const error = await submit([], { ...site, dryRun: true } as never).catch((e) => e);
    for (const part of [
      /partition: "gpu\\ntouch canary"/,
      /account: /,
      /time: "1h"/,
      /memroy: an unknown key, "4G"; .*Did you mean memory\?/,
      /setup\[0\]: /,
      /env/,
    ])
      assert.match(error.message, part);
  });

  it('a run’s name is a plain name whatever the experiment is called', () => {
    const e = tinyExperiment('/x', { name: '../$(touch x)`y`\n"z"' });
    assert.match(runName(e, 0, 1), /^touch-x-y-z_fold0_seed1-[0-9a-f]{12}$/);
  });
});
