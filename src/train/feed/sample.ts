// One training sample: drawn from its name alone, so that any worker, at any time, makes the same one.
import { type Pipeline, pipeline } from '../../augment/index.js';
import { Random } from '../../base/random.js';
import { loadCase, loadStageLabels, type PreprocessedCase, type StageLabels } from '../../preprocess/index.js';
import type { Recipe } from '../experiment.js';
import { downsampleLabels } from '../loss/deepSupervision.js';
import type { PreviousStage } from '../previousStage.js';
import { isForced, patchPlace } from './sampling.js';

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
  augmentation: Recipe['augmentation'];
  augmentationSettings: Record<string, unknown>;
  /** Shapes of the outputs that are supervised, full resolution first. */
  outputShapes: [number, number, number][];
  /** Key of `class_locations` of all annotated voxels, with an ignore label. */
  annotatedKey?: string;
  /** Cascade: the previous stage's labels, which become further channels of the image. */
  previous?: PreviousStage;
  /** Preprocessed cases kept in memory at most, bytes. */
  cacheBytes: number;
}

export type Phase = 'train' | 'validation';

export interface TrainingSample {
  caseId: string;
  /** `[depth, height, width, channel]`. */
  image: Float32Array;
  channels: number;
  /** Labels at each supervised resolution. */
  labels: Int16Array[];
}

/** A preprocessed case, in a cascade with the previous stage's labels. */
type SampledCase = PreprocessedCase & { previous?: StageLabels };

/** Makes samples of one source; keeps cases it has read. `stage` is told what is being done, for whoever watches. */
export class Sampler {
  private readonly cases = new Map<string, { value: SampledCase; bytes: number }>();
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
    const caseId = random.split('case').choice(phase === 'train' ? source.train : source.validation);
    this.stage('load', caseId);
    const preprocessed = this.load(caseId);
    this.stage('cut', caseId);
    const augment = this.pipelines[phase];
    const initial = augment.initialPatchSize;
    const patch = (initial.length === 2 ? [1, ...initial] : initial) as [number, number, number];
    const place = patchPlace(random.split('place'), {
      shape: preprocessed.shape,
      patch,
      finalPatch: source.patch,
      forced: isForced(position, source.batchSize, source.oversampleForeground),
      locations: preprocessed.classLocations,
      annotatedKey: source.annotatedKey,
    });
    const cut = cutPatch(preprocessed, place, patch);
    this.stage('augment', caseId);
    const done = augment.apply(augment.draw(random.split('augment'), cut), cut);
    this.stage('targets', caseId);
    const seg = done.seg.map((label) => Math.max(label, 0));
    return {
      caseId,
      image: done.image,
      channels: done.channels,
      labels: source.outputShapes.map((shape) => downsampleLabels(seg, done.shape, shape)),
    };
  }

  private load(caseId: string): SampledCase {
    const held = this.cases.get(caseId);
    if (held) {
      this.cases.delete(caseId);
      this.cases.set(caseId, held);
      return held.value;
    }
    const { folder, previous: stage } = this.source;
    const done = loadCase(folder, caseId);
    const previous = stage && loadStageLabels(stage.folders[caseId], caseId, done.shape);
    const value = { ...done, previous };
    const bytes = done.data.byteLength + done.seg.byteLength + (previous?.byteLength ?? 0);
    this.cases.set(caseId, { value, bytes });
    let total = [...this.cases.values()].reduce((sum, c) => sum + c.bytes, 0);
    for (const [id, c] of this.cases) {
      if (total <= this.source.cacheBytes || id === caseId) break;
      this.cases.delete(id);
      total -= c.bytes;
    }
    return value;
  }
}

/** A patch at `place`, which may reach outside: there the image is 0 and labels, the previous stage's too, are -1. */
export function cutPatch(
  from: { data: Float32Array; seg: Int16Array; previous?: StageLabels; shape: readonly number[]; channels: number },
  place: readonly number[],
  patch: [number, number, number],
) {
  const { shape, channels } = from;
  const image = new Float32Array(patch[0] * patch[1] * patch[2] * channels);
  const seg = new Int16Array(patch[0] * patch[1] * patch[2]).fill(-1);
  const previous = from.previous && seg.slice();
  const x0 = Math.max(0, place[2]);
  const x1 = Math.min(shape[2], place[2] + patch[2]);
  for (let z = 0; z < patch[0]; z++) {
    const sz = place[0] + z;
    if (sz < 0 || sz >= shape[0] || x1 <= x0) continue;
    for (let y = 0; y < patch[1]; y++) {
      const sy = place[1] + y;
      if (sy < 0 || sy >= shape[1]) continue;
      const source = (sz * shape[1] + sy) * shape[2];
      const target = (z * patch[1] + y) * patch[2] + x0 - place[2];
      image.set(from.data.subarray((source + x0) * channels, (source + x1) * channels), target * channels);
      seg.set(from.seg.subarray(source + x0, source + x1), target);
      previous?.set(from.previous!.subarray(source + x0, source + x1), target);
    }
  }
  return { image, seg, previous, shape: [...patch] as [number, number, number], channels };
}
