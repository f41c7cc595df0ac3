// The plan of every paper's whole study, without its data; and that it is the plan which a run then has.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { nodeArguments } from '../../src/base/workers.js';
import { methodNotes, published, type StudyName, study, studyNames } from '../../src/paper/index.js';
import { type DryRun, type DryRunRow, dryRun, graph, readScores } from '../../src/run/index.js';
import { forecastOf, prepare } from '../../src/train/index.js';
import { type Cluster, startCluster, whyNoCluster } from './cluster.js';
import { leaveWorkplace, tinyExperiment, workplace } from './tiny.js';

describe('dry run of a study', () => {
  let root: string;
  const plans = new Map<StudyName, DryRun>();
  const planOf = async (name: StudyName) => {
    if (!plans.has(name)) plans.set(name, await dryRun(study(name, { scale: 'paper' })));
    return plans.get(name)!;
  };
  const row = (plan: DryRun, name: string, dataset?: string): DryRunRow =>
    plan.rows.find((r) => (r.name === name || r.alsoNamed.includes(name)) && (!dataset || r.dataset === dataset))!;

  before(() => {
    root = workplace();
  });
  after(leaveWorkplace);

  for (const name of studyNames)
    it(`${name}: every experiment of every table is built at full size`, async function () {
      this.timeout(300_000);
      const plan = await planOf(name);
      console.log(`      ${plan.summary}`);
      for (const r of plan.rows) {
        assert.equal(r.error, undefined, `${r.name}, ${r.dataset}: ${r.error}`);
        assert.equal(r.unknown, undefined);
        for (const key of ['parameters', 'macs', 'gpuBytes', 'hostBytes', 'checkpointBytes', 'batch'] as const)
          assert.ok(r[key]! > 0, `${r.name}: ${key}`);
        assert.ok(r.gpuRecomputedBytes! <= r.gpuBytes!);
        // Parameters with the optimiser's slots and their gradients are the least a training step holds.
        assert.ok(r.gpuBytes! > 12 * r.parameters!, r.name);
        assert.ok(r.hours === null ? r.hoursBasis.length > 0 : r.hours > 0);
      }
      const text = String(plan);
      const { paper, tables } = study(name, { scale: 'paper' });
      for (const { id } of tables)
        for (const note of methodNotes(paper, id))
          assert.ok(
            plan.notes.some((n) => n.includes(id) && n.includes(note)),
            `${id}: ${note}`,
          );
      for (const { experiments } of tables)
        for (const e of experiments) {
          assert.ok(row(plan, e.name, e.dataset), `${e.name}, ${e.dataset}`);
          assert.ok(text.includes(e.name), e.name);
        }
    });

  it('an experiment of two tables is one row; its runs are folds times seeds', async () => {
    const plan = await planOf('mednext');
    const k3 = row(plan, 'MedNeXt-B (kernel 3)', 'BTCV');
    assert.deepEqual(k3.alsoNamed, ['MedNeXt-B resampling (residual inverted bottleneck), k3']);
    assert.deepEqual([k3.tables, k3.folds, k3.seeds, k3.runs], [['2', '1 right'], 5, 1, 5]);
    assert.equal(plan.totals.runs, graph(study('mednext', { scale: 'paper' }).experiments).length);
    assert.equal(new Set(plan.runs.map((r) => r.hash)).size, plan.totals.runs);
  });

  it('UpKern and fine-tuning stand one level above what they start from', async () => {
    const start = (plan: DryRun, r: DryRunRow) => plan.rows.find((other) => other.number === r.startsFrom)!;
    const mednext = await planOf('mednext');
    for (const dataset of ['BTCV', 'AMOS22', 'KiTS19', 'BraTS21'])
      for (const size of ['S', 'B', 'M', 'L']) {
        const k5 = row(mednext, `MedNeXt-${size} (kernel 5)`, dataset);
        assert.deepEqual([k5.level, start(mednext, k5).level], [1, 0]);
        assert.deepEqual([start(mednext, k5).name, start(mednext, k5).dataset], [`MedNeXt-${size} (kernel 3)`, dataset]);
      }
    assert.equal(row(mednext, 'from scratch, k5').level, 0);
    assert.equal(row(mednext, 'UpKern init from k3, kernel kept at 3 (trained 2x), k3').level, 1);
    const stuNet = await planOf('stu-net');
    for (const dataset of ['FLARE22', 'AMOS22CTMR', 'AutoPET22'])
      for (const size of ['B', 'L', 'H']) {
        const tuned = row(stuNet, `STU-Net-${size}-ft`, dataset);
        assert.equal(tuned.level, 1);
        assert.equal(start(stuNet, tuned).dataset, 'TotalSegmentator');
        assert.ok(start(stuNet, tuned).tables.includes('mean'), 'pre-training is the row of the scaling figure');
      }
    const swin = await planOf('swin-umamba');
    assert.match(String(row(swin, 'Swin-UMamba', 'EndoVis17').startsFrom), /\.pth$/);
    assert.deepEqual(swin.totals.levels, [36]);
  });

  it('at demo scale what is only started from is planned too', async function () {
    this.timeout(300_000);
    const plan = await dryRun(study('swin-umamba', { scale: 'demo', tables: ['3'] }));
    assert.deepEqual(plan.totals.levels, [20, 4]);
    const before = row(plan, 'Swin-UMamba, source');
    assert.deepEqual(before.tables, []);
    assert.equal(row(plan, 'Swin-UMamba').startsFrom, before.number);
    assert.equal(row(plan, 'Swin-UMamba').gpuBytes, null);
  });

  it('parameters, multiply-adds and hours are the published ones where those exist', async () => {
    const mednext = await planOf('mednext');
    const readme = published.mednext.tables.find((t) => t.id === 'readme-architectures')!;
    for (const { name, kernel, params_M: millions } of readme.rows) {
      const found = row(mednext, `MedNeXt-${name} (kernel ${kernel})`, 'BTCV').parameters! / 1e6;
      assert.ok(Math.abs(found - Number(millions)) < 0.1, `${name} ${kernel}: ${found}`);
    }
    const stuNet = await planOf('stu-net');
    const sizes = published.stuNet.tables.find((t) => t.id === 'model-sizes')!;
    for (const { model, params_M: millions, FLOPs_T: tera } of sizes.rows) {
      const found = row(stuNet, String(model), 'TotalSegmentator');
      assert.ok(Math.abs(found.parameters! / 1e6 / Number(millions) - 1) < 0.005, `${model}: ${found.parameters}`);
      assert.ok(Math.abs(found.macs! / 1e12 / Number(tera) - 1) < 0.02, `${model}: ${found.macs}`);
    }
    const revisited = published.mednext.tables.find((t) => t.id === 'independent-nnunet-revisited')!;
    const hours = (name: string) => Number(revisited.rows.find((r) => r.network === name)!.train_hours_A100);
    const ours = { 'MedNeXt L k3': 'MedNeXt-L (kernel 3)', 'MedNeXt L k5': 'MedNeXt-L (kernel 5)', 'STU-Net L': 'STU-Net L' };
    for (const [theirs, name] of Object.entries(ours))
      assert.ok(Math.abs(row(mednext, name, 'BTCV').hours! / hours(theirs) - 1) < 0.01, theirs);
    // Four times the epochs with one validation iteration instead of fifty, and half the multiply-adds again of a larger patch.
    const pretraining = row(stuNet, 'STU-Net-L', 'TotalSegmentator');
    assert.ok(pretraining.hours! > 2.5 * hours('STU-Net L') && pretraining.hours! < 5 * hours('STU-Net L'));
  });

  it('on the data at hand the plan, the arithmetic and the checkpoints are those of the run', async () => {
    const experiment = tinyExperiment(root);
    const plan = await dryRun([experiment]);
    const [planned] = plan.rows;
    assert.equal(planned.error, undefined);
    const real = await forecastOf(experiment);
    assert.deepEqual([planned.parameters, planned.macs, planned.checkpointBytes], [real.parameters, real.flops, real.diskBytes]);
    assert.deepEqual([planned.patch, planned.batch, planned.spacingMm], [[16, 16, 16], 2, [1, 1, 1]]);
    assert.match(planned.planSource, /ExperimentPlanner on the data's fingerprint/);
  });

  it('the plan a paper fixes is the plan of the run', async () => {
    const experiment = tinyExperiment(root, { plan: 'stuNet' });
    const [planned] = (await dryRun([experiment])).rows;
    const { configuration, folder } = await prepare(experiment);
    assert.deepEqual([planned.spacingMm, planned.patch, planned.batch], [[1.5, 1.5, 1.5], [16, 16, 16], 2]);
    assert.deepEqual(
      [configuration.spacing, configuration.patch_size, configuration.batch_size],
      [[1.5, 1.5, 1.5], [16, 16, 16], 2],
    );
    assert.match(folder, /nnUNetPlans_stuNet_3d_fullres$/);
    assert.match(planned.planSource, /fixed by STU-Net/);
  });

  it('what only the data can say is said to be so, in the row', async () => {
    const [experiment] = study('mednext', { scale: 'paper', tables: ['Revisited'] }).experiments;
    const plan = await dryRun([
      { ...experiment, dataset: 'AMOS22' },
      { ...experiment, dataset: 'nowhere' },
    ]);
    const [amos, nowhere] = plan.rows;
    assert.match(amos.unknown!, /planned from the data's own fingerprint: the descriptor of AMOS22 has no image size/);
    assert.deepEqual([amos.patch, amos.parameters, amos.gpuBytes, amos.hours], [null, null, null, null]);
    assert.match(nowhere.error!, /there is no data set nowhere/);
    assert.match(String(plan), /Cannot be built: #2/);
    const approximate = (await planOf('mednext')).rows.find((r) => r.name === 'ResEnc L' && r.dataset === 'BTCV')!;
    assert.match(approximate.approximate!, /the data's fingerprint decides/);
    assert.deepEqual(approximate.patch, [80, 256, 256]);
  });

  it('leaves nothing but the scripts', async () => {
    const place = workplace();
    const plan = await dryRun(study('kaist-brats21', { scale: 'paper' }), { slurm: { partition: 'gpu' } });
    assert.deepEqual(fs.readdirSync(path.join(place, 'runs')), ['submit']);
    assert.deepEqual(fs.readdirSync(plan.scripts!).sort(), [
      'arrays',
      'grid.jsonl',
      'log',
      'run.sh',
      'site.json',
      'submit.sh',
      'summary.sh',
    ]);
    const script = fs.readFileSync(path.join(plan.scripts!, 'run.sh'), 'utf8');
    // biome-ignore lint/suspicious/noTemplateCurlyInString: bash's own substitution
    assert.ok(script.includes('\nexport VOXELBOOK_THREADS=${SLURM_CPUS_PER_TASK:-1}\n'));
    assert.ok(script.includes('#SBATCH --partition=gpu\n'));
    const calls = fs
      .readFileSync(path.join(plan.scripts!, 'submit.sh'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('job'));
    assert.ok(
      calls.every((line) => / --gres=gpu:1 --mem=16G (--time=\d+:00:00 )?--array=0-\d+ /.test(line)),
      calls.join('\n'),
    );
    assert.equal(
      calls.reduce((n, line) => n + Number(/--array=0-(\d+)/.exec(line)![1]) + 1, 0),
      25,
    );
  });

  it('in a terminal: a paper by name, a single table, a JSON file; a slip is told', function () {
    this.timeout(300_000);
    const place = workplace();
    const cli = nodeArguments(new URL('../../src/run/cli.js', import.meta.url));
    const voxelbook = (...args: string[]) => spawnSync(process.execPath, [...cli, 'reproduce', ...args], { encoding: 'utf8' });
    const csv = path.join(place, 'plan.csv');
    const paper = voxelbook('kaist-brats21', '--scale', 'paper', '--dry-run', '--csv', csv);
    assert.equal(paper.status, 0, paper.stderr);
    assert.match(paper.stdout, /5 experiments, 25 runs \(25 of level 0\)/);
    assert.match(paper.stdout, /BL\+L\+GN +BraTS21 +0 +5×1 +kaistBrats21 \[a\] +128³ +2 +1 +87\.4/);
    assert.match(paper.stdout, /Job scripts in .*submit\/[0-9a-f]{12}; bash submit\.sh/);
    assert.equal(fs.readFileSync(csv, 'utf8').trim().split('\n').length, 6);
    const file = path.join(place, 'tiny.json');
    fs.writeFileSync(file, JSON.stringify([tinyExperiment(place)]));
    const list = voxelbook(file, '--dry-run');
    assert.equal(list.status, 0, list.stderr);
    assert.match(list.stdout, /tiny k3/);
    const slip = voxelbook('mednxt', '--dry-run');
    assert.equal(slip.status, 2);
    assert.match(slip.stderr, /mednxt; expected mednext, kaist-brats21, stu-net, swin-umamba, or an existing JSON file/);
  });

  it('Slurm takes the scripts of every paper, and its jobs make the run folders themselves', async function () {
    const why = whyNoCluster();
    if (why) {
      console.log(`      skipped: ${why}`);
      this.skip();
    }
    this.timeout(600_000);
    const place = workplace();
    let cluster: Cluster | undefined;
    try {
      cluster = startCluster();
      Object.assign(process.env, cluster.env);
      // The test node has no GPU and two cores.
      const slurm = { gres: '', memory: '', cpus: 1, time: '1:00:00' };
      for (const name of studyNames) {
        const { scripts, runs } = await dryRun(study(name, { scale: 'paper' }), { slurm });
        const calls = [...fs.readFileSync(path.join(scripts!, 'submit.sh'), 'utf8').matchAll(/sbatch (.*?)('.*\.sh')/g)];
        const elements = calls.map(([, options]) => /--array=0(?:-(\d+))?/.exec(options)).filter((found) => found !== null);
        assert.equal(
          elements.reduce((n, [, last]) => n + Number(last ?? 0) + 1, 0),
          runs.length,
        );
        for (const [, options, script] of calls) {
          // Without the jobs before it, which do not exist yet.
          const own = options.replace(/--dependency=\S+/, '');
          const { status, stderr } = spawnSync('bash', ['-c', `sbatch --test-only ${own} ${script}`], { encoding: 'utf8' });
          assert.equal(status, 0, `${name}: ${stderr}`);
          assert.match(stderr, /to start at/);
        }
      }
      const small = tinyExperiment(place, { recipe: { ...tinyExperiment(place).recipe, epochs: 1 } });
      const large = tinyExperiment(place, { recipe: small.recipe, name: 'tiny k5', init: { upkernFrom: small } }, 5);
      const { scripts, runs } = await dryRun([large], { slurm });
      assert.deepEqual(
        runs.map((r) => [r.level, fs.existsSync(r.folder)]),
        [
          [0, false],
          [1, false],
        ],
      );
      execFileSync('bash', [path.join(scripts!, 'submit.sh')]);
      const summary = path.join(scripts!, 'summary.txt');
      for (let i = 0; i < 600 && !(fs.existsSync(summary) && fs.readFileSync(summary, 'utf8')); i++)
        await new Promise((resolve) => setTimeout(resolve, 500));
      assert.match(fs.readFileSync(summary, 'utf8'), /2 of 2 runs finished/);
      assert.ok(runs.every((r) => readScores(r.folder)));
    } finally {
      delete process.env.SLURM_CONF;
      cluster?.stop();
    }
  });
});
