// F6: JSON from outside and from disk, mutated, through the doors that read it; and command lines.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { readJsonFile } from '../../../src/base/json.js';
import { Random } from '../../../src/base/random.js';
import { parse } from '../../../src/base/schema.js';
import { knownSplits, labels, open } from '../../../src/dataset/index.js';
import { configuration, readPlan } from '../../../src/plan/index.js';
import { readOrder, runFolders } from '../../../src/run/folder.js';
import { finishedRun, list, listText, readExperiments, start, stateOf, trainedModel } from '../../../src/run/index.js';
import { namedRuns } from '../../../src/run/named.js';
import { siteSchema } from '../../../src/run/siteSchema.js';
import { CheckpointFolder } from '../../../src/train/checkpoint.js';
import { runFolderOf, runName } from '../../../src/train/index.js';
import { hostileStrings } from '../../report/hostile.js';
import { tinyExperiment, workplace, writeTinySet } from '../../run/tiny.js';
import { mutatedJson } from '../jsonMutations.js';
import { Lost, must, type Outcome, type Row, steersTerminal } from '../row.js';

const golden = fileURLToPath(new URL('../../golden/nnunet/plans/', import.meta.url));
const goldenPlans = () =>
  fs
    .readdirSync(golden)
    .filter((name) => name.startsWith('Dataset'))
    .flatMap((set) =>
      fs
        .readdirSync(path.join(golden, set))
        .filter((name) => /Planner/.test(name))
        .map((name) => JSON.parse(fs.readFileSync(path.join(golden, set, name), 'utf8'))),
    );

const secret = 'secret-of-the-test';
const prototype = JSON.stringify(Object.getOwnPropertyNames(Object.prototype));

/** What no message and no work may do, whatever the JSON says. */
function guard(work: () => unknown): Promise<void> {
  const clean = (text: string) => {
    must(!text.includes(secret), 'a message shows what a variable holds');
    must(!steersTerminal.test(text), () => `a message steers a terminal: ${JSON.stringify(text.slice(0, 200))}`);
    must(text.length < 100_000, () => `a message of ${text.length} characters`);
  };
  return Promise.resolve()
    .then(work)
    .then(
      () => {},
      (error) => {
        clean(String((error as Error).message));
        throw error;
      },
    )
    .finally(() => {
      must(JSON.stringify(Object.getOwnPropertyNames(Object.prototype)) === prototype, 'the prototype of Object was changed');
    });
}

/** A row of JSON files given by a person. */
const given = (name: string, what: string, door: (folder: string) => { seeds: unknown[]; read(file: string): unknown }): Row => ({
  id: `F6 ${name}`,
  what,
  inputs: (n) => Math.ceil(1.5 * n),
  begin({ seed, scratch }) {
    process.env.JUPYTER_TOKEN = secret;
    process.env.VOXELBOOK_RUNS = path.join(scratch, 'runs');
    process.env.VOXELBOOK_DATA = path.join(scratch, 'data');
    const { seeds, read } = door(scratch);
    return async (i): Promise<Outcome> => {
      const random = new Random(`${name} ${i} ${seed}`);
      const file = path.join(scratch, `${name.replaceAll(' ', '-')}.json`);
      fs.writeFileSync(file, mutatedJson(random, seeds[i % seeds.length]));
      await guard(() => read(file));
      return 'sound';
    };
  },
});

