// A volume in a cell: three orthogonal planes with labels, sliders where scripts may run, a still picture everywhere.
import { sha256 } from '../base/checksum.js';
import { VoxelbookError } from '../base/errors.js';
import { type Colour, colourOfLabel } from '../base/labelColours.js';
import { quantileSorted } from '../score/quantile.js';
import { turnOf } from '../volume/reorient.js';
import type { LabelMap, Volume } from '../volume/volume.js';
import { display, escapeText, type MimeBundle, NotebookOutput, plainText } from './display.js';
import { services } from './kernel.js';
import { checkLive, type LiveScene, liveBundle } from './liveView.js';
import { agreementColours, besideEachOther, dataUri, type Plane, paint, png } from './picture.js';
import { encodePng } from './pngEncoder.js';
import { viewerScript } from './viewerScript.js';

/** What is shown of a volume, and where it is cut. */
export interface ViewOptions {
  /** Shown with `labelMap` as contours, disagreement filled. */
  prediction?: LabelMap;
  channel?: number;
  title?: string;
  /** Names for the legend, as in `dataset.json`. */
  labels?: Record<string, number | readonly number[]>;
  /** Values shown black and white; default the 0.5 and 99.5 percentiles of the voxels that are not 0. */
  window?: readonly [number, number];
  /** Slices `[z, y, x]` to start at; default those with most labelled voxels. */
  at?: readonly [number, number, number];
  /** Upper bound of the notebook output in bytes; the sliders' copy of the volume is made coarser to keep it. Default 200 000. */
  maxBytes?: number;
  /**
   * Beside the still picture, where kernel and page allow it, a viewer to work with: window, opacity, classes on and off, crosshair,
   * 3-D render, two masks. Sends the whole volume to the page, and stays out of the stored notebook.
   */
  live?: boolean;
}

/** Three planes of a volume in a cell. */
export class VolumeView extends NotebookOutput {
  constructor(
    private readonly html: string,
    private readonly still: Uint8Array,
    private readonly description: string,
    private readonly live?: LiveScene,
  ) {
    super();
  }

  /** The still picture. */
  toPng(): Uint8Array {
    return this.still;
  }

  toHtml(): string {
    return this.html;
  }

  bundle(): MimeBundle {
    return { 'text/html': this.html, 'text/plain': this.toString() };
  }

  override [display](): MimeBundle {
    const kernel = this.live && services();
    if (!kernel) return this.bundle();
    // An output of its own: a stored notebook opens with it.
    kernel.displayBundle(this.bundle());
    return liveBundle(kernel, this.live!);
  }

  override toString(): string {
    return plainText(this.description);
  }
}

/**
 * Shows a volume as three orthogonal planes (patient's right on the left, front and head up).
 * @param volume `[depth, height, width, channel]`
 * @param labelMap drawn over it; alone filled, with a prediction as contours
 * @throws VoxelbookError when shapes differ or the channel does not exist
 */
export function view(volume: Volume, labelMap?: LabelMap | null, options: ViewOptions = {}): VolumeView {
  const { channel = 0, prediction, maxBytes = 200_000 } = options;
  check(volume, labelMap, options);
  if (options.live) checkLive({ volume, reference: labelMap, prediction });
  const window = windowOf(volume, channel, options.window);
  const grey = toGrey(volume, channel, window);
  const scene: Scene = {
    shape: volume.shape,
    spacingMm: volume.spacingMm,
    ...placed(volume),
    grey,
    colour: inColour(volume, options),
    reference: labelMap ? Uint16Array.from(labelMap.data) : undefined,
    prediction: prediction ? Uint16Array.from(prediction.data) : undefined,
  };
  const at = options.at ?? fullest(scene);
  const still = png(besideEachOther(planes(scene, at).map((p) => paint(p, pixelsPerMm(scene)))));
  const [z, y, x] = at;
  const description = `${options.title ?? 'Volume'} [${volume.shape}] voxels of ${volume.spacingMm.map((s) => +s.toFixed(3)).join(' × ')} mm, planes at z ${z}, y ${y}, x ${x}${labelMap ? ', with labels' : ''}${prediction ? ' and prediction' : ''}.`;
  const live = options.live ? { volume, channel, reference: labelMap, prediction, names: namesOf(options), window } : undefined;
  return new VolumeView(page(scene, at, still, options, maxBytes), still, description, live);
}

