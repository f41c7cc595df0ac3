// Samplers: which patch of a case becomes a training sample.
import type { z } from 'zod';
import { VoxelbookError } from '../../base/errors.js';
import type { Random } from '../../base/random.js';
import { lookup, openKind, register } from '../../base/registry.js';
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

/** A sampler by the name that `recipe.sampler` gives it. */
export interface SamplerDefinition {
  name: string;
  settings: z.ZodObject;
  /**
   * Draws from `random` alone, so that any worker makes the same sample.
   * @returns first voxel of the patch along each axis; where it reaches outside the case, the image is 0 and no label counts
   */
  place(random: Random, about: SamplerInput, settings: any): number[];
}

declare module '../../base/registry.js' {
  interface Kinds {
    samplers: SamplerDefinition;
  }
}

openKind('samplers', 'place');

register('samplers', {
  name: 'nnunet',
  settings: object({}),
  place: (random, about) =>
    patchPlace(random, { ...about, forced: isForced(about.position, about.batchSize, about.oversampleForeground) }),
});

// nnU-Net v2 `_probabilistic_oversampling`.
register('samplers', {
  name: 'probabilistic',
  settings: object({}),
  place: (random, about) => patchPlace(random, { ...about, forced: random.chance(about.oversampleForeground) }),
});

/**
 * The patch's place by a recipe's sampler.
 * @throws VoxelbookError for a place that is none
 */
export function placeBy(sampler: Named<Samplers> = { kind: 'nnunet' }, random: Random, about: SamplerInput): number[] {
  const place = lookup('samplers', sampler.kind, 'recipe.sampler').place(random, about, sampler);
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
