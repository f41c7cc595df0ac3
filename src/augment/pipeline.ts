// A pipeline of transforms for a patch: a list of data, by name or written out. Everything is drawn first (plain JSON), then applied:
// a draw can be logged and replayed.
import { FaultList } from '../base/errors.js';
import type { Random } from '../base/random.js';
import { definitions } from '../base/registry.js';
import { appendOneHot } from './cascade.js';
import { centreStart } from './crop.js';
import { cleaned, maskedChannels, maskOutside, outsideToBackground } from './mask.js';
import { patchRules } from './patchSize.js';
import { type PipelineName, pipelines } from './pipelines.js';
import { fromPlanes, type Sample, spares, toPlanes } from './sample.js';
import { applySpatialToSample, isStill, middle, type SpatialDraw } from './spatial.js';
import { applyStep, type DrawContext, drawEntry, type Entry, entryFaults, type Step } from './transform.js';

/** Everything random about one augmented sample, in the order applied; plain JSON. */
export type Draw = Step[];

/** What a pipeline takes from plan and recipe. */
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

/** A pipeline for patches of one size: what is drawn for a sample is JSON, applying it changes the sample's voxels. */
export interface Pipeline {
  /** What the loader must cut for `apply`, as many axes as the patch; at most one voxel off centre is cut away. */
  initialPatchSize: number[];
  patchSize: number[];
  /** @param sample only its channel count is looked at */
  draw(random: Random, sample: Pick<Sample, 'channels'>): Draw;
  /**
   * The part of the loader's patch that a draw reads, `[depth, height, width]`: only its middle where nothing is turned, scaled or
   * deformed. `apply` takes this part as well as the whole. Where nothing is drawn at all, `masked` channels may be cleared outside of the
   * image while it is read; the sample says so.
   */
  reads(draw: Draw): { start: number[]; size: [number, number, number]; masked: number[] };
  /**
   * @param sample `initialPatchSize` or what `reads` says, labels -1 outside
   * @param into takes the image, and may be the given sample's own; that sample is used up then
   * @returns a sample of `patchSize` (2-D: depth 1), labels without -1; where nothing was drawn it may share its image with the given one
   */
  apply(draw: Draw, sample: Sample, into?: Float32Array): Sample;
}

/**
 * What is wrong with a pipeline that was written out, all at once.
 * @throws VoxelbookError naming every entry and setting that cannot be used
 */
export function checkEntries(entries: readonly unknown[]): void {
  const faults = new FaultList();
  for (const [i, entry] of entries.entries()) {
    for (const { path, given, expected, fix } of entryFaults(entry))
      faults.add('transform', [`augmentation[${i}]`, ...path].join('.'), given, expected, fix);
  }
  faults.throwIfAny('this augmentation cannot be used');
}

/**
 * The pipeline of a patch.
 * @param augmentation a name of `pipelines`, or a list of transforms
 * @throws VoxelbookError when a list names unknown transforms or settings
 */
export function pipeline(augmentation: PipelineName | readonly Entry[], settings: PipelineSettings): Pipeline {
  const entries: readonly Entry[] = typeof augmentation === 'string' ? pipelines[augmentation] : augmentation;
  checkEntries(entries);
  const patchSize = [...settings.patchSize];
  const flat = patchSize.length === 2;
  const patch = (flat ? [1, ...patchSize] : patchSize) as [number, number, number];
  const turning = entries.find((entry) => entry.transform === 'spatial');
  const rules = patchRules(patchSize, turning?.rotation.limit, turning?.scale.smallest);
  const cascade = settings.cascadeLabels ?? [];
  const inPlane = flat || rules.dummy2d;
  const onCascade = new Set(definitions('transforms').flatMap((t) => (t.cascade ? [t.name] : [])));
  const context: Omit<DrawContext, 'channels'> = {
    patch,
    inPlane,
    flat,
    rotation: rules.rotation,
    // Axes of the patch become axes of [depth, height, width].
    mirrorAxes: (settings.mirrorAxes ?? rules.mirrorAxes).map((axis) => (flat ? axis + 1 : axis)),
    labels: cascade.length,
  };

  return {
    patchSize,
    initialPatchSize: turning ? rules.initialPatchSize : patchSize,
    draw(random, { channels }) {
      const steps: Draw = turning ? [] : [middle(patch, inPlane)];
      for (const entry of entries) {
        if (onCascade.has(entry.transform) && cascade.length === 0) continue;
        const step = drawEntry(random, entry, { ...context, channels });
        if (step) steps.push(step);
      }
      return steps;
    },
    reads(draw) {
      const [first] = draw;
      const initial = turning ? rules.initialPatchSize : patchSize;
      const whole = (flat ? [1, ...initial] : initial) as [number, number, number];
      const inMiddle = first?.transform === 'spatial' && isStill(first as SpatialDraw);
      const size = inMiddle ? (patch.map((side, axis) => Math.min(side, whole[axis])) as [number, number, number]) : whole;
      const masked = inMiddle && draw.length === 1 ? maskedChannels(settings.useMaskForNorm ?? []) : [];
      return { start: centreStart(whole, size), size, masked };
    },
    apply(draw, sample, into) {
      const [first, ...rest] = draw;
      const spatialFirst = first?.transform === 'spatial';
      const asItLies = draw.length === 1 && spatialFirst && isStill(first as SpatialDraw) && !sample.previous;
      if (asItLies && cascade.length === 0 && sample.shape.every((n, axis) => n === patch[axis]))
        return cleaned(sample, settings.useMaskForNorm ?? [], into);
      let planes = spatialFirst ? applySpatialToSample(first as SpatialDraw, sample) : toPlanes(sample);
      for (const step of spatialFirst ? rest : draw)
        if (!onCascade.has(step.transform)) planes = applyStep(step, planes, cascade.length);
      planes = outsideToBackground(maskOutside(planes, settings.useMaskForNorm ?? []));
      if (cascade.length > 0) planes = appendOneHot(planes, cascade);
      for (const step of draw) if (onCascade.has(step.transform)) planes = applyStep(step, planes, cascade.length);
      const done = fromPlanes(planes, into);
      spares.giveBack(planes.channels);
      return done;
    },
  };
}