interface Scene {
  shape: readonly [number, number, number];
  spacingMm: readonly [number, number, number];
  /** The axis of the array that runs nearest to the patient's feet to head, back to front, left to right. */
  axes: readonly [number, number, number];
  /** Whether each axis of the array is shown against its order. */
  flip: readonly [boolean, boolean, boolean];
  grey: Uint8Array;
  /** Red, green and blue of each voxel of a colour picture. */
  colour?: Uint8Array;
  reference?: Uint16Array;
  prediction?: Uint16Array;
}

/** Which way a volume lies, by its whole direction matrix: it may be oblique, and its axes in any order. */
function placed({ direction }: Volume): Pick<Scene, 'axes' | 'flip'> {
  const { world, against } = turnOf(direction);
  return {
    axes: [2, 1, 0].map((axis) => 2 - world.indexOf(axis)) as [number, number, number],
    flip: [2, 1, 0].map((fileAxis) => !against[fileAxis]) as [boolean, boolean, boolean],
  };
}

/** A picture of red, green and blue, from 0 to 255 or to 1; undefined for anything else, and where one channel is asked for. */
function inColour(volume: Volume, { channel, window }: ViewOptions): Uint8Array | undefined {
  const { data, shape, channels } = volume;
  if (shape[0] !== 1 || channels !== 3 || channel !== undefined || window) return undefined;
  let [low, high] = [0, 0];
  for (const v of data) [low, high] = [Math.min(low, v), Math.max(high, v)];
  if (low < 0 || high > 255) return undefined;
  return Uint8Array.from(data, (v) => (high <= 1 && data instanceof Float32Array ? 255 * v : v));
}

function check(volume: Volume, labelMap: LabelMap | null | undefined, { channel = 0, prediction, at }: ViewOptions): void {
  const faults = [];
  for (const [path, map] of [
    ['labelMap', labelMap],
    ['prediction', prediction],
  ] as const)
    if (map && map.shape.join() !== volume.shape.join())
      faults.push({
        code: 'shape',
        path,
        given: `[${map.shape}]`,
        expected: `the volume's [${volume.shape}]`,
        fix: 'Resample the label map to the grid of the volume.',
      });
  if (!(Number.isInteger(channel) && channel >= 0 && channel < volume.channels))
    faults.push({
      code: 'channel',
      path: 'channel',
      given: String(channel),
      expected: `0 to ${volume.channels - 1}`,
      fix: 'Choose one of the channels.',
    });
  if (at?.some((v, axis) => !(Number.isInteger(v) && v >= 0 && v < volume.shape[axis])))
    faults.push({ code: 'at', path: 'at', given: `[${at}]`, expected: `inside [${volume.shape}]`, fix: 'Choose slices inside.' });
  if (faults.length > 0) throw new VoxelbookError('this volume cannot be shown', faults);
}

/** The values shown black and white. */
function windowOf({ data, channels }: Volume, channel: number, window?: readonly [number, number]): [number, number] {
  let [low, high] = window ?? [0, 0];
  if (!window) {
    const count = data.length / channels;
    const sample: number[] = [];
    const step = Math.max(1, Math.floor(count / 50_000));
    for (let i = 0; i < count; i += step) {
      const v = data[i * channels + channel];
      if (v !== 0 && Number.isFinite(v)) sample.push(v);
    }
    sample.sort((a, b) => a - b);
    if (sample.length > 0) [low, high] = [quantileSorted(sample, 0.005), quantileSorted(sample, 0.995)];
    // Background 0 stays black where the values are positive, as in MR.
    if (low > 0) low = 0;
  }
  return [low, high > low ? high : low + 1];
}

function toGrey({ data, channels }: Volume, channel: number, [low, high]: readonly [number, number]): Uint8Array {
  const grey = new Uint8Array(data.length / channels);
  for (let i = 0; i < grey.length; i++) {
    const v = ((data[i * channels + channel] - low) / (high - low)) * 255;
    grey[i] = Math.min(255, Math.max(0, v));
  }
  return grey;
}

/** The slice of each axis with most labelled voxels; the middle where nothing is labelled. */
function fullest({ shape, reference, prediction }: Scene): [number, number, number] {
  const map = reference ?? prediction;
  const middle = shape.map((n) => Math.floor(n / 2)) as [number, number, number];
  if (!map) return middle;
  const counts = shape.map((n) => new Int32Array(n));
  for (let z = 0, i = 0; z < shape[0]; z++)
    for (let y = 0; y < shape[1]; y++)
      for (let x = 0; x < shape[2]; x++, i++)
        if (map[i]) {
          counts[0][z]++;
          counts[1][y]++;
          counts[2][x]++;
        }
  return counts.map((c, axis) => {
    const most = c.reduce((a, b) => Math.max(a, b), 0);
    return most === 0 ? middle[axis] : c.indexOf(most);
  }) as [number, number, number];
}