const datasetJson = given('dataset', 'dataset.json: opened, labels, splits, cases listed', (scratch) => {
  const folder = path.join(scratch, 'Dataset042_Balls');
  writeTinySet(folder, 8);
  const plain = JSON.parse(fs.readFileSync(path.join(folder, 'dataset.json'), 'utf8'));
  const listed = {
    ...plain,
    dataset: {
      a: { images: ['imagesTr/ball_0_0000.nii.gz'], label: 'labelsTr/ball_0.nii.gz' },
      b: { images: ['$HOME/x'], label: 'y' },
    },
  };
  const regions = { ...plain, labels: { background: 0, whole: [1, 2], core: 2 }, regions_class_order: [1, 2] };
  return {
    seeds: [plain, listed, regions],
    read(file) {
      fs.copyFileSync(file, path.join(folder, 'dataset.json'));
      const dataset = open(folder);
      String((dataset as any)[Symbol.for('Jupyter.display')]()['text/plain']);
      labels(dataset.json);
      const inside = (file: string) => !path.relative(path.dirname(folder), file).startsWith('..');
      for (const { id } of dataset.cases) must(inside(path.join(folder, `${id}.json`)), `the case ${id} leads out of its folder`);
      if (dataset.cases.length >= 5) knownSplits(dataset);
    },
  };
});

const splits = given('splits', 'splits_final.json', (scratch) => {
  const folder = path.join(scratch, 'Dataset042_Balls');
  writeTinySet(folder, 8);
  const dataset = open(folder);
  const ids = dataset.cases.map(({ id }) => id);
  const seed = [0, 1, 2].map((k) => ({ train: ids.filter((_, i) => i % 3 !== k), val: ids.filter((_, i) => i % 3 === k) }));
  return {
    seeds: [seed],
    read(file) {
      fs.copyFileSync(file, path.join(scratch, 'splits_final.json'));
      const known = knownSplits(dataset, scratch);
      for (const { train, val } of known.splits) {
        must(
          [...train, ...val].every((id) => ids.includes(id)),
          'a case that is not there',
        );
        must(new Set(train).size === train.length, 'a case twice');
      }
    },
  };
});

const groups = given('groups', 'groups.json', (scratch) => {
  const folder = path.join(scratch, 'Dataset042_Balls');
  writeTinySet(folder, 8);
  const dataset = open(folder);
  return {
    seeds: [Object.fromEntries(dataset.cases.map(({ id }, i) => [id, `patient ${i}`]))],
    read(file) {
      fs.copyFileSync(file, path.join(folder, 'groups.json'));
      const { splits: found } = knownSplits(dataset, scratch);
      must(found.length === 5, 'not five folds');
    },
  };
});

const plan = given('plan', 'plans: accepted means every configuration can be taken', () => ({
  seeds: goldenPlans(),
  read(file) {
    const found = readPlan(file);
    for (const name of Object.keys(found.configurations)) {
      const { patch_size: patch, batch_size: batch, spacing } = configuration(found, name);
      must(batch >= 1 && spacing.every((s) => s > 0 && Number.isFinite(s)), 'batch or spacing');
      must(
        patch.every((n) => Number.isInteger(n) && n >= 1 && n <= 4096),
        'patch',
      );
    }
  },
}));

const experiment = given('experiment', 'experiments, short and spelled out: completed, named', (scratch) => {
  writeTinySet(path.join(scratch, 'Dataset042_Balls'), 8);
  const whole = tinyExperiment(scratch);
  return {
    seeds: [
      whole,
      { dataset: 'Dataset042_Balls', model: { network: 'mednext', size: 'S', kernel: 3 } },
      { ...whole, init: { weights: '/no/file.pth' }, scoring: { nsdToleranceMm: 1 } },
      { ...whole, init: { upkernFrom: whole }, plan: 'mednext' },
      [whole, { ...whole, seeds: [1, 2] }],
    ],
    async read(file) {
      for (const e of await readExperiments(file, { onNote: () => {} }))
        for (const fold of e.folds === 'all' ? (['all'] as const) : e.folds)
          for (const seed of e.seeds)
            must(
              path.dirname(runFolderOf(e, fold, seed)) === path.join(scratch, 'runs'),
              `a run folder elsewhere: ${runName(e, fold, seed)}`,
            );
    },
  };
});

