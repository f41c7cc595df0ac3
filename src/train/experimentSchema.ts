// What an experiment may say: the schema that files are checked by, and from which the JSON schema and the reference page are made.
//
// In a file everything but `dataset` and `model` may be left out (`complete.ts` in run/ fills it in); kinds of parts are looked up in the
// registry, so that what a module brings is checked like what is built in.
import { z } from 'zod';
import { pipelines } from '../augment/index.js';
import { definitions, type Kind, type Kinds, registered, registryVersion } from '../base/registry.js';
import { above, either, flag, key, line, list, number, object, one, optional, record, whole } from '../base/schema.js';
import { networkSettings } from '../model/settings.js';
import { fixedPlans } from '../plan/index.js';
import type { Experiment } from './experiment.js';

const size = () => whole(1, 4096);
const axes = () => list(whole(0, 2), 0, 3, 'axes');
const prefixes = (low: number) => list(line(), low, 4096, 'beginnings of names');

/** Where a person's own file lies, alone or with the checksum that a completed experiment carries. */
const ownFile = () => either([line(), object({ file: line(), sha256: line(64) })], 'the path of a file');

const startPartial = () => optional(flag(), 'The start may leave parameters fresh', { default: false });

type Named = 'optimisers' | 'schedules' | 'losses' | 'hooks' | 'samplers' | 'planners' | 'postprocessing';

/** One part of a kind by its `kind`, with its settings; with `partial` those may be left out. */
function named<K extends Named>(kind: K, partial: boolean): z.ZodType {
  const forms = (definitions(kind) as { name: string; settings: z.ZodObject }[]).map(({ name, settings }) => {
    const shape = Object.entries(settings.shape).map(([k, s]) => {
      const about = (s as z.ZodType).meta() ?? {};
      return [k, partial || about.default !== undefined ? (s as z.ZodType).optional().meta(about) : s];
    });
    return object({ kind: z.literal(name), ...Object.fromEntries(shape) }, `settings of ${name}`);
  });
  return z.discriminatedUnion('kind', forms as [z.ZodObject, ...z.ZodObject[]], {
    error: `one of ${registered(kind).join(', ')}`,
  });
}

/** The specification of a network: a built-in one or one that a module brought. */
function model(): z.ZodType {
  const own = (definitions('networks') as { name: string; settings?: z.ZodObject }[])
    .filter(({ name }) => !Object.hasOwn(networkSettings, name))
    .map(({ name, settings }) =>
      object({
        network: z.literal(name),
        ...(settings?.shape ?? {}),
        inputChannels: whole(1, 4096).optional(),
        classes: whole(1, 65536).optional(),
        deepSupervision: flag().optional(),
      }),
    );
  const forms = [...Object.values(networkSettings), ...own] as unknown as [z.ZodObject, ...z.ZodObject[]];
  const names = [...Object.keys(networkSettings), ...own.map((o) => (o.shape.network as z.ZodLiteral).value)];
  return z.discriminatedUnion('network', forms, { error: `one of ${names.join(', ')}` });
}

/** A pipeline by name, or line by line. */
function augmentation(): z.ZodType {
  const forms = definitions('transforms').map(({ name, settings }) =>
    object({
      transform: z.literal(name),
      probability: optional(number(0, 1), 'Of being applied to a sample at all'),
      ...settings.shape,
    }),
  ) as unknown as [z.ZodObject, ...z.ZodObject[]];
  const line_ = z.discriminatedUnion('transform', forms, { error: `one of ${registered('transforms').join(', ')}` });
  const names = Object.keys(pipelines);
  return either([one(...names), list(line_, 0, 64, 'transforms')], `one of ${names.join(', ')}, or a list of transforms`);
}

