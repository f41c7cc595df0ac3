// One training sample: drawn from its name alone, so that any worker, at any time, makes the same one.
import { cutBox, type Pipeline, pipeline, type Sample } from '../../augment/index.js';
import { Random } from '../../base/random.js';
import { loadStageLabels, type StageLabels, StoredCase } from '../../preprocess/index.js';
import type { Recipe } from '../experiment.js';
import { downsampleLabels } from '../loss/downsampleLabels.js';
import type { PreviousStage } from '../previousStage.js';
import type { SamplePlace } from './batchMemory.js';
import { casesBy, placeBy } from './samplers.js';

/** What a worker must know to make any sample: plain data. */
export interface SampleSource {
  /** Folder of the preprocessed cases. */
  folder: string;
  train: string[];
  validation: string[];
  seed: number;
  batchSize: number;
  /** What the network gets, `[depth, height, width]`; depth 1 for a 2-D network. */
  patch: [number, number, number];
  /** Channels of it: the image's, and in a cascade one more for each label of the previous stage. */
  channels: number;
  /** Sides of the network's patch: 2 or 3. */
  dimensions: 2 | 3;
  oversampleForeground: number;
  /** Default nnU-Net's. */
  sampler?: Recipe['sampler'];
  augmentation: Recipe['augmentation'];
  augmentationSettings: Record<string, unknown>;
  /** Shapes of the outputs that are supervised, full resolution first. */
  outputShapes: [number, number, number][];
  /** Key of `class_locations` of all annotated voxels, with an ignore label. */
  annotatedKey?: string;
  /** Cascade: the previous stage's labels, which become further channels of the image. */
  previous?: PreviousStage;
  /** Voxels of whole cases kept in memory at most, bytes; of further cases only the patches are read. */
  cacheBytes: number;
}

/** Training patches are augmented, validation patches are not. */
export type Phase = 'train' | 'validation';

/** Voxels in memory. */
interface Voxels {
  data: Float32Array;
  seg: Int16Array;
  previous?: StageLabels;
}

/** Makes samples of one source; keeps cases it has read. `stage` is told what is being done, for whoever watches. */
export class Sampler {
  private readonly cases = new Map<string, { stored: StoredCase; whole?: Voxels }>();
  private heldBytes = 0;
  private drawCase?: (random: Random) => string;
  private readonly pipelines: Record<Phase, Pipeline>;
  /** What patches are cut into: the largest so far. */
  private readonly scratch = { image: new Float32Array(), seg: new Int16Array() };

  constructor(
    private readonly source: SampleSource,
    private readonly stage: (stage: string, caseId: string) => void = () => {},
  ) {
    const settings = {
      ...source.augmentationSettings,
      patchSize: source.patch.slice(3 - source.dimensions),
      cascadeLabels: source.previous?.foreground,
    };
    this.pipelines = {
      train: pipeline(source.augmentation, settings),
      validation: pipeline('none', settings),
    };
  }

  /**
   * Makes sample `position` of batch `index` of a phase.
   * @param into takes its image and labels
   * @returns the case it is of
   * @throws VoxelbookError for a case that cannot be read
   */
  sample(phase: Phase, index: number, position: number, into: SamplePlace): string {
    const { source } = this;
    const random = new Random(source.seed).split(phase).split(index).split(position);
    const caseId = this.caseOf(phase, random.split('case'));
    this.stage('load', caseId);
    const { stored, whole } = this.open(caseId);
    const augment = this.pipelines[phase];
    const initial = augment.initialPatchSize;
    const patch = (initial.length === 2 ? [1, ...initial] : initial) as [number, number, number];
    const place = placeBy(source.sampler, random.split('place'), {
      caseId,
      shape: stored.shape,
      patch,
      finalPatch: source.patch,
      position,
      batchSize: source.batchSize,
      oversampleForeground: source.oversampleForeground,
      locations: stored.classLocations,
      annotatedKey: source.annotatedKey,
    });
    this.stage('cut', caseId);
    // Drawn first: most draws read the middle of the loader's patch alone.
    const draw = augment.draw(random.split('augment'), stored);
    const { start, size, masked } = augment.reads(draw);
    const from = place.map((p, axis) => p + start[axis]);
    const cut = this.cut(caseId, stored, whole, from, size, masked, into);
    this.stage('augment', caseId);
    const done = augment.apply(draw, cut, into.image);
    this.stage('targets', caseId);
    for (const [i, shape] of source.outputShapes.entries()) downsampleLabels(done.seg, done.shape, shape, into.labels[i]);
    return caseId;
  }

