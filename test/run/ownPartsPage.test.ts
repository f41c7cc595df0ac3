// The page "Your own parts" as it stands: its modules are compiled, and one experiment that uses every one of them runs from outside.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { extensionFile, loadExtension, loadExtensions } from '../../src/base/extensions.js';
import { projectRoot } from '../../src/base/paths.js';
import { nodeArguments } from '../../src/base/workers.js';
import { open } from '../../src/dataset/index.js';
import { run as preprocess, preprocessedFolder } from '../../src/preprocess/index.js';
import { StoredCase } from '../../src/preprocess/store.js';
import { complete, graph, readProgress, readScores, type ShortExperiment } from '../../src/run/index.js';
import { submit } from '../../src/run/slurm.js';
import { prepare, runFolderOf, runHash, type SampleSource, startFeed } from '../../src/train/index.js';
import { readVolume, writeVolume } from '../../src/volume/index.js';
import { postprocess } from '../../src/volume/postprocess.js';
import { modulesOf, writeModules } from '../codeBlocks.js';
import { finalWeights, leaveWorkplace, tinyExperiment, workplace } from './tiny.js';

const page = 'environment/docs/own-parts.md';
const modules = modulesOf(page);
const text = fs.readFileSync(path.join(projectRoot, page), 'utf8');
const cli = nodeArguments(new URL('../../src/run/cli.js', import.meta.url));

/** The lines of the page that say how an experiment names a part. */
function saidOnThePage(): { recipe: object; whole: object } {
  const parts = [...text.matchAll(/^`("\w+": .*?)`(.*)/gm)].map(([, json, rest]) => ({
    json: JSON.parse(`{${json}}`),
    inRecipe: rest.includes('in the recipe'),
  }));
  const joined = (inRecipe: boolean) => Object.assign({}, ...parts.filter((p) => p.inRecipe === inRecipe).map((p) => p.json));
  return { recipe: joined(true), whole: joined(false) };
}

/** The set of small balls in the page's own format. */
function inOwnFormat(from: string, to: string): void {
  for (const part of ['imagesTr', 'labelsTr']) {
    fs.mkdirSync(path.join(to, part), { recursive: true });
    for (const name of fs.readdirSync(path.join(from, part)))
      writeVolume(path.join(to, part, name.replace('.nii.gz', '.vox')), readVolume(path.join(from, part, name)));
  }
  const json = JSON.parse(fs.readFileSync(path.join(from, 'dataset.json'), 'utf8'));
  fs.writeFileSync(path.join(to, 'dataset.json'), JSON.stringify({ ...json, file_ending: '.vox' }));
}