function recipe(partial: boolean) {
  const shape = {
    optimiser: key(named('optimisers', partial), 'Optimiser and its settings', { defaultText: "the paper's" }),
    schedule: key(named('schedules', partial), 'Learning rate over the epochs', { defaultText: "the paper's" }),
    epochs: key(whole(1, 1e6), 'Epochs', { unit: 'epochs', defaultText: "the paper's", example: 1000 }),
    iterationsPerEpoch: key(whole(1, 1e6), 'Training steps of an epoch', {
      unit: 'steps',
      defaultText: "the paper's",
      example: 250,
    }),
    validationIterationsPerEpoch: key(whole(0, 1e6), 'Validation patches of an epoch, in batches', {
      unit: 'steps',
      defaultText: "the paper's",
      example: 50,
    }),
    batchSize: optional(whole(1, 4096), 'Patches of a step', { unit: 'patches', defaultText: "the plan's" }),
    patchSize: optional(list(size(), 2, 3, 'edges'), 'Edges of a patch, in the plan’s order of axes', {
      unit: 'voxels',
      defaultText: "the plan's",
      example: [128, 128, 128],
    }),
    loss: key(named('losses', partial), 'Loss and its settings', { defaultText: "the paper's" }),
    deepSupervision: key(
      either(
        [one('nnunet', 'all', 'none'), list(number(0, 1e6), 1, 16, 'weights')],
        'nnunet, all, none, or a weight of each output',
      ),
      'Weight of each output, full resolution first: `nnunet` 1/2^i with the last 0, `all` 1/2^i',
      { defaultText: "the paper's" },
    ),
    gradientClip: key(above(0, 1e9), 'Largest norm of all gradients together', { defaultText: "the paper's", example: 12 }),
    oversampleForeground: key(number(0, 1), 'Share of a batch that must hold foreground', {
      defaultText: "the paper's",
      example: 0.33,
    }),
    sampler: optional(named('samplers', false), 'Which case is drawn and which patch of it is cut', { defaultText: 'nnunet' }),
    augmentation: key(augmentation(), 'Augmentation of a paper or a variant of it, or a list of transforms', {
      defaultText: "the paper's",
    }),
    mirrorAxes: key(axes(), 'Axes along which patches are mirrored', { defaultText: "the paper's", example: [0, 1, 2] }),
    freeze: optional(
      object({
        prefixes: prefixes(1),
        except: optional(prefixes(0), 'Beginnings of names that are trained nevertheless'),
        epochs: optional(whole(0, 1e6), 'Epochs they stay fixed', { unit: 'epochs', defaultText: 'all' }),
      }),
      'Parameters that stay fixed, for good or for the first epochs',
      { defaultText: 'none' },
    ),
    warmup: optional(
      object({
        epochs: key(whole(1, 1e6), 'Epochs in which the rate rises', { unit: 'epochs', example: 50 }),
        from: optional(number(0, 1), 'Share of the rate it begins with; it is whole after the last of these epochs', {
          defaultText: '1/epochs, whole in the last of them',
        }),
      }),
      'Rise of the learning rate before the schedule begins',
      { defaultText: 'none' },
    ),
    groups: optional(
      list(
        object({
          prefixes: prefixes(1),
          except: optional(prefixes(0), 'Beginnings of names that are not meant'),
          learningRate: optional(number(0, 1e3), 'Factor of the learning rate'),
          weightDecay: optional(number(0, 10), 'Weight decay instead of the optimiser’s'),
        }),
        1,
        4096,
        'groups',
      ),
      'Learning rates and weight decay of single layers; the first group that names a parameter counts',
      { defaultText: 'none', example: [{ prefixes: ['encoder.'], learningRate: 0.1 }] },
    ),
    decayNormsAndBiases: optional(flag(), 'Weight decay on scales, shifts and biases too', { defaultText: 'true' }),
    accumulate: optional(whole(1, 4096), 'Batches whose mean gradient makes a step', { unit: 'batches', defaultText: '1' }),
    ema: optional(
      object({
        decay: key(number(0, 0.999999), 'Share of the old average that stays in a step', { example: 0.999 }),
        evaluate: key(flag(), 'Validate and predict with the averages', { default: true }),
      }),
      'Running average of the parameters',
      { defaultText: 'none' },
    ),
    earlyStopping: optional(
      object({ patience: key(whole(1, 1e6), 'Epochs without a new best', { unit: 'epochs', example: 50 }) }),
      'End of training when the running pseudo-Dice has not risen for so long',
      { defaultText: 'none' },
    ),
    keepEvery: optional(whole(1, 1e6), 'Weights of every such epoch are kept', { unit: 'epochs', defaultText: 'none are' }),
    hooks: optional(list(named('hooks', false), 0, 64), 'What is called at the start and end of epochs and steps', {
      defaultText: 'none',
    }),
  };
  const whole_ = object(shape, 'a recipe');
  return partial ? partially(whole_) : whole_;
}

/** The same keys, every one of which may be left out; what is noted of each stays. */
function partially(schema: z.ZodObject): z.ZodObject {
  const shape = Object.entries(schema.shape).map(([k, s]) => {
    const about = (s as z.ZodType).meta();
    const may = (s as z.ZodType).optional();
    return [k, about ? may.meta(about) : may];
  });
  return object(Object.fromEntries(shape));
}

function prediction() {
  return object({
    stepSize: key(above(0, 1), 'Step between tiles', { unit: 'patches', defaultText: "the paper's", example: 0.5 }),
    gaussian: key(flag(), 'Weigh the middle of a tile more', { defaultText: "the paper's" }),
    mirrorAxes: key(axes(), 'Axes along which predictions are mirrored and averaged', { defaultText: "the paper's" }),
    average: key(one('logits', 'probabilities'), 'What is averaged over tiles, mirrors and folds', {
      defaultText: "the paper's",
    }),
    postprocessing: optional(
      list(named('postprocessing', false), 0, 64, 'steps'),
      'What is done to predicted labels, in this order',
      {
        defaultText: 'none',
      },
    ),
    checkpoint: optional(one('final', 'best'), 'Weights that predict: the last, or those of the best running pseudo-Dice', {
      defaultText: 'final',
    }),
  });
}