  private caseOf(phase: Phase, random: Random): string {
    const { folder, train, validation, sampler } = this.source;
    if (phase === 'validation') return random.choice(validation);
    this.drawCase ??= casesBy(sampler, train, (caseId) => {
      this.stage('weigh', caseId);
      const { shape, classLocations: locations } = new StoredCase(folder, caseId);
      return { caseId, shape, locations };
    });
    return this.drawCase(random);
  }

  /** The case, its voxels in memory as long as there is room for them. */
  private open(caseId: string): { stored: StoredCase; whole?: Voxels } {
    const held = this.cases.get(caseId);
    if (held) {
      // Last used stands last.
      this.cases.delete(caseId);
      this.cases.set(caseId, held);
      return held;
    }
    const stored = new StoredCase(this.source.folder, caseId);
    const fits = this.heldBytes + stored.bytes <= this.source.cacheBytes;
    const opened = { stored, whole: fits ? this.voxels(caseId, stored) : undefined };
    if (fits) this.heldBytes += stored.bytes;
    this.cases.set(caseId, opened);
    const open = [...this.cases].filter(([, { whole }]) => !whole);
    if (open.length > mostOpen) this.cases.delete(open[0][0]);
    return opened;
  }

  private voxels(caseId: string, stored: StoredCase): Voxels {
    return { ...stored.box(), previous: this.previous(caseId, stored, [0, 0, 0], stored.shape) };
  }

  private previous(caseId: string, { shape }: StoredCase, start: readonly number[], size: readonly number[]) {
    const { previous: stage } = this.source;
    return stage && loadStageLabels(stage.folders[caseId], caseId, shape, { start, size });
  }

  /** The patch at `from`: of a case that is not in memory only what it covers is read. */
  private cut(
    caseId: string,
    stored: StoredCase,
    whole: Voxels | undefined,
    from: readonly number[],
    size: [number, number, number],
    masked: readonly number[],
    into: SamplePlace,
  ): Sample {
    const { channels, shape } = stored;
    const arrays = this.arrays(voxelsOf(size), channels, into);
    if (whole) return cutPatch({ ...whole, shape, channels }, from, size, arrays);
    const { data: image, seg } = stored.box(from, size, { data: arrays.image, seg: arrays.seg }, masked);
    const low = from.map((f, i) => Math.min(Math.max(f, 0), shape[i]));
    const covered = from.map((f, i) => Math.max(Math.min(f + size[i], shape[i]) - low[i], 0));
    const previous = this.previous(caseId, stored, low, covered);
    const place = from.map((f, i) => f - low[i]);
    const own = { image, seg, shape: size, channels, masked: masked.length > 0 };
    return previous ? { ...own, previous: cutLabels(previous, covered, place, size) } : own;
  }

  /** Arrays for a patch of `n` voxels: the image goes to its place at once, if it is as large as there. */
  private arrays(n: number, channels: number, { image }: SamplePlace): Arrays {
    const { scratch } = this;
    if (scratch.seg.length < n) scratch.seg = new Int16Array(n);
    const seg = scratch.seg.subarray(0, n);
    if (n * channels === image.length) return { image, seg };
    if (scratch.image.length < n * channels) scratch.image = new Float32Array(n * channels);
    return { image: scratch.image.subarray(0, n * channels), seg };
  }
}

/** Cases whose indices are kept: some hundred kilobytes each where cases are large. */
const mostOpen = 128;

type Arrays = Pick<Sample, 'image' | 'seg'>;

const voxelsOf = (size: readonly number[]) => size[0] * size[1] * size[2];

/**
 * A patch at `place`, which may reach outside: there the image is 0 and labels, the previous stage's too, are -1.
 * @param into takes image and labels
 */
export function cutPatch(
  from: { data: Float32Array; seg: Int16Array; previous?: StageLabels; shape: readonly number[]; channels: number },
  place: readonly number[],
  patch: [number, number, number],
  into?: Arrays,
): Sample {
  const { shape, channels } = from;
  const n = voxelsOf(patch);
  const inside = place.every((p, i) => p >= 0 && p + patch[i] <= shape[i]);
  const { image, seg } = into ?? { image: new Float32Array(n * channels), seg: new Int16Array(n) };
  if (!inside) {
    image.fill(0);
    seg.fill(-1);
  }
  return {
    image: cutBox(from.data, shape, place, patch, image, channels),
    seg: cutBox(from.seg, shape, place, patch, seg),
    previous: from.previous && cutLabels(from.previous, shape, place, patch),
    shape: [...patch] as [number, number, number],
    channels,
  };
}

const cutLabels = (from: StageLabels, shape: readonly number[], place: readonly number[], patch: readonly number[]) =>
  cutBox(from, shape, place, patch, new Int16Array(voxelsOf(patch)).fill(-1));
