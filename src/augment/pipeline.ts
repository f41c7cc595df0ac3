// Augmentation pipelines of the papers. Each draws everything first (plain JSON), then applies: a draw can be logged and replayed.
//
// `nnunetv2`: nnU-Net v2 2.8.1's trainer. `moreDA`: nnU-Net v1 (MedNeXt, STU-Net). `DA4`: KAIST BraTS21. `none`: the middle of the patch.
import type { Random } from '../base/random.js';
import { applyBlur, type BlurDraw } from './blur.js';
import { applyBrightness, type BrightnessDraw } from './brightness.js';
import { appendOneHot, applyBinary, applyRemove, type BinaryDraw, drawBinary, drawRemove, type RemoveDraw } from './cascade.js';
import { applyContrast, type ContrastDraw } from './contrast.js';
import { applyGamma, type GammaDraw } from './gamma.js';
import { applyLowResolution, type LowResolutionDraw } from './lowResolution.js';
import { maskOutside, outsideToBackground } from './mask.js';
import { applyMirror, drawMirror, type MirrorDraw } from './mirror.js';
import { applyNoise, drawNoise, type NoiseDraw } from './noise.js';
import { patchRules } from './patchSize.js';
import { fromPlanes, type Planes, type Sample, toPlanes } from './sample.js';
import { applySpatial, balanced, drawSpatial, type SpatialDraw, type SpatialSettings } from './spatial.js';

export type PipelineName = 'nnunetv2' | 'moreDA' | 'DA4' | 'none';

/** One transform with its parameters. */
export type Step =
  | SpatialDraw
  | NoiseDraw
  | BlurDraw
  | BrightnessDraw
  | ContrastDraw
  | LowResolutionDraw
  | GammaDraw
  | MirrorDraw
  | BinaryDraw
  | RemoveDraw;

/** Everything random about one augmented sample, in the order applied; plain JSON. */
export type Draw = Step[];

export interface PipelineSettings {
  /** The network's patch: two or three sides, voxels. */
  patchSize: readonly number[];
  /** Axes of the patch that may be mirrored; all by default. */
  mirrorAxes?: readonly number[];
  /** The plan's `use_mask_for_norm`: these channels are 0 outside of the image. */
  useMaskForNorm?: readonly boolean[];
  /** Cascade: foreground labels of the previous stage, appended as one-hot channels. */
  cascadeLabels?: readonly number[];
}

export interface Pipeline {
  /** What the loader must cut for `apply`, as many axes as the patch; at most one voxel off centre is cut away. */
  initialPatchSize: number[];
  patchSize: number[];
  /** @param sample only its channel count is looked at */
  draw(random: Random, sample: Pick<Sample, 'channels'>): Draw;
  /** @param sample `initialPatchSize`, labels -1 outside @returns a new sample of `patchSize` (2-D: depth 1), labels without -1 */
  apply(draw: Draw, sample: Sample): Sample;
}

/** Parameters by which the three pipelines differ. Probabilities are per sample. */
interface Strength {
  /** Of images turned or made coarse. */
  interpolation: 'linear' | 'cubic';
  spatial: Pick<SpatialSettings, 'rotation' | 'scale' | 'elastic'>;
  noise: number;
  blur: { range: readonly [number, number]; ownAxes: boolean };
  brightness: { range: readonly [number, number]; balanced: boolean };
  shift?: { probability: number; sd: number };
  contrast: readonly [number, number];
  gammaInverted: { probability: number; range: readonly [number, number] };
  gamma: { probability: number; range: readonly [number, number] };
}

