// A network that halves its input a fixed number of times takes only patches of certain sizes; nnU-Net's planner does not know it.
import { type Fault, VoxelbookError } from '../base/errors.js';
import { type DatasetJson, labels } from '../dataset/index.js';
import { network as networkOf } from '../model/index.js';
import { configuration, inputChannels, override, type Plan, topology } from '../plan/index.js';
import type { Experiment } from './experiment.js';

/**
 * The plan with a patch that the experiment's network can take.
 * @param ours the patch comes from our planner: it is rounded to the nearest that fits; else it is somebody's own, and refused
 * @param onNote told when the patch was rounded
 * @throws VoxelbookError with the nearest patch that fits
 */
export function fittedPatch(
  plan: Plan,
  experiment: Pick<Experiment, 'configuration' | 'model' | 'recipe'>,
  json: DatasetJson,
  ours: boolean,
  onNote: (note: Fault) => void = () => {},
): Plan {
  const { configuration: name, model, recipe } = experiment;
  const config = configuration(plan, name);
  const { network } = networkOf(model, config, {
    inputChannels: inputChannels(json, config),
    classes: labels(json).heads,
    deepSupervision: recipe.deepSupervision !== 'none',
  });
  const { patch_size: patch } = config;
  const steps = network.divisibleBy;
  if (patch.length !== steps.length || patch.every((n, i) => n % steps[i] === 0)) return plan;
  const nearest = patch.map((n, i) => Math.max(1, Math.round(n / steps[i])) * steps[i]);
  if (!ours)
    throw new VoxelbookError('this patch does not fit the network', {
      code: 'patch',
      path: recipe.patchSize ? 'recipe.patchSize' : `${name} patch_size`,
      given: `[${patch}]`,
      expected: `${steps.length} edges, multiples of [${steps}], which ${model.network} halves without rest`,
      fix: `Nearest: [${nearest}].`,
    });
  const wanted = alsoLegal(config.spacing, nearest, steps);
  onNote({
    code: 'patch-rounded',
    path: `${name} patch_size`,
    given: `[${patch}] as planned`,
    expected: `multiples of [${steps}], which ${model.network} needs`,
    fix: `[${wanted}] is used.`,
  });
  return override(plan, name, { patchSize: wanted });
}

/** The next multiple of the network's steps that nnU-Net's own pooling takes without padding, too. */
function alsoLegal(spacing: readonly number[], start: readonly number[], steps: readonly number[]): number[] {
  let patch = [...start];
  for (;;) {
    const { patch: legal } = topology(spacing, patch);
    if (legal.every((n, i) => n === patch[i])) return patch;
    patch = legal.map((n, i) => Math.ceil(n / steps[i]) * steps[i]);
  }
}
