// Data sets of full geometry from seeds alone: what the bench of scale reads (`scale.ts`). Grey values are bodies with noise, as hard to
// pack as a scan; nothing in them is anatomy.
import fs from 'node:fs';
import path from 'node:path';
import { Random } from '../../src/base/random.js';
import { identityDirection, type Volume, writeVolume } from '../../src/volume/index.js';

/** A set: what stands for which, and how many cases the public one has. */
export interface ScaleSet {
  name: 'amos' | 'brats' | 'total';
  title: string;
  folder: string;
  /** Cases made here unless fewer are asked for, and of the public set. */
  cases: number;
  fullCases: number;
  /** `[depth, height, width]`. */
  shape: [number, number, number];
  channels: string[];
  labels: number;
}

export const scaleSets: ScaleSet[] = [
  {
    ...{ name: 'amos', title: 'AMOS-like: CT 160×512×512, 15 labels', folder: 'Dataset901_AmosLike' },
    ...{ cases: 8, fullCases: 500, shape: [160, 512, 512], channels: ['CT'], labels: 15 },
  },
  {
    ...{ name: 'brats', title: 'BraTS-like: 4 × 155×240×240, 3 labels', folder: 'Dataset902_BratsLike' },
    ...{ cases: 24, fullCases: 1251, shape: [155, 240, 240], channels: ['T1', 'T1ce', 'T2', 'FLAIR'], labels: 3 },
  },
  {
    ...{ name: 'total', title: 'TotalSegmentator-like: CT 300×300×300, 104 mask files', folder: 'Dataset101_TotalSegmentator' },
    ...{ cases: 4, fullCases: 1228, shape: [300, 300, 300], channels: ['CT'], labels: 104 },
  },
];

type Box = { centre: number[]; radii: number[] };

/** Calls `inside` with every voxel of an ellipsoid. */
function fill([depth, height, width]: readonly number[], { centre, radii }: Box, inside: (at: number) => void): void {
  const [z0, y0, x0] = centre;
  const [rz, ry, rx] = radii;
  for (let z = Math.max(0, Math.ceil(z0 - rz)); z <= Math.min(depth - 1, z0 + rz); z++)
    for (let y = Math.max(0, Math.ceil(y0 - ry)); y <= Math.min(height - 1, y0 + ry); y++) {
      const left = 1 - ((z - z0) / rz) ** 2 - ((y - y0) / ry) ** 2;
      if (left <= 0) continue;
      const half = Math.sqrt(left) * rx;
      for (let x = Math.max(0, Math.ceil(x0 - half)); x <= Math.min(width - 1, x0 + half); x++)
        inside((z * height + y) * width + x);
    }
}