/** Axial, coronal and sagittal plane; only the axial one of a picture. */
function planes(scene: Scene, at: readonly number[]): Plane[] {
  const { axes, shape, spacingMm } = scene;
  if (shape[0] === 1) return [{ ...plane(scene, 2, 1, 0), pixelMm: [1, spacingMm[1] / spacingMm[2]] }];
  const [z, y, x] = axes;
  return [plane(scene, x, y, at[z]), plane(scene, x, z, at[y]), plane(scene, y, z, at[x])];
}

/** The plane of two axes of the array, `across` and `down`, at a place along the third. */
function plane(scene: Scene, across: number, down: number, at: number): Plane {
  const { shape, spacingMm, flip } = scene;
  const strides = [shape[1] * shape[2], shape[2], 1];
  const [width, height] = [shape[across], shape[down]];
  const start = at * strides[3 - across - down];
  const take = <A extends Uint8Array | Uint16Array>(from: A, channels = 1): A => {
    const out = new (from.constructor as new (n: number) => A)(width * height * channels);
    for (let v = 0, o = 0; v < height; v++)
      for (let u = 0; u < width; u++) {
        const row = (flip[down] ? height - 1 - v : v) * strides[down];
        const i = start + row + (flip[across] ? width - 1 - u : u) * strides[across];
        for (let c = 0; c < channels; c++) out[o++] = from[i * channels + c];
      }
    return out;
  };
  return {
    width,
    height,
    pixelMm: [spacingMm[across], spacingMm[down]],
    grey: take(scene.grey),
    colour: scene.colour && take(scene.colour, 3),
    reference: scene.reference && take(scene.reference),
    prediction: scene.prediction && take(scene.prediction),
  };
}

/** All three planes together about 840 pixels wide, a voxel at most 12. */
function pixelsPerMm({ shape, spacingMm, axes: [, y, x] }: Scene): number {
  if (shape[0] === 1) return Math.min(4, 420 / shape[2]);
  const wide = 2 * shape[x] * spacingMm[x] + shape[y] * spacingMm[y];
  return Math.min(840 / wide, 12 / Math.min(...spacingMm));
}

interface Coarse extends Scene {
  /** Voxels of the scene per voxel here, per axis. */
  step: [number, number, number];
}

/** Every n-th voxel, so that n voxels of an axis become about n / step. */
function coarser(scene: Scene, factor: number): Coarse {
  const step = scene.shape.map((n, axis) =>
    n === 1 ? 1 : Math.max(1, (factor * Math.min(...scene.spacingMm)) / scene.spacingMm[axis]),
  ) as [number, number, number];
  const shape = scene.shape.map((n, axis) => Math.max(1, Math.floor(n / step[axis]))) as [number, number, number];
  const exact = scene.shape.map((n, axis) => n / shape[axis]) as [number, number, number];
  const take = <A extends Uint8Array | Uint16Array>(from: A): A => {
    const out = new (from.constructor as new (n: number) => A)(shape[0] * shape[1] * shape[2]);
    for (let z = 0, i = 0; z < shape[0]; z++)
      for (let y = 0; y < shape[1]; y++)
        for (let x = 0; x < shape[2]; x++, i++)
          out[i] =
            from[
              (Math.floor((z + 0.5) * exact[0]) * scene.shape[1] + Math.floor((y + 0.5) * exact[1])) * scene.shape[2] +
                Math.floor((x + 0.5) * exact[2])
            ];
    return out;
  };
  return {
    ...scene,
    shape,
    spacingMm: scene.spacingMm.map((s, axis) => s * exact[axis]) as [number, number, number],
    grey: take(scene.grey),
    reference: scene.reference && take(scene.reference),
    prediction: scene.prediction && take(scene.prediction),
    step: exact,
  };
}

