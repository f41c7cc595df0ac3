// Samplers: which case is drawn, and which patch of it becomes a training sample.
import type { z } from 'zod';
import { VoxelbookError } from '../../base/errors.js';
import type { Random } from '../../base/random.js';
import { type DefinitionCheck, lookup, openKind, register } from '../../base/registry.js';
import { object } from '../../base/schema.js';
import type { Named, Samplers } from '../experiment.js';
import { type ClassLocations, isForced, type PatchPlace, patchPlace } from './sampling.js';

/** What a sampler may know; sizes are voxels, `[depth, height, width]`, depth 1 for 2-D. */
export interface SamplerInput extends Omit<PatchPlace, 'forced'> {
  caseId: string;
  /** Of the sample in its batch, from 0. */
  position: number;
  batchSize: number;
  /** The recipe's share of samples that must hold foreground. */
  oversampleForeground: number;
  locations: ClassLocations;
}

/** A training case before one is drawn. */
export interface SamplerCase {
  caseId: string;
  /** Voxels after preprocessing, `[depth, height, width]`. */
  shape: readonly number[];
  /** Of every class or region, also those that are not there: how many voxels are remembered (all of a small one, 1 % of a large one). */
  locations: Pick<ClassLocations, 'keys' | 'count'>;
}

/** A sampler by the name that `recipe.sampler` gives it; what it leaves out is nnU-Net's. */
export interface SamplerDefinition {
  name: string;
  settings: z.ZodObject;
  /**
   * How often each training case is drawn, against the others; asked once in each worker. Left out: each as often as the others.
   * Validation patches are of every case alike.
   * @returns one finite weight a case, not negative, not all 0
   */
  caseWeights?(cases: readonly SamplerCase[], settings: any): number[];
  /**
   * Draws from `random` alone, so that any worker makes the same sample. Left out: nnU-Net's place.
   * @returns first voxel of the patch along each axis; where it reaches outside the case, the image is 0 and no label counts
   */
  place?(random: Random, about: SamplerInput, settings: any): number[];
}

declare module '../../base/registry.js' {
  interface Kinds {
    samplers: SamplerDefinition;
  }
}

/** A case, a place, or both. */
const choosesSomething: DefinitionCheck = (definition, faults, path) => {
  const { place, caseWeights } = definition;
  for (const [name, value] of Object.entries({ place, caseWeights }))
    if (typeof value !== 'function' && (value !== undefined || (name === 'place' && caseWeights === undefined)))
      faults.add('extension', `${path}.${name}`, typeof value, 'a function', `Add ${name}.`);
};

openKind('samplers', choosesSomething);

/** nnU-Net v2's own: a case as often as any other, and foreground in the last samples of a batch. */
const nnunetPlace = (random: Random, about: SamplerInput) =>
  patchPlace(random, { ...about, forced: isForced(about.position, about.batchSize, about.oversampleForeground) });

register('samplers', { name: 'nnunet', settings: object({}), place: nnunetPlace });

// nnU-Net v2 `_probabilistic_oversampling`.
register('samplers', {
  name: 'probabilistic',
  settings: object({}),
  place: (random, about) => patchPlace(random, { ...about, forced: random.chance(about.oversampleForeground) }),
});

const definitionOf = (sampler: Named<Samplers> = { kind: 'nnunet' }) => lookup('samplers', sampler.kind, 'recipe.sampler');

/**
 * Draws training cases by a recipe's sampler: from `random` alone, so that any worker draws the same.
 * @param caseOf what the sampler may know of a case; asked for only where it weighs them
 * @throws VoxelbookError for weights that are none
 */
export function casesBy(
  sampler: Named<Samplers> | undefined,
  ids: readonly string[],
  caseOf: (caseId: string) => SamplerCase,
): (random: Random) => string {
  const { name, caseWeights } = definitionOf(sampler);
  if (!caseWeights) return (random) => random.choice(ids);
  const weights = caseWeights(ids.map(caseOf), sampler);
  let total = 0;
  const upTo = Array.isArray(weights) ? weights.map((weight) => (total += weight)) : [];
  if (upTo.length !== ids.length || !weights.every((w) => Number.isFinite(w) && w >= 0) || !(total > 0 && total < Infinity))
    throw new VoxelbookError(`the sampler ${name} weighs no cases`, {
      code: 'sampler-weights',
      path: `samplers.${name}.caseWeights`,
      given: (JSON.stringify(weights) ?? 'nothing').slice(0, 200),
      expected: `${ids.length} numbers, one a training case, not negative, and not all of them 0`,
      fix: 'Correct what it returns.',
    });
  return (random) => {
    const at = random.uniform(0, total);
    return ids[upTo.findIndex((end) => at < end || end === total)];
  };
}

/**
 * The patch's place by a recipe's sampler.
 * @throws VoxelbookError for a place that is none
 */
export function placeBy(sampler: Named<Samplers> = { kind: 'nnunet' }, random: Random, about: SamplerInput): number[] {
  const { place: own = nnunetPlace } = definitionOf(sampler);
  const place = own(random, about, sampler);
  const axes = about.shape.length;
  if (Array.isArray(place) && place.length === axes && place.every(Number.isSafeInteger)) return place;
  throw new VoxelbookError(`the sampler ${sampler.kind} gives no place`, {
    code: 'sampler-place',
    path: `samplers.${sampler.kind}.place`,
    given: JSON.stringify(place) ?? 'nothing',
    expected: `${axes} whole numbers, the first voxel of the patch along each axis`,
    fix: 'Correct what it returns.',
  });
}
