// Metrics by name: the built-in ones and those that a module brings.
import { lookup, openKind, register } from '../base/registry.js';
import type { ClassScore } from '../train/experiment.js';
import type { LabelMap } from '../volume/volume.js';
import { defaultMetrics, type MetricName, metricNames, type ScoreOptions, volume } from './volume.js';

/** One class of one case, as two masks. */
export interface MetricInput {
  /** 1 inside, 0 outside; `[depth, height, width]`, row-major. */
  reference: Uint8Array;
  prediction: Uint8Array;
  shape: readonly [number, number, number];
  /** mm along `[depth, height, width]`. */
  spacingMm: readonly [number, number, number];
  toleranceMm: number;
}

/** A metric by the name that `scoring.metrics` of an experiment gives it. */
export interface MetricDefinition {
  name: string;
  /** One number; NaN where it is not defined. */
  score(input: MetricInput): number;
}

declare module '../base/registry.js' {
  interface Kinds {
    metrics: MetricDefinition;
  }
}

openKind('metrics', 'score');

for (const name of metricNames)
  register('metrics', {
    name,
    score({ reference, prediction, shape, spacingMm, toleranceMm }) {
      const map = (data: Uint8Array): LabelMap =>
        ({
          data,
          shape,
          channels: 1,
          spacingMm,
          originMm: [0, 0, 0],
          direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
        }) as unknown as LabelMap;
      return volume(map(reference), map(prediction), { classes: { mask: 1 }, metrics: [name], nsdToleranceMm: toleranceMm }).mask[
        name
      ] as number;
    },
  });

/**
 * Scores of each class with further metrics by name besides `defaultMetrics`.
 * @throws VoxelbookError for a metric that nobody defined
 */
export function scoreWith(
  names: readonly string[],
  reference: LabelMap,
  prediction: LabelMap,
  options: ScoreOptions,
): Record<string, ClassScore> {
  const isBuiltIn = (name: string): name is MetricName => (metricNames as readonly string[]).includes(name);
  const metrics = [...new Set([...(options.metrics ?? defaultMetrics), ...names.filter(isBuiltIn)])];
  const scores = volume(reference, prediction, { ...options, metrics });
  const own = names.filter((name) => !isBuiltIn(name)).map((name) => lookup('metrics', name, 'scoring.metrics'));
  if (own.length === 0) return scores;
  for (const [name, labels] of Object.entries({ ...options.classes, ...options.regions })) {
    const members = new Set([labels].flat());
    const mask = (map: LabelMap) => Uint8Array.from(map.data, (v) => (members.has(v) ? 1 : 0));
    const tolerance = options.nsdToleranceMm ?? 1;
    const input: MetricInput = {
      reference: mask(reference),
      prediction: mask(prediction),
      shape: reference.shape,
      spacingMm: options.spacingMm ?? reference.spacingMm,
      toleranceMm: typeof tolerance === 'number' ? tolerance : tolerance[name],
    };
    for (const metric of own) scores[name][metric.name] = metric.score(input);
  }
  return scores;
}