describe('the page "Your own parts"', function () {
  this.timeout(600_000);
  let root: string;
  let folder: string;
  const silent = { onNote: () => {} };

  /** Every module of the page in one experiment of two epochs. */
  const experiment = (seed: number): ShortExperiment => {
    const { recipe, prediction, configuration, scale } = tinyExperiment(root);
    const said = saidOnThePage();
    return {
      dataset: '../Dataset043_Voxels',
      configuration,
      scale,
      seeds: [seed],
      ...said.whole,
      recipe: { ...recipe, epochs: 2, iterationsPerEpoch: 3, deepSupervision: 'none', ...said.recipe },
      prediction: { ...prediction, ...(said.whole as { prediction: object }).prediction },
      extensions: [...modules.keys()].map((name) => `./${name}`),
    } as unknown as ShortExperiment;
  };

  after(leaveWorkplace);
  before(async () => {
    root = workplace();
    folder = path.join(root, 'own');
    writeModules(folder, modules);
    await loadExtension(path.join(folder, 'reader.ts'));
    inOwnFormat(path.join(root, 'Dataset042_Balls'), path.join(root, 'Dataset043_Voxels'));
  });

  it('shows each kind in at most 20 lines', () => {
    assert.equal(modules.size, 12);
    for (const [name, code] of modules) assert.ok(code.trim().split('\n').length <= 20, name);
  });

  it('an experiment with all of them is prepared in workers, trained and predicted in a child process', async () => {
    const file = path.join(folder, 'e.json');
    fs.writeFileSync(file, JSON.stringify(experiment(1)));
    const run = spawnSync(process.execPath, [...cli, 'run', file], { encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr + run.stdout);
    for (const name of modules.keys()) assert.match(run.stdout, new RegExp(`loads code: \\S*${name} \\([0-9a-f]{12}\\)`));
    const e = await complete(experiment(1), { folder, ...silent });
    const own = runFolderOf(e, 0, 1);
    // Planner and normalisation.
    const plan = JSON.parse(fs.readFileSync(path.join(own, 'plan.json'), 'utf8'));
    assert.equal(plan.experiment_planner_used, 'windowed');
    const { data_identifier: data, patch_size, normalization_schemes } = plan.configurations['3d_fullres'];
    assert.deepEqual([patch_size, normalization_schemes], [[16, 16, 16], [{ kind: 'window', low: 0, high: 40 }]]);
    assert.match(data, /^windowedPlans_[0-9a-f]{8}_3d_fullres$/);
    const stored = new StoredCase(path.join(preprocessedFolder(open(e.dataset)), data), 'ball_0');
    const { data: voxels } = stored.box([0, 0, 0], stored.shape);
    const image = readVolume(path.join(e.dataset, 'imagesTr', 'ball_0_0000.vox')).data;
    assert.deepEqual(
      voxels,
      Float32Array.from(image, (v) => Math.min(Math.max(v, 0), 40) / 40),
    );
    // Schedule, hook and network.
    assert.deepEqual(
      readProgress(own).flatMap(({ lr }) => lr ?? []),
      [0.001, 0.001, 0.001, 0.0005, 0.0005, 0.0005],
    );
    assert.equal(fs.readFileSync(path.join(own, 'rates.txt'), 'utf8').split('\n')[3], '4 0.0005');
    assert.deepEqual(Object.keys(finalWeights(own)), ['body.weight', 'body.bias', 'head.weight', 'head.bias']);
    // Metric, reader (which writes the predictions) and post-processing.
    const { cases } = readScores(own)!;
    assert.ok(cases.every(({ classes }) => Number.isFinite(classes.shell.volumeErrorMl as number)));
    const predicted = readVolume(path.join(own, 'predictions', `${cases[0].id}.vox`)).data;
    assert.ok(predicted.every((v) => v <= 1));
  });

  it('a Slurm job script computes the run with them', async () => {
    const e = await complete(experiment(2), { folder, ...silent });
    const { folder: scripts } = await submit(graph([e]), { dryRun: true });
    const [lines] = fs.readdirSync(path.join(scripts, 'arrays'));
    execFileSync('bash', [path.join(scripts, 'run.sh'), path.join(scripts, 'arrays', lines)], {
      env: { ...process.env, SLURM_ARRAY_TASK_ID: '0' },
      stdio: 'pipe',
    });
    assert.ok(readScores(runFolderOf(e, 0, 2)));
  });

  it('the sampler places patches in the workers of the feed', async () => {
    const e = await complete(experiment(1), { folder, ...silent });
    const prepared = await prepare(e);
    const source: SampleSource = {
      ...{
        folder: prepared.folder,
        train: ['ball_0'],
        validation: ['ball_0'],
        seed: 1,
        batchSize: 2,
        channels: 1,
        dimensions: 3,
      },
      ...{ patch: [16, 16, 16], outputShapes: [[16, 16, 16]], oversampleForeground: 1, cacheBytes: 0 },
      sampler: { kind: 'middle', every: 1 } as never,
      augmentation: [],
      augmentationSettings: { mirrorAxes: [] },
    };
    const feed = startFeed(source, { workers: 1, turn: () => undefined });
    try {
      const { image } = await feed.next('train', 0);
      const { data } = new StoredCase(prepared.folder, 'ball_0').box([2, 2, 2], [16, 16, 16]);
      assert.deepEqual(image.subarray(0, 16 ** 3), data);
    } finally {
      await feed.close();
    }
  });

  it('a command without an experiment loads what --extension names', () => {
    const set = path.join(root, 'Dataset043_Voxels');
    const check = (...more: string[]) => spawnSync(process.execPath, [...cli, 'check', set, ...more], { encoding: 'utf8' });
    const file = path.join(folder, 'reader.ts');
    const { status, stdout, stderr } = check('--extension', file);
    assert.equal(status, 0, stdout + stderr);
    assert.ok(stdout.startsWith(`loads code: ${file} (`), stdout);
    assert.match(check().stderr, /file_ending: "\.vox"; expected one of .*bring a reader by an extension/);
  });

  it('the post-processing works by its name, and its settings are checked', async () => {
    await loadExtension(path.join(folder, 'postprocessing.ts'));
    const grid = { shape: [1, 1, 3], spacingMm: [1, 1, 1] };
    const step = { kind: 'atMost', label: 1 };
    assert.deepEqual([...postprocess(Uint8Array.of(0, 1, 2), grid, [step])], [0, 1, 1]);
    assert.throws(() => postprocess(Uint8Array.of(0), [] as never, [{ ...step, label: 'x' }]), /steps\[0\]\.label: "x"/);
    assert.throws(() => postprocess(Uint8Array.of(0), grid, [{ kind: 'atMots' }]), /Did you mean atMost\?/);
  });

  it('what each module holds belongs to the identity of the run', async () => {
    const e = await complete(experiment(1), { folder, ...silent });
    const hashes = [...modules].map(([name, code]) => {
      const changed = path.join(root, 'changed', name);
      fs.mkdirSync(path.dirname(changed), { recursive: true });
      fs.writeFileSync(changed, `${code}// other\n`);
      const extensions = e.extensions!.map((x) => (path.basename(x.file) === name ? extensionFile(changed) : x));
      return runHash({ ...e, extensions }, 0, 1);
    });
    assert.equal(new Set([...hashes, runHash(e, 0, 1)]).size, modules.size + 1);
  });

  it('cases are made again when the code of their normalisation or reader changes', async () => {
    const e = await complete(experiment(1), { folder, ...silent });
    const { dataset, plan } = await prepare(e);
    const computed = async () => (await preprocess(dataset, plan, e.configuration, { workers: 1 })).computed.length;
    assert.equal(await computed(), 0);
    for (const name of ['normalisation.ts', 'reader.ts']) {
      fs.appendFileSync(path.join(folder, name), '// other\n');
      await loadExtension(path.join(folder, name));
      assert.equal(await computed(), 6, name);
    }
  });

  const mine = (kind: string, part: string) => `import { extend } from 'voxelbook';\nextend({\n  ${kind}: [${part}] } as never);`;
  for (const [what, code, message] of [
    ['sampler', mine('samplers', "{ name: 'mine' }"), /bad\.ts:2, samplers\.mine\.place: undefined; expected a function/],
    [
      'normalisation',
      mine('normalisations', "{ name: 'NoNormalization', normalise() {} }"),
      /bad\.ts:2, .*NoNormalization: the name of/,
    ],
    [
      'planner',
      mine('planners', "{ name: 'mine', plan: () => 1 }"),
      /bad\.ts:2, planners\.mine\.plansName: undefined; .*Name its plans/,
    ],
    [
      'reader',
      mine('readers', "{ name: 'mine', read: () => 1, endings: ['.nii'] }"),
      /bad\.ts:2, readers\.mine\.endings: \.nii; .*nifti has it/,
    ],
    ['post-processing', mine('postprocessing', "{ name: 'mine', apply: 1 }"), /bad\.ts:2, postprocessing\.mine\.apply: number; /],
  ] as const)
    it(`a faulty ${what} is named with file, line and part`, async () => {
      const bad = path.join(folder, 'bad.ts');
      fs.writeFileSync(bad, code);
      await assert.rejects(loadExtensions([extensionFile(bad)]), message);
    });

  it('an error while a part works names file, line and part, from a worker too', async () => {
    const bad = path.join(folder, 'faulty.ts');
    const throws = (what: string) => `{\n  const a: any = null;\n  return a.${what};\n}`;
    fs.writeFileSync(
      bad,
      `import { extend } from 'voxelbook';
extend({ normalisations: [{ name: 'broken', normalise() ${throws('mean')} }] });
extend({ samplers: [{ name: 'lost', place() ${throws('place')} }] });
`,
    );
    await loadExtension(bad);
    const e = await complete(experiment(1), { folder, ...silent });
    const { dataset, plan, folder: data } = await prepare(e);
    const broken = structuredClone(plan);
    Object.assign(broken.configurations['3d_fullres'], { normalization_schemes: ['broken'], data_identifier: 'broken' });
    await assert.rejects(
      preprocess(dataset, broken, '3d_fullres', { workers: 1 }),
      /ball_0.*faulty\.ts:4, normalisations\.broken\.normalise: .*reading 'mean'/s,
    );
    const source = {
      folder: data,
      train: ['ball_0'],
      validation: [],
      seed: 1,
      batchSize: 1,
      patch: [16, 16, 16],
      channels: 1,
      dimensions: 3,
    };
    const more = { outputShapes: [[16, 16, 16]], oversampleForeground: 0, cacheBytes: 0, sampler: { kind: 'lost' } };
    const pipeline = { augmentation: [], augmentationSettings: { mirrorAxes: [] } };
    const feed = startFeed({ ...source, ...more, ...pipeline } as never, { workers: 1, turn: () => undefined });
    await assert
      .rejects(feed.next('train', 0), /faulty\.ts:8, samplers\.lost\.place: .*reading 'place'/s)
      .finally(() => feed.close());
  });
});
