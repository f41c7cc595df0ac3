// A volume in niivue, where a kernel and a page can speak through widgets: window, opacity, classes, crosshair, 3-D render, two masks.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import { colourOfLabel, hex } from '../base/labelColours.js';
import { commandText, projectRoot } from '../base/paths.js';
import { encodeNifti } from '../volume/format/nifti.js';
import { type LabelMap, type Volume, type VoxelArray, voxelCount } from '../volume/volume.js';
import type { MimeBundle } from './display.js';
import type { Services } from './kernel.js';

/** What is shown; the volumes are sent when it is. */
export interface LiveScene {
  volume: Volume;
  channel: number;
  reference?: LabelMap | null;
  prediction?: LabelMap;
  /** Name of each label. */
  names: ReadonlyMap<number, string>;
  /** Values shown black and white. */
  window: readonly [number, number];
}

/** Bytes of voxels that are sent to a page. */
const mostBytes = 256 * 2 ** 20;

/** @throws VoxelbookError for a picture, and for more voxels than a page is sent */
export function checkLive({ volume, reference, prediction }: Pick<LiveScene, 'volume' | 'reference' | 'prediction'>): void {
  const masks = [reference, prediction].filter((map) => map).length;
  const bytes = voxelCount(volume) * (volume.data.BYTES_PER_ELEMENT + 2 * masks);
  if (volume.shape.every((n) => n > 1) && bytes <= mostBytes) return;
  throw new VoxelbookError('this volume cannot be shown live', {
    code: 'live-volume',
    path: 'live',
    given: `[${volume.shape}], ${Math.ceil(bytes / 2 ** 20)} MiB with its masks`,
    expected: `more than one slice along each axis, and at most ${mostBytes / 2 ** 20} MiB`,
    fix: 'Leave live out, or crop or resample the volume.',
  });
}

/** Makes the widget. @returns what stands in the cell for it */
export function liveBundle({ widget }: Services, scene: LiveScene): MimeBundle {
  const { volume, channel, reference, prediction, names, window } = scene;
  const image = oneChannel(volume, channel);
  let [low, high] = window;
  for (const v of image) if (Number.isFinite(v)) [low, high] = [Math.min(low, v), Math.max(high, v)];
  const maps = [
    ['reference', reference],
    ['prediction', prediction],
  ].filter((pair): pair is [string, LabelMap] => Boolean(pair[1]));
  const found = new Set(maps.flatMap(([, { data }]) => [...new Set(data)]));
  const labels = [...found].filter((label) => label > 0).sort((a, b) => a - b);
  const geometry = { ...volume, channels: 1 };
  let shown: MimeBundle = {};
  widget(
    script(),
    {
      image: encodeNifti({ ...geometry, data: image }),
      ...Object.fromEntries(maps.map(([name, { data }]) => [name, encodeNifti({ ...geometry, data: Uint16Array.from(data) })])),
      masks: maps.map(([name]) => ({ name: maps.length > 1 ? name : 'labels', key: name })),
      entries: labels.map((label) => ({
        label,
        name: names.get(label) ?? `label ${label}`,
        colour: hex(colourOfLabel(label)),
      })),
      window,
      range: [low, high],
    },
    {
      show(bundle) {
        shown = bundle;
      },
    },
  );
  return shown;
}

function oneChannel({ data, channels }: Volume, channel: number): VoxelArray {
  if (channels === 1) return data;
  const out = new (data.constructor as new (n: number) => VoxelArray)(data.length / channels);
  for (let v = 0, i = channel; v < out.length; v++, i += channels) out[v] = data[i];
  return out;
}

/** niivue, and what uses it. */
const script = () => ['onnx/page/niivue.js', 'report/page/live.js'].map(built).join('\n');

function built(name: string): string {
  const file = path.join(projectRoot, 'dist', name);
  if (fs.existsSync(file)) return fs.readFileSync(file, 'utf8');
  throw new VoxelbookError('this volume cannot be shown live', {
    code: 'page-scripts',
    path: file,
    given: 'no script of the viewer',
    expected: 'what set-up builds',
    fix: `Run ${commandText('setup')}.`,
  });
}
