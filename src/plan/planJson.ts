// A `plans.json` from outside: every fault at once, with its place and what to do.
import { type Fault, FaultList, VoxelbookError } from '../base/errors.js';
import { deepest, isDeeperThan, shortJson } from '../base/json.js';
import { definitions, registered } from '../base/registry.js';
import { faultsOf } from '../base/schema.js';
import { product } from '../base/shape.js';
import { presentForm } from './nnunetForms.js';
import { normalisationEntry } from './normalisations.js';
import type { Plan } from './plan.js';
import { resamplingFunctions } from './resampling.js';

const statistics = ['max', 'mean', 'median', 'min', 'percentile_00_5', 'percentile_99_5', 'std'];
/** Largest patch, voxels; beyond it nothing can be allocated. */
const mostVoxels = 2 ** 30;
const longestEdge = 4096;
/** Most blocks of a stage. */
const mostBlocks = 64;

type Json = Record<string, unknown>;
type Say = (path: string, given: unknown, expected: string, fix?: string) => void;

/**
 * Checks a plan made by nnU-Net v2 or here.
 * @returns every fault; empty when each configuration can be used
 */
export function planFaults(value: unknown): Fault[] {
  const faults = new FaultList();
  const say: Say = (path, given, expected, fix = 'Correct plans.json, or plan again.') =>
    faults.add('plan', path, shortJson(given), expected, fix);
  if (isDeeperThan(value)) {
    say('plans.json', value, `at most ${deepest} levels of nesting`);
    return faults.faults;
  }
  if (!isRecord(value)) {
    say('plans.json', value, 'an object');
    return faults.faults;
  }
  for (const key of ['dataset_name', 'plans_name', 'image_reader_writer', 'experiment_planner_used', 'label_manager'])
    if (typeof value[key] !== 'string' || value[key] === '') say(key, value[key], 'text');
  if (typeof value.plans_name === 'string' && !safeName(value.plans_name))
    say('plans_name', value.plans_name, 'letters, digits, - and _');
  for (const key of ['original_median_spacing_after_transp', 'original_median_shape_after_transp'])
    if (!isPositive(value[key], 3)) say(key, value[key], 'three numbers above 0');
  transposeFaults(value, say);
  intensityFaults(value.foreground_intensity_properties_per_channel, say);
  if (!isRecord(value.configurations) || Object.keys(value.configurations).length === 0) {
    say('configurations', value.configurations, 'at least one configuration');
    return faults.faults;
  }
  for (const name of Object.keys(value.configurations)) {
    const resolved = resolve(value.configurations, name, say);
    if (resolved) configurationFaults(resolved, `configurations.${name}`, value, faults, say);
  }
  return faults.faults;
}

/**
 * A checked plan; one of nnU-Net 2.0's form in the present one.
 * @throws VoxelbookError with all faults
 */
export function planFromJson(value: unknown): Plan {
  const plan = isDeeperThan(value) ? value : presentForm(value);
  const faults = planFaults(plan);
  if (faults.length > 0) throw new VoxelbookError('this plan cannot be used', faults);
  return plan as Plan;
}

function transposeFaults(value: Json, say: Say): void {
  const forward = value.transpose_forward;
  const backward = value.transpose_backward;
  const isOrder = (list: unknown): list is number[] =>
    Array.isArray(list) && list.length === 3 && [0, 1, 2].every((i) => list.includes(i));
  if (!isOrder(forward)) say('transpose_forward', forward, 'the axes 0, 1, 2 in some order');
  if (!isOrder(backward)) say('transpose_backward', backward, 'the axes 0, 1, 2 in some order');
  else if (isOrder(forward) && backward.some((axis, i) => forward[axis] !== i))
    say(
      'transpose_backward',
      backward,
      `${JSON.stringify([0, 1, 2].map((i) => forward.indexOf(i)))}, the inverse of transpose_forward`,
    );
}

function intensityFaults(channels: unknown, say: Say): void {
  const path = 'foreground_intensity_properties_per_channel';
  if (!isRecord(channels) || Object.keys(channels).length === 0) {
    say(path, channels, 'statistics of every channel');
    return;
  }
  for (const [channel, entry] of Object.entries(channels)) {
    if (!isRecord(entry)) say(`${path}.${channel}`, entry, statistics.join(', '));
    else
      for (const key of statistics)
        if (!Number.isFinite(entry[key])) say(`${path}.${channel}.${key}`, entry[key], 'a finite number');
  }
}

/** A configuration with what it inherits; undefined when that leads nowhere. */
function resolve(all: Json, name: string, say: Say, seen: string[] = []): Json | undefined {
  const entry = all[name];
  const path = `configurations.${seen[0] ?? name}`;
  if (!isRecord(entry)) {
    if (seen.length === 0) say(path, entry, 'an object');
    else say(`${path}.inherits_from`, name, `one of ${Object.keys(all).join(', ')}`);
    return undefined;
  }
  if (seen.includes(name)) {
    say(`${path}.inherits_from`, [...seen, name].join(' → '), 'no circle', 'Remove one inherits_from.');
    return undefined;
  }
  const parent = entry.inherits_from;
  if (parent === undefined || parent === null) return entry;
  if (typeof parent !== 'string') {
    say(`${path}.inherits_from`, parent, 'the name of a configuration');
    return undefined;
  }
  const inherited = resolve(all, parent, say, [...seen, name]);
  return inherited && { ...inherited, ...entry };
}

