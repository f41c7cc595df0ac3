// One training sample: drawn from its name alone, so that any worker, at any time, makes the same one.
import { cutBox, type Pipeline, pipeline } from '../../augment/index.js';
import { Random } from '../../base/random.js';
import { loadStageLabels, type StageLabels, StoredCase } from '../../preprocess/index.js';
import type { Recipe } from '../experiment.js';
import { downsampleLabels } from '../loss/downsampleLabels.js';
import type { PreviousStage } from '../previousStage.js';
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

/** A patch with its labels, augmented. */
export interface TrainingSample {
  caseId: string;
  /** `[depth, height, width, channel]`. */
  image: Float32Array;
  channels: number;
  /** Labels at each supervised resolution. */
  labels: Int16Array[];
}

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

  /** Sample `position` of batch `index` of a phase. */
  async sample(phase: Phase, index: number, position: number): Promise<TrainingSample> {
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
    const { start, size } = augment.reads(draw);
    const from = place.map((p, axis) => p + start[axis]);
    const cut = whole
      ? cutPatch({ ...whole, shape: stored.shape, channels: stored.channels }, from, size)
      : this.readPatch(caseId, stored, from, size);
    this.stage('augment', caseId);
    const done = augment.apply(draw, cut);
    this.stage('targets', caseId);
    return {
      caseId,
      image: done.image,
      channels: done.channels,
      labels: source.outputShapes.map((shape) => downsampleLabels(done.seg, done.shape, shape)),
    };
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
    const opened = { stored, whole: fits ? this.voxels(caseId, stored, [0, 0, 0], stored.shape) : undefined };
    if (fits) this.heldBytes += stored.bytes;
    this.cases.set(caseId, opened);
    const open = [...this.cases].filter(([, { whole }]) => !whole);
    if (open.length > mostOpen) this.cases.delete(open[0][0]);
    return opened;
  }

  private voxels(caseId: string, stored: StoredCase, start: readonly number[], size: readonly number[]): Voxels {
    const { previous: stage } = this.source;
    const previous = stage && loadStageLabels(stage.folders[caseId], caseId, stored.shape, { start, size });
    return { ...stored.box(start, size), previous };
  }

  /** A patch of which only its own part of the case is read. */
  private readPatch(caseId: string, stored: StoredCase, place: readonly number[], patch: [number, number, number]) {
    const start = place.map((p, i) => Math.min(Math.max(p, 0), stored.shape[i]));
    const size = place.map((p, i) => Math.max(Math.min(p + patch[i], stored.shape[i]) - start[i], 0));
    const part = this.voxels(caseId, stored, start, size);
    // Inside the case it is the patch already.
    if (!part.previous && size.every((n, i) => n === patch[i]))
      return { image: part.data, seg: part.seg, previous: undefined, shape: patch, channels: stored.channels };
    return cutPatch(
      { ...part, shape: size, channels: stored.channels },
      place.map((p, i) => p - start[i]),
      patch,
    );
  }
}

/** Cases whose indices are kept: some hundred kilobytes each where cases are large. */
const mostOpen = 128;

/** A patch at `place`, which may reach outside: there the image is 0 and labels, the previous stage's too, are -1. */
export function cutPatch(
  from: { data: Float32Array; seg: Int16Array; previous?: StageLabels; shape: readonly number[]; channels: number },
  place: readonly number[],
  patch: [number, number, number],
) {
  const { shape, channels } = from;
  const n = patch[0] * patch[1] * patch[2];
  const labels = (source: Int16Array | StageLabels) => cutBox(source, shape, place, patch, new Int16Array(n).fill(-1));
  return {
    image: cutBox(from.data, shape, place, patch, new Float32Array(n * channels), channels),
    seg: labels(from.seg),
    previous: from.previous && labels(from.previous),
    shape: [...patch] as [number, number, number],
    channels,
  };
}