/** Case `index` of a set: one image a channel, and its labels. */
function caseOf({ name, shape, channels, labels }: ScaleSet, index: number) {
  const random = new Random('scale').split(name).split(index);
  const voxels = shape[0] * shape[1] * shape[2];
  const label = new Uint8Array(voxels);
  const images = channels.map(() => new Int16Array(voxels));
  const brain = name === 'brats';
  const body: Box = {
    centre: shape.map((n) => n / 2),
    radii: shape.map((n, axis) => n * (brain ? 0.33 : axis === 0 ? 0.9 : 0.42)),
  };
  const outside = brain ? 0 : -1000;
  for (const image of images) {
    if (outside !== 0) image.fill(outside);
    const grey = brain ? random.int(300, 900) : 40;
    fill(shape, body, (at) => {
      image[at] = grey;
    });
  }
  const centre = shape.map((n) => random.uniform(0.4, 0.6) * n);
  for (let l = 1; l <= labels; l++) {
    // Tumour parts lie in one another, organs beside one another.
    const box: Box = brain
      ? { centre, radii: shape.map((n) => (n * 0.16) / l) }
      : {
          centre: shape.map((n, axis) => random.uniform(axis === 0 ? 0.1 : 0.25, axis === 0 ? 0.9 : 0.75) * n),
          radii: shape.map((n) => random.uniform(0.03, labels > 50 ? 0.07 : 0.13) * n),
        };
    const greys = images.map(() => (brain ? random.int(200, 1400) : random.int(-80, 250)));
    fill(shape, box, (at) => {
      label[at] = l;
      images.forEach((image, c) => {
        image[at] = greys[c];
      });
    });
  }
  let state = random.int(1, 2 ** 31);
  for (const image of images)
    for (let i = 0; i < voxels; i++) {
      if (image[i] === outside) continue;
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      // The mean of two draws: noise as a scanner's, of about 20 units.
      image[i] += (((state >>> 8) & 63) + ((state >>> 16) & 63)) >> (brain ? 1 : 0);
      if (image[i] === outside) image[i]++;
    }
  // Voxels of scans differ from patient to patient, those of atlases and of resampled sets do not.
  const spacingMm: Volume['spacingMm'] =
    name === 'amos'
      ? [random.choice([2, 2.5, 3]), ...twice(random.uniform(0.65, 0.85))]
      : name === 'brats'
        ? [1, 1, 1]
        : [1.5, 1.5, 1.5];
  const grid = { shape, channels: 1, spacingMm, originMm: [0, 0, 0] as Volume['originMm'], direction: identityDirection };
  return { images: images.map((data): Volume => ({ ...grid, data })), label: { ...grid, data: label } };
}

const twice = (value: number): [number, number] => {
  const rounded = Math.round(value * 100) / 100;
  return [rounded, rounded];
};

const idOf = (index: number) => `s${String(index).padStart(4, '0')}`;

/**
 * Writes case `index` of a set where it is not there yet: into the raw layout, or, of `total`, as TotalSegmentator publishes it.
 * @param root folder of all raw sets
 */
export function makeCase(set: ScaleSet, root: string, index: number, masks: readonly string[]): void {
  const done = path.join(root, `${set.folder}.${index}.made`);
  if (fs.existsSync(done)) return;
  const { images, label } = caseOf(set, index);
  const folder = path.join(root, set.folder);
  const id = idOf(index);
  if (set.name === 'total') {
    const own = path.join(publishedFolder(root, set), 'Totalsegmentator_dataset', id);
    fs.mkdirSync(path.join(own, 'segmentations'), { recursive: true });
    writeVolume(path.join(own, 'ct.nii.gz'), images[0]);
    masks.forEach((name, i) => {
      const data = new Uint8Array(label.data.length);
      for (let v = 0; v < data.length; v++) if (label.data[v] === i + 1) data[v] = 1;
      writeVolume(path.join(own, 'segmentations', `${name}.nii.gz`), { ...label, data });
    });
  } else {
    for (const part of ['imagesTr', 'labelsTr']) fs.mkdirSync(path.join(folder, part), { recursive: true });
    for (const [c, image] of images.entries())
      writeVolume(path.join(folder, 'imagesTr', `${id}_${String(c).padStart(4, '0')}.nii.gz`), image);
    writeVolume(path.join(folder, 'labelsTr', `${id}.nii.gz`), label);
  }
  fs.writeFileSync(done, '');
}

/** Where a set that is to be converted lies as it was published. */
export const publishedFolder = (root: string, set: ScaleSet) => path.join(root, `${set.folder}_published`);

/** `dataset.json` of a set in the raw layout. */
export function writeDatasetJson(set: ScaleSet, root: string, cases: number): void {
  const names = Array.from({ length: set.labels }, (_, i) => [`organ ${i + 1}`, i + 1]);
  const json = {
    channel_names: Object.fromEntries(set.channels.map((name, i) => [String(i), name])),
    labels: { background: 0, ...Object.fromEntries(names) },
    numTraining: cases,
    file_ending: '.nii.gz',
  };
  fs.writeFileSync(path.join(root, set.folder, 'dataset.json'), JSON.stringify(json, null, 2));
}