function configurationFaults(c: Json, path: string, plan: Json, faults: FaultList, say: Say): void {
  const at = (key: string) => `${path}.${key}`;
  const axes = Array.isArray(c.patch_size) ? c.patch_size.length : 0;
  if ((axes !== 2 && axes !== 3) || !isWhole(c.patch_size, axes))
    say(at('patch_size'), c.patch_size, '2 or 3 whole numbers above 0');
  else if ((c.patch_size as number[]).some((edge) => edge > longestEdge))
    say(at('patch_size'), c.patch_size, `at most ${longestEdge} voxels an axis`, 'Choose a smaller patch.');
  else if (product(c.patch_size as number[]) > mostVoxels)
    say(at('patch_size'), c.patch_size, `at most ${mostVoxels} voxels`, 'Choose a smaller patch.');
  if (!isPositive(c.spacing, axes)) say(at('spacing'), c.spacing, `${axes} voxel sizes above 0 mm`);
  if (!isPositive(c.median_image_size_in_voxels, axes))
    say(at('median_image_size_in_voxels'), c.median_image_size_in_voxels, `${axes} numbers above 0`);
  if (!(Number.isInteger(c.batch_size) && (c.batch_size as number) >= 1 && (c.batch_size as number) <= 65536))
    say(at('batch_size'), c.batch_size, 'a whole number of at least 1');
  if (typeof c.data_identifier !== 'string' || !safeName(c.data_identifier))
    say(at('data_identifier'), c.data_identifier, 'a folder name of letters, digits, ., - and _');
  if (typeof c.preprocessor_name !== 'string') say(at('preprocessor_name'), c.preprocessor_name, 'DefaultPreprocessor');
  if (typeof c.batch_dice !== 'boolean') say(at('batch_dice'), c.batch_dice, 'true or false');
  normalizationFaults(c, at, plan, faults, say);
  for (const [kind, orders] of [
    ['data', [0, 1, 3]],
    ['seg', [0, 1, 3]],
    ['probabilities', [1]],
  ] as const)
    resamplingFaults(c, kind, orders, at, say);
  for (const key of ['next_stage', 'previous_stage'])
    if (
      c[key] !== undefined &&
      c[key] !== null &&
      !(typeof c[key] === 'string' && isRecord((plan.configurations as Json)[c[key] as string]))
    )
      say(at(key), c[key], `one of ${Object.keys(plan.configurations as Json).join(', ')}`);
  if (axes === 2 || axes === 3) architectureFaults(c, axes, at('architecture'), say);
}

function normalizationFaults(c: Json, at: (key: string) => string, plan: Json, faults: FaultList, say: Say): void {
  const list = c.normalization_schemes;
  const mask = c.use_mask_for_norm;
  if (!Array.isArray(list) || list.length === 0) {
    say(at('normalization_schemes'), list, 'one scheme per channel');
    return;
  }
  for (const [i, scheme] of list.entries()) {
    const place = `${at('normalization_schemes')}[${i}]`;
    const { kind, settings } = isRecord(scheme) ? normalisationEntry(scheme as { kind: string }) : { kind: scheme, settings: {} };
    const definition = definitions('normalisations').find(({ name }) => name === kind);
    if (!definition) {
      say(place, scheme, `one of ${registered('normalisations').join(', ')}`);
      continue;
    }
    for (const { path, given, expected, fix } of faultsOf(definition.settings, settings, `${place}.`))
      faults.add('plan', path, given, expected, fix);
    const channels = plan.foreground_intensity_properties_per_channel;
    if (definition.usesStatistics && isRecord(channels) && !isRecord(channels[String(i)]))
      say(`foreground_intensity_properties_per_channel.${i}`, channels[String(i)], `statistics, which ${kind} needs`);
  }
  if (!Array.isArray(mask) || mask.length !== list.length || mask.some((m) => typeof m !== 'boolean'))
    say(at('use_mask_for_norm'), mask, `${list.length} times true or false`);
}