/** All slices in one grey picture: above the values in 64 steps, below the reference labels, below them the predicted ones. */
function sprite(scene: Scene): { bytes: Uint8Array; columns: number } {
  const [depth, height, width] = scene.shape;
  const columns = Math.ceil(Math.sqrt((depth * height) / width));
  const rows = Math.ceil(depth / columns);
  const layers = [scene.grey, scene.reference, scene.prediction].filter((layer) => layer !== undefined);
  const wide = columns * width;
  const out = new Uint8Array(wide * rows * height * layers.length);
  layers.forEach((layer, l) => {
    for (let z = 0, i = 0; z < depth; z++)
      for (let y = 0; y < height; y++) {
        let at = ((l * rows + Math.floor(z / columns)) * height + y) * wide + (z % columns) * width;
        for (let x = 0; x < width; x++, i++, at++) out[at] = layer === scene.grey ? layer[i] >> 2 : Math.min(255, layer[i]);
      }
  });
  return { bytes: encodePng(wide, rows * height * layers.length, 1, out), columns };
}

/** The highest label of a scene. */
const highest = ({ reference, prediction }: Scene): number =>
  [reference, prediction].reduce((most, map) => map?.reduce((a, b) => Math.max(a, b), most) ?? most, 0);

/** How many were made: a number of each. */
let views = 0;

const css = (c: Colour) => `rgb(${c.join()})`;

function page(scene: Scene, at: readonly number[], still: Uint8Array, options: ViewOptions, maxBytes: number): string {
  const title = options.title ? `<div style="font-weight:bold">${escapeText(options.title)}</div>` : '';
  const picture = `<img alt="three planes" style="max-width:100%;image-rendering:pixelated;background:black" src="${dataUri(still)}">`;
  const head = `${title}<div class="vb-still">${picture}</div>`;
  const foot = `<div style="font-size:85%">${legend(scene, options)}</div>`;
  if (scene.shape[0] === 1) return `<div>${head}${foot}</div>`;
  const room = ((maxBytes - still.length * 1.34 - 9000) / 4) * 3;
  for (const factor of [1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8]) {
    const coarse = coarser(scene, factor);
    // A guess saves encoding volumes that cannot fit.
    if (coarse.grey.length * 0.1 > room) continue;
    const { bytes, columns } = sprite(coarse);
    if (bytes.length > room) continue;
    // Equal views on one page are two.
    const id = `vb${sha256(bytes, JSON.stringify(at)).slice(0, 12)}-${views++}`;
    const settings = {
      shape: coarse.shape,
      spacing: coarse.spacingMm,
      axes: scene.axes,
      flip: scene.flip,
      columns,
      rows: Math.ceil(coarse.shape[0] / columns) * coarse.shape[1],
      layers: [coarse.reference ? 1 : 0, coarse.prediction ? (coarse.reference ? 2 : 1) : 0],
      full: scene.shape,
      at: at.map((v, axis) => Math.min(coarse.shape[axis] - 1, Math.floor(v / coarse.step[axis]))),
      scale: pixelsPerMm(scene),
      compare: Boolean(scene.reference && scene.prediction),
      colours: Array.from({ length: Math.min(255, highest(scene)) }, (_, i) => colourOfLabel(i + 1)),
      agreement: agreementColours,
    };
    return `<div id="${id}">${head}<div class="vb-live" style="display:none"></div>${foot}<img class="vb-data" alt="" hidden src="${dataUri(bytes)}"><script>${viewerScript}(${JSON.stringify(id)},${JSON.stringify(settings)})</script></div>`;
  }
  return `<div>${head}${foot}</div>`;
}

function legend(scene: Scene, options: ViewOptions): string {
  const swatch = (c: Colour, text: string) =>
    `<span style="white-space:nowrap;margin-right:1em"><span style="display:inline-block;width:0.9em;height:0.9em;border:1px solid #444;background:${css(c)}"></span> ${escapeText(text)}</span>`;
  if (scene.reference && scene.prediction)
    return [
      swatch(agreementColours.reference, 'reference contour'),
      swatch(agreementColours.prediction, 'prediction contour'),
      swatch(agreementColours.missed, 'missed or another label'),
      swatch(agreementColours.excess, 'predicted without reference'),
    ].join('');
  const map = scene.reference ?? scene.prediction;
  if (!map) return '';
  const present = [...new Set(map)].filter((v) => v > 0).sort((a, b) => a - b);
  const names = namesOf(options);
  const list = present.slice(0, 32).map((label) => swatch(colourOfLabel(label), names.get(label) ?? `label ${label}`));
  return list.join('') + (present.length > 32 ? `and ${present.length - 32} more` : '');
}

/** Names of single labels. */
const namesOf = ({ labels = {} }: ViewOptions): Map<number, string> =>
  new Map(Object.entries(labels).flatMap(([name, label]) => (typeof label === 'number' ? [[label, name] as const] : [])));