const site = given('site', 'site.json of a cluster', () => ({
  seeds: [
    {
      partition: 'gpu',
      account: 'a',
      gres: 'gpu:1',
      time: '24:00:00',
      memory: '48G',
      cpus: 8,
      atOnce: 4,
      warningSeconds: 120,
      setup: ['module load cuda'],
      env: { A: 'b' },
      dryRun: false,
      pollMs: 5000,
    },
  ],
  read: (file) => parse(siteSchema, readJsonFile(file, 'this site'), 'this site'),
}));

/** Files of a finished run, damaged or forged by another program: everything that looks at runs goes on. */
const runFiles: Row = {
  id: 'F6 run folder',
  what: 'the JSON files of a finished run, through list, named, result, predictor, checkpoints',
  inputs: (n) => n,
  seconds: 120,
  async begin({ seed }) {
    const root = workplace();
    process.env.JUPYTER_TOKEN = secret;
    const tiny = tinyExperiment(root);
    await start({ ...tiny, recipe: { ...tiny.recipe, epochs: 1 } }, { onProgress: () => {} } as never);
    const [folder] = runFolders();
    const names = [
      ...fs.readdirSync(folder).filter((name) => /\.jsonl?$/.test(name)),
      'lease.json',
      'error.json',
      'warnings.json',
      'checkpoints.json',
    ].filter((name, i, all) => all.indexOf(name) === i);
    const good = new Map(names.map((name) => [name, readIf(path.join(folder, name))]));
    const untouched = fs.readFileSync(path.join(folder, 'checkpoints/final.safetensors'));
    return async (i): Promise<Outcome> => {
      const random = new Random(`run ${i} ${seed}`);
      const name = names[i % names.length];
      const before = good.get(name);
      const lines = before?.toString().trim().split('\n') ?? ['{"code":"x","message":"y","stage":"z","step":1,"at":"now"}'];
      const at = name.endsWith('.jsonl') ? random.int(0, lines.length) : 0;
      const value = JSON.parse(name.endsWith('.jsonl') ? lines[at] : lines.join('\n'));
      const mutated = mutatedJson(random, value);
      fs.writeFileSync(
        path.join(folder, name),
        name.endsWith('.jsonl')
          ? [...lines.slice(0, at), mutated.toString('latin1'), ...lines.slice(at + 1), ''].join('\n')
          : mutated,
      );
      const doors: Record<string, () => unknown> = {
        list: () => listText(list()),
        state: () => stateOf(folder),
        order: () => readOrder(folder),
        result: () => (finishedRun(folder) as any)[Symbol.for('Jupyter.display')](),
        named: () => namedRuns([folder], { onNote: () => {} }),
        predictor: () => trainedModel([folder]).dispose(),
        checkpoints: () => new CheckpointFolder(folder, 'x', { parameters: [] } as never).load(),
      };
      let outcome: Outcome = 'sound';
      try {
        for (const [door, open] of Object.entries(doors))
          await guard(open).catch((error) => {
            if (error?.name !== 'VoxelbookError')
              throw Object.assign(new Error(`${name} by ${door}: ${error?.stack ?? error}`), {
                stack: `${name} by ${door}: ${error?.stack}`,
              });
            // These checkpoints are another run's than the one asked for.
            if (door !== 'checkpoints') outcome = 'refused';
          });
      } finally {
        if (before) fs.writeFileSync(path.join(folder, name), before);
        else fs.rmSync(path.join(folder, name), { force: true });
      }
      if (!fs.readFileSync(path.join(folder, 'checkpoints/final.safetensors')).equals(untouched))
        throw new Lost('the final weights');
      return outcome;
    };
  },
};

const readIf = (file: string) => (fs.existsSync(file) ? fs.readFileSync(file) : undefined);

const commands = [
  ...['run', 'study', 'submit', 'check', 'experiment', 'plan', 'preprocess', 'train', 'predict', 'evaluate', 'ensemble'],
  ...['find-best', 'postprocess', 'model', 'reproduce', 'list', '--help', 'x'],
];