const strengths = (rotation: number): Record<Exclude<PipelineName, 'none'>, Strength> => {
  const v2: Strength = {
    interpolation: 'linear',
    spatial: {
      rotation: { probability: 0.2, limit: rotation },
      scale: { probability: 0.2, range: [0.7, 1.4], balanced: false, perAxis: 0 },
    },
    noise: 0.1,
    blur: { range: [0.5, 1], ownAxes: true },
    brightness: { range: [0.75, 1.25], balanced: true },
    contrast: [0.75, 1.25],
    gammaInverted: { probability: 0.1, range: [0.7, 1.5] },
    gamma: { probability: 0.3, range: [0.7, 1.5] },
  };
  return {
    nnunetv2: v2,
    moreDA: {
      ...v2,
      interpolation: 'cubic',
      spatial: { ...v2.spatial, scale: { ...v2.spatial.scale, balanced: true } },
      blur: { range: [0.5, 1], ownAxes: false },
      brightness: { range: [0.75, 1.25], balanced: false },
    },
    DA4: {
      interpolation: 'cubic',
      spatial: {
        rotation: { probability: 0.3, limit: rotation },
        scale: { probability: 0.3, range: [0.65, 1.6], balanced: true, perAxis: 0.3 },
        elastic: { probability: 0.3, range: [0, 0.25] },
      },
      noise: 0.15,
      blur: { range: [0.5, 1.5], ownAxes: false },
      brightness: { range: [0.7, 1.3], balanced: false },
      shift: { probability: 0.3, sd: 0.2 },
      contrast: [0.65, 1.5],
      gammaInverted: { probability: 0.15, range: [0.5, 1.6] },
      gamma: { probability: 0.3, range: [0.5, 1.6] },
    },
  };
};

/** A paper's augmentation for a patch. */
export function pipeline(name: PipelineName, settings: PipelineSettings): Pipeline {
  const patchSize = [...settings.patchSize];
  const flat = patchSize.length === 2;
  const patch = (flat ? [1, ...patchSize] : patchSize) as [number, number, number];
  const rules = name === 'DA4' ? patchRules(patchSize, Math.PI / 2, 0.7) : patchRules(patchSize);
  const cascade = settings.cascadeLabels ?? [];
  const inPlane = flat || rules.dummy2d;
  const strength = name === 'none' ? null : strengths(rules.rotation)[name];
  // Axes of the patch become axes of [depth, height, width].
  const mirrorAxes = (settings.mirrorAxes ?? rules.mirrorAxes).map((axis) => (flat ? axis + 1 : axis));
  const middle: SpatialDraw = {
    transform: 'spatial',
    patchSize: patch,
    inPlane,
    interpolation: 'linear',
    angles: null,
    scale: null,
    elastic: null,
  };

  return {
    patchSize,
    initialPatchSize: strength ? rules.initialPatchSize : patchSize,
    draw(random, { channels }) {
      if (!strength) return [middle];
      const steps: (Step | null)[] = [
        drawSpatial(random, { patchSize: patch, inPlane, interpolation: strength.interpolation, ...strength.spatial }),
        ...drawIntensities(random, channels, strength, inPlane && !flat, flat),
        drawMirror(random, mirrorAxes),
        cascade.length > 0 ? drawBinary(random, cascade.length) : null,
        cascade.length > 0 ? drawRemove(random, cascade.length) : null,
      ];
      return steps.filter((step) => step !== null);
    },
    apply(draw, sample) {
      const onCascade = (step: Step) => step.transform === 'binaryOperator' || step.transform === 'removeComponent';
      let planes = firstPlanes(draw, sample);
      for (const step of draw.filter((s) => !onCascade(s))) planes = applyStep(step, planes, cascade.length);
      planes = outsideToBackground(maskOutside(planes, settings.useMaskForNorm ?? []));
      if (cascade.length > 0) planes = appendOneHot(planes, cascade);
      for (const step of draw.filter(onCascade)) planes = applyStep(step, planes, cascade.length);
      return fromPlanes(planes);
    },
  };
}