function resamplingFaults(c: Json, kind: string, orders: readonly number[], at: (key: string) => string, say: Say): void {
  const name = c[`resampling_fn_${kind}`];
  if (!resamplingFunctions.includes(name as 'no_resampling_hack'))
    say(
      at(`resampling_fn_${kind}`),
      name,
      `one of ${resamplingFunctions.join(', ')}`,
      'Other functions of nnU-Net are not supported here; use one of these.',
    );
  if ((name === 'no_resampling_hack') !== (c.resampling_fn_data === 'no_resampling_hack'))
    say(at(`resampling_fn_${kind}`), name, `no_resampling_hack for data, seg and probabilities, or for none of them`);
  const key = at(`resampling_fn_${kind}_kwargs`);
  const kwargs = c[`resampling_fn_${kind}_kwargs`];
  if (!isRecord(kwargs)) {
    say(key, kwargs, '{"order": …, "order_z": 0, "force_separate_z": null}');
    return;
  }
  const torch = name === 'resample_torch_fornnunet';
  const needs = name === 'resample_data_or_seg_to_shape';
  if ((needs || kwargs.order !== undefined) && !orders.includes(kwargs.order as number))
    say(`${key}.order`, kwargs.order, `one of ${orders.join(', ')}`);
  if (kwargs.order_z !== undefined && !orders.concat(0).includes(kwargs.order_z as number))
    say(`${key}.order_z`, kwargs.order_z, '0, 1 or 3');
  const force = kwargs.force_separate_z;
  if (force !== undefined && force !== null && typeof force !== 'boolean')
    say(`${key}.force_separate_z`, force, 'null, true or false');
  for (const [name_, expected] of Object.entries(torch ? torchArguments : {}))
    if (kwargs[name_] !== undefined && kwargs[name_] !== expected)
      say(`${key}.${name_}`, kwargs[name_], JSON.stringify(expected));
}

/** Arguments of `resample_torch_fornnunet` that are known with their default only. */
const torchArguments = { mode: 'linear', aniso_axis_mode: 'nearest-exact', separate_z_anisotropy_threshold: 3 };

function architectureFaults(c: Json, axes: number, path: string, say: Say): void {
  const architecture = c.architecture;
  if (!isRecord(architecture) || !isRecord(architecture.arch_kwargs)) {
    say(path, architecture, 'network_class_name and arch_kwargs');
    return;
  }
  const name = architecture.network_class_name;
  if (typeof name !== 'string' || name === '') say(`${path}.network_class_name`, name, 'the name of a network');
  const k = architecture.arch_kwargs;
  const at = (key: string) => `${path}.arch_kwargs.${key}`;
  const stages = k.n_stages;
  if (!(Number.isInteger(stages) && (stages as number) >= 1 && (stages as number) <= 16)) {
    say(at('n_stages'), stages, 'a whole number from 1 to 16');
    return;
  }
  const n = stages as number;
  if (!isWhole(k.features_per_stage, n, 65536)) say(at('features_per_stage'), k.features_per_stage, `${n} whole numbers above 0`);
  const table = (key: string, good: (v: number) => boolean, what: string) => {
    const rows = k[key];
    const right =
      Array.isArray(rows) && rows.length === n && rows.every((row) => isWhole(row, axes, 64) && (row as number[]).every(good));
    if (!right) say(at(key), rows, `${n} times ${axes} ${what}`);
    return right ? (rows as number[][]) : undefined;
  };
  table('kernel_sizes', (v) => v % 2 === 1, 'odd whole numbers');
  const strides = table('strides', () => true, 'whole numbers above 0');
  if (strides && isWhole(c.patch_size, axes))
    (c.patch_size as number[]).forEach((p, i) => {
      const divisor = product(strides.map((s) => s[i]));
      if (p % divisor === 0) return;
      const below = p - (p % divisor);
      const offer = below > 0 ? `${below} or ${below + divisor}` : `${divisor}`;
      say(
        `${path.replace(/\.architecture$/, '')}.patch_size[${i}]`,
        p,
        `a multiple of ${divisor}, the product of the strides`,
        `Nearest: ${offer}.`,
      );
    });
  const residual = typeof name === 'string' && /ResidualEncoderUNet$/.test(name);
  const blocks = residual ? 'n_blocks_per_stage' : 'n_conv_per_stage';
  if (!isWhole(k[blocks], n, mostBlocks)) say(at(blocks), k[blocks], `${n} whole numbers above 0`);
  if (!isWhole(k.n_conv_per_stage_decoder, n - 1, mostBlocks))
    say(at('n_conv_per_stage_decoder'), k.n_conv_per_stage_decoder, `${n - 1} whole numbers above 0`);
  for (const key of ['conv_op', 'norm_op'])
    if (typeof k[key] !== 'string' || !(k[key] as string).endsWith(`${axes}d`))
      say(at(key), k[key], `a module that ends in ${axes}d`);
  if (typeof k.conv_bias !== 'boolean') say(at('conv_bias'), k.conv_bias, 'true or false');
}

const isRecord = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const isPositive = (list: unknown, n: number): list is number[] =>
  n > 0 && Array.isArray(list) && list.length === n && list.every((v) => typeof v === 'number' && Number.isFinite(v) && v > 0);
const isWhole = (list: unknown, n: number, most = 2 ** 31): list is number[] =>
  Array.isArray(list) && list.length === n && list.every((v) => Number.isInteger(v) && v >= 1 && v <= most);
/** Fit to be a folder: no path in it. */
const safeName = (name: string) => /^[\w][\w.+-]*$/.test(name) && !name.includes('..');
