// EndoVis17 and the NeurIPS 2022 cells: pictures.
import path from 'node:path';
import { readVolume, type Volume } from '../../volume/index.js';
import { type Converter, fileOf, names, rootOf } from './source.js';

/** Names of label folders (they vary: `Left_Prograsp_Forceps_labels`, `Maryland_Bipolar_Forceps_labels`) → class. */
const instruments: [RegExp, number][] = [
  [/Bipolar_Forceps/, 1],
  [/Prograsp_Forceps/, 2],
  [/Large_Needle_Driver/, 3],
  [/Vessel_Sealer/, 4],
  [/Grasping_Retractor/, 5],
  [/Monopolar_Curved_Scissors/, 6],
  [/Other/, 7],
];

/**
 * `instrument_dataset_1/{left_frames/frame000.png, ground_truth/<instrument>_labels/frame000.png}`; in `train/` and `test/` as published.
 * Frames of 1920×1080 are cut to the camera's 1280×1024 from pixel (320, 28), as the challenge says.
 */
export const endovis17: Converter = (folder, faults) => {
  const sequences = (part: string, test: boolean) =>
    names(path.join(folder, part), /^instrument_dataset_\d+$/).flatMap((sequence) => {
      const base = path.join(folder, part, sequence);
      const truths = names(path.join(base, 'ground_truth'), /_labels$/).map((name) => {
        const known = instruments.find(([pattern]) => pattern.test(name));
        if (!known)
          faults.add(
            'source-layout',
            path.join(base, 'ground_truth', name),
            'an unknown instrument',
            instruments.map(([p]) => p.source).join(', '),
            'Check the name of the folder.',
          );
        return { folder: path.join(base, 'ground_truth', name), label: known?.[1] ?? 0 };
      });
      if (!test && truths.length === 0)
        faults.add(
          'source-file',
          path.join(base, 'ground_truth'),
          'no label folders',
          'one folder per instrument',
          'Fetch the archive again.',
        );
      return names(path.join(base, 'left_frames'), /^frame\d+\.png$/).map((frame) => ({
        id: `seq${sequence.replace(/\D/g, '').padStart(2, '0')}_${frame.slice(0, -4)}`,
        images: [() => cameraPart(readVolume(path.join(base, 'left_frames', frame)))],
        ...(truths.length > 0 ? { label: () => instrumentLabels(truths, frame) } : {}),
        ...(test ? { test } : {}),
      }));
    });
  const cases = [...sequences('train', false), ...sequences('test', true)];
  if (cases.length === 0)
    faults.add(
      'source-layout',
      folder,
      'no frames',
      'train/instrument_dataset_1/left_frames/frame000.png',
      'Give the folder that holds train/ and test/.',
    );
  return cases;
};

function instrumentLabels(truths: { folder: string; label: number }[], frame: string): Volume {
  let out: Volume<Uint8Array> | undefined;
  for (const { folder, label } of truths) {
    const mask = cameraPart(readVolume(path.join(folder, frame)));
    out ??= { ...mask, channels: 1, data: new Uint8Array(mask.data.length / mask.channels) };
    for (let i = 0; i < out.data.length; i++) if (mask.data[i * mask.channels] > 0) out.data[i] = label;
  }
  return out!;
}

/** The camera's picture inside a video frame; other sizes as they are. */
function cameraPart(picture: Volume): Volume {
  const [, height, width] = picture.shape;
  if (height !== 1080 || width !== 1920) return picture;
  const [h, w, y0, x0] = [1024, 1280, 28, 320];
  const n = picture.channels;
  const data = new Uint8Array(h * w * n);
  for (let y = 0; y < h; y++) {
    const from = ((y + y0) * width + x0) * n;
    data.set((picture.data as Uint8Array).subarray(from, from + w * n), y * w * n);
  }
  return { ...picture, data, shape: [1, h, w] };
}

/** `images/cell_00001.{png,bmp,tif,…}`, `labels/cell_00001_label.tiff` with one number per cell, in `Training-labeled/`. */
export const neuripsCells: Converter = (folder, faults) => {
  const root = rootOf(folder, ['Training-labeled', 'Train_Labeled', '.'], faults);
  return names(path.join(root, 'images'), /\.(png|bmp|tiff?)$/i).map((name) => {
    const id = name.replace(/\.[^.]+$/, '');
    const label = fileOf(path.join(root, 'labels', `${id}_label`), ['.tiff', '.tif', '.png'], faults);
    return {
      id,
      images: [() => stretched(readVolume(path.join(root, 'images', name)))],
      label: () => interiorAndBoundary(readVolume(label)),
    };
  });
};

/** Three channels of uint8, each stretched from its 1st to its 99th percentile over pixels above 0 (the challenge's own preparation). */
export function stretched(picture: Volume): Volume<Uint8Array> {
  const pixels = picture.data.length / picture.channels;
  const data = new Uint8Array(pixels * 3);
  for (let c = 0; c < 3; c++) {
    const from = picture.channels >= 3 ? c : 0;
    const channel = Float64Array.from({ length: pixels }, (_, i) => picture.data[i * picture.channels + from]);
    const above = channel.filter((v) => v !== 0).sort();
    if (above.length === 0) continue;
    const at = (p: number) => {
      const x = (above.length - 1) * p;
      const i = Math.floor(x);
      return above[i] + (above[Math.min(i + 1, above.length - 1)] - above[i]) * (x - i);
    };
    const [low, high] = [at(0.01), at(0.99)];
    const flat = high - low <= 0.001;
    for (let i = 0; i < pixels; i++)
      data[i * 3 + c] = flat ? channel[i] : ((Math.min(Math.max(channel[i], low), high) - low) / (high - low)) * 255;
  }
  return { ...picture, channels: 3, data };
}

/** 0 background, 1 interior, 2 boundary: pixels of a cell with a neighbour that is not, widened by one; interiors under 16 pixels vanish. */
export function interiorAndBoundary(cells: Volume): Volume<Uint8Array> {
  const [, h, w] = cells.shape;
  const id = cells.data;
  const edge = new Uint8Array(h * w);
  const cross = (i: number, visit: (j: number) => void) => {
    const x = i % w;
    if (x > 0) visit(i - 1);
    if (x < w - 1) visit(i + 1);
    if (i >= w) visit(i - w);
    if (i < (h - 1) * w) visit(i + w);
  };
  for (let i = 0; i < edge.length; i++)
    if (id[i] > 0)
      cross(i, (j) => {
        if (id[j] !== id[i]) edge[i] = 1;
      });
  const out = new Uint8Array(h * w);
  for (let i = 0; i < out.length; i++)
    if (edge[i]) {
      out[i] = 2;
      cross(i, (j) => {
        out[j] = 2;
      });
    }
  for (let i = 0; i < out.length; i++) if (id[i] > 0 && out[i] === 0) out[i] = 1;
  removeSmall(out, cross, 16);
  return { ...cells, channels: 1, data: out };
}

/** Interiors of fewer pixels become background. */
function removeSmall(map: Uint8Array, cross: (i: number, visit: (j: number) => void) => void, least: number): void {
  const seen = new Uint8Array(map.length);
  for (let start = 0; start < map.length; start++) {
    if (map[start] !== 1 || seen[start]) continue;
    const part = [start];
    seen[start] = 1;
    for (let k = 0; k < part.length; k++)
      cross(part[k], (j) => {
        if (map[j] !== 1 || seen[j]) return;
        seen[j] = 1;
        part.push(j);
      });
    if (part.length < least) for (const i of part) map[i] = 0;
  }
}