/** Planes of a sample; only of its middle when that is all the spatial step will take. */
function firstPlanes([first]: Draw, sample: Sample): Planes {
  if (first?.transform !== 'spatial' || first.angles || first.scale || first.elastic) return toPlanes(sample);
  const start = first.patchSize.map((side, axis) => Math.floor(sample.shape[axis] / 2) - Math.floor(side / 2));
  if (start.some((s, axis) => s < 0 || s + first.patchSize[axis] > sample.shape[axis])) return toPlanes(sample);
  const [depth, height, width] = first.patchSize;
  const c = sample.channels;
  const cut = <A extends Float32Array | Int16Array>(source: A, out: A, values: number): A => {
    for (let z = 0; z < depth; z++)
      for (let y = 0; y < height; y++) {
        const row = ((z + start[0]) * sample.shape[1] + y + start[1]) * sample.shape[2] + start[2];
        out.set(source.subarray(row * values, (row + width) * values) as never, (z * height + y) * width * values);
      }
    return out;
  };
  const n = depth * height * width;
  return toPlanes({
    image: cut(sample.image, new Float32Array(n * c), c),
    seg: cut(sample.seg, new Int16Array(n), 1),
    previous: sample.previous && cut(sample.previous, new Int16Array(n), 1),
    shape: [depth, height, width],
    channels: c,
  });
}

/** Steps between the spatial transform and mirroring, in the trainers' order. */
function drawIntensities(random: Random, channels: number, s: Strength, keepDepth: boolean, flat: boolean): (Step | null)[] {
  const each = <T>(draw: () => T): T[] => Array.from({ length: channels }, draw);
  const some = <T>(probability: number, draw: () => T): (T | null)[] => each(() => (random.chance(probability) ? draw() : null));
  const sigma = () => random.uniform(...s.blur.range);
  const sigmas = () => {
    const one = sigma();
    return [0, 1, 2].map((axis) => (flat && axis === 0 ? 0 : s.blur.ownAxes ? sigma() : one));
  };
  const gamma = (range: readonly [number, number], inverted: boolean): GammaDraw => ({
    transform: 'gamma',
    inverted,
    retainStatistics: true,
    gammas: each(() => balanced(random, range)),
  });
  const brightness = () => (s.brightness.balanced ? balanced(random, s.brightness.range) : random.uniform(...s.brightness.range));
  const maybe = <T>(probability: number, draw: () => T): T | null => (random.chance(probability) ? draw() : null);
  return [
    maybe(s.noise, () => drawNoise(random, [0, 0.1])),
    maybe(0.2, (): BlurDraw => ({ transform: 'blur', sigmas: some(0.5, sigmas) })),
    maybe(0.15, (): BrightnessDraw => ({ transform: 'multiply', values: each(brightness) })),
    maybe(0.15, (): ContrastDraw => {
      const factors = each(() => balanced(random, s.contrast));
      return { transform: 'contrast', factors, preserveRange: true };
    }),
    maybe(0.25, (): LowResolutionDraw => {
      const scales = some(0.5, () => random.uniform(0.5, 1));
      return { transform: 'lowResolution', scales, keepAxes: keepDepth || flat ? [0] : [], interpolation: s.interpolation };
    }),
    maybe(s.gammaInverted.probability, () => gamma(s.gammaInverted.range, true)),
    s.shift
      ? maybe(s.shift.probability, (): BrightnessDraw => {
          const sd = s.shift!.sd;
          return { transform: 'shift', values: some(0.5, () => random.normal(0, sd)) };
        })
      : null,
    maybe(s.gamma.probability, () => gamma(s.gamma.range, false)),
  ];
}

/** One drawn transform. `labels`: how many one-hot channels the cascade appended. */
export function applyStep(step: Step, planes: Planes, labels = 0): Planes {
  switch (step.transform) {
    case 'spatial':
      return applySpatial(step, planes);
    case 'noise':
      return applyNoise(step, planes);
    case 'blur':
      return applyBlur(step, planes);
    case 'multiply':
    case 'shift':
      return applyBrightness(step, planes);
    case 'contrast':
      return applyContrast(step, planes);
    case 'lowResolution':
      return applyLowResolution(step, planes);
    case 'gamma':
      return applyGamma(step, planes);
    case 'mirror':
      return applyMirror(step, planes);
    case 'binaryOperator':
      return applyBinary(step, planes, labels);
    case 'removeComponent':
      return applyRemove(step, planes, labels);
  }
}