function make(): z.ZodObject {
  const inner: z.ZodType = z.lazy(() => experimentSchema());
  const names = Object.keys(fixedPlans).join(', ');
  return object(
    {
      $schema: optional(line(), 'Where an editor finds the schema; no part of the experiment'),
      name: optional(line(200), 'What tables and the run folder call it; no part of the identity', {
        defaultText: 'network, size and kernel',
      }),
      dataset: key(line(), 'A data set’s folder, its name or number below $nnUNet_raw, or an embedded one', {
        example: 'Dataset027_ACDC',
      }),
      configuration: optional(
        line(100).regex(/^[\w.+-]+$/, { error: 'the name of a configuration' }),
        'Configuration of the plan',
        { defaultText: '2d for networks and pictures of two dimensions, else 3d_fullres' },
      ),
      plan: optional(
        either([line(), object({ file: line(), sha256: line(64) })], `one of ${names}, or the path of a plan`),
        `A plan instead of a planner’s: one that a paper fixes (${names}) or the path of a plans.json`,
        {
          defaultText: "the planner's",
        },
      ),
      planner: optional(
        either([one(...registered('planners')), named('planners', false)], `one of ${registered('planners').join(', ')}`),
        'Planner: nnU-Net v2’s, or one that a module brings; `{ "kind": … }` where it has settings',
        { defaultText: 'ExperimentPlanner' },
      ),
      gpuMemoryGb: optional(above(0, 10000), 'GPU memory to plan for', { unit: 'GB', defaultText: "the planner's own" }),
      model: key(model(), 'The network and its settings', { example: { network: 'mednext', size: 'S', kernel: 3 } }),
      recipe: optional(recipe(true), 'How it is trained; what is left out is the recipe of the network’s paper', {
        defaultText: "the paper's",
      }),
      prediction: optional(partially(prediction()), 'Sliding-window prediction', { defaultText: "the paper's" }),
      folds: optional(
        either(
          [
            list(either([whole(0, 999), z.literal('all')], 'a whole number from 0 to 999, or all'), 1, 1000, 'folds'),
            z.literal('all'),
          ],
          'a list of folds, or all',
        ),
        'Folds of the cross-validation; `all` trains on every case and is scored on the test set',
        { default: [0] },
      ),
      seeds: optional(list(whole(0), 1, 1000, 'seeds'), 'Seeds, each a run of its own', { default: [0] }),
      trainShare: optional(above(0, 1), 'Share of each fold’s training cases that is used', { defaultText: '1' }),
      init: optional(
        either(
          [
            object({ upkernFrom: inner }),
            object({
              from: inner,
              only: optional(prefixes(1), 'Nothing but parameters whose names begin so'),
              partial: startPartial(),
            }),
            object({ weights: line(), partial: startPartial() }),
          ],
          'upkernFrom, from or weights',
        ),
        'What training starts from: another experiment (`upkernFrom`, `from`) or a file (`weights`)',
        { defaultText: 'fresh parameters' },
      ),
      previousStage: optional(inner, 'Cascade: the experiment of the configuration before this one'),
      split: optional(
        object({ train: list(line(256), 1, 1e6, 'cases'), val: list(line(256), 1, 1e6, 'cases') }),
        'Cases of a paper’s published split, by id; fold 0 is this split and there is no other',
      ),
      labels: optional(
        record(either([line(100), z.number()], 'a text or a number')),
        'What tells it from its neighbours in a figure; changes no number',
        { defaultText: 'none', example: { size: 'S', share: 0.1 } },
      ),
      scoring: optional(
        object({
          definition: optional(line(100), 'Whose NSD and HD95', { defaultText: 'default' }),
          nsdToleranceMm: optional(
            either([number(0, 1e6), record(number(0, 1e6))], 'a length, or one for each class'),
            'Tolerance of NSD',
            { unit: 'mm', defaultText: '1' },
          ),
          classes: optional(record(list(whole(0, 65535), 1)), 'What is scored: name → the labels it is made of', {
            defaultText: "the data set's labels or regions",
            example: { WT: [1, 2, 3] },
          }),
          metrics: optional(list(metricName(), 0, 64), 'Further metrics by name', { defaultText: 'none' }),
        }),
        'How predictions are scored',
      ),
      scale: optional(one('demo', 'paper'), 'A paper’s full budget, or what fits a desk', { default: 'paper' }),
      extensions: optional(
        list(ownFile(), 0, 64, 'files'),
        'Modules with parts of one’s own; they are code and run with your rights',
        {
          defaultText: 'none',
          example: ['./my-parts.ts'],
        },
      ),
    },
    'an experiment',
  );
}

/** A metric that the score room or a module defines; any name while that room is not loaded. */
const metricName = () => {
  const names = registered('metrics' as Kind);
  return names.length > 0 ? one(...names) : line(100);
};

/** Made once for what is registered. */
function kept(make: () => z.ZodObject): () => z.ZodObject {
  let known: { version: number; schema: z.ZodObject } | undefined;
  return () => {
    if (known?.version !== registryVersion()) known = { version: registryVersion(), schema: make() };
    return known.schema;
  };
}

/** The schema of an experiment in a file, with the parts that are registered now. */
export const experimentSchema = kept(make);

/** The schema of a whole recipe: nothing may be missing. */
export const recipeSchema = kept(() => recipe(false));

/** The schema of whole prediction settings. */
export const predictionSchema = kept(prediction);

export type { Experiment, Kinds };