/** Words of command lines: options, numbers, paths, text that would be something else. */
const commandLines: Row = {
  id: 'F6 command line',
  what: 'random arguments to every command: exit code 0, 1 or 2 with words, no trace of the stack, no control characters, nothing written elsewhere',
  inputs: (n) => Math.ceil(n / 4),
  seconds: 120,
  begin({ seed, scratch }) {
    const cli = fileURLToPath(new URL('../../../dist/run/cli.js', import.meta.url));
    const set = path.join(scratch, 'Dataset042_Balls');
    writeTinySet(set, 8);
    fs.writeFileSync(path.join(scratch, 'tiny.json'), JSON.stringify(tinyExperiment(scratch)));
    fs.writeFileSync(path.join(scratch, 'broken.json'), '{"dataset": "x", "model": {"network": "\\u001b[2J"}}');
    const work = path.join(scratch, 'work');
    fs.mkdirSync(work);
    const stand = () => JSON.stringify(fs.readdirSync(scratch).sort());
    const before = stand();
    const words = [
      ...['tiny.json', 'broken.json', 'Dataset042_Balls', 'Dataset042_Balls/imagesTr', 'Dataset042_Balls/dataset.json'].map(
        (name) => path.join(scratch, name),
      ),
      ...[
        '--fold',
        '--seed',
        '--out',
        '--to',
        '--dry-run',
        '--no-extensions',
        '--site',
        '--help',
        '-h',
        '--workers',
        '--table',
        '--scale',
      ],
      ...[
        '--json',
        '--fix',
        '--overwrite',
        '--continue',
        '--model',
        '--runs',
        '-i',
        '-o',
        '--',
        '-',
        '--fold=9',
        '--seed=-1',
        '--seed=1e99',
      ],
      ...[
        '0',
        '-1',
        '1e9',
        'NaN',
        '',
        'all',
        'demo',
        'mednext',
        'SimGlioma',
        '/dev/null',
        '/proc/self/mem',
        '/',
        '..',
        'a\nb',
        '\x1b[2Jx',
      ],
    ];
    return (i) =>
      new Promise<Outcome>((resolve, reject) => {
        const random = new Random(`command ${i} ${seed}`);
        const args = [
          commands[i % commands.length],
          ...Array.from({ length: random.int(0, 5) }, () =>
            (random.chance(0.8) ? random.choice(words) : random.choice(hostileStrings)).replaceAll('\0', ''),
          ),
          // What would really begin to compute is only planned.
          ...(['run', 'study', 'train', 'submit', 'reproduce', 'preprocess'].includes(commands[i % commands.length])
            ? ['--no-such-option']
            : []),
        ];
        const child = spawn(process.execPath, [cli, ...args], {
          cwd: work,
          env: {
            ...process.env,
            VOXELBOOK_RUNS: path.join(work, 'runs'),
            VOXELBOOK_DATA: path.join(work, 'data'),
            HOME: work,
            JUPYTER_TOKEN: secret,
          },
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        let text = '';
        for (const stream of [child.stdout, child.stderr])
          stream.on('data', (d) => {
            text += d;
          });
        child.on('close', (code, signal) => {
          const where = `${JSON.stringify(args)}: `;
          try {
            must(
              signal === null && (code === 0 || code === 1 || code === 2),
              `${where}ended with ${signal ?? code}: ${text.slice(-300)}`,
            );
            must(!/\n\s+at .*\.js:\d+|TypeError|RangeError/.test(text), `${where}${text.slice(0, 600)}`);
            must(code === 0 || text.trim() !== '', `${where}no word`);
            must(!text.includes(secret), `${where}shows what a variable holds`);
            must(!steersTerminal.test(text), `${where}steers a terminal: ${JSON.stringify(text.slice(0, 300))}`);
            must(stand() === before, `${where}wrote ${stand()}`);
            resolve(code === 0 ? 'sound' : 'refused');
          } catch (error) {
            reject(error);
          }
        });
      });
  },
};

export const rows: Row[] = [datasetJson, splits, groups, plan, experiment, site, runFiles, commandLines];
