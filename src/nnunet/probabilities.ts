// Probabilities as nnU-Net keeps them beside a label file: `<case>.npz`, head first, and what writing labels needs in `<case>.pkl`.
import path from 'node:path';
import { atomicWrite } from '../base/atomicWrite.js';
import { fromVoxels } from '../predict/ensemble.js';
import type { Volume } from '../volume/index.js';
import { writeNpz } from '../weights/npz.js';
import { PythonFloat, PythonTuple, pickle } from '../weights/pickleWriter.js';

/** Grids of a case: `image` as its reader gives it, `stored` as it lies in the file. */
interface Grids {
  image: Volume;
  stored: Volume;
  /** nnU-Net's name of the reader. */
  reader: string;
}

/** @param probabilities `[depth, height, width, head]`, shape without heads */
export function writeNnunetProbabilities(
  folder: string,
  id: string,
  { data, shape }: { data: Float32Array; shape: readonly number[] },
  grids: Grids,
): void {
  const heads = data.length / shape.reduce((a, b) => a * b, 1);
  writeNpz(path.join(folder, `${id}.npz`), { probabilities: { shape: [heads, ...shape], data: fromVoxels(data, heads) } });
  atomicWrite(path.join(folder, `${id}.pkl`), pickle(propertiesOf(grids)));
}

/** What nnU-Net's reader remembers of an image. */
function propertiesOf({ image, stored, reader }: Grids): unknown {
  const floats = (values: readonly number[]) => values.map((v) => new PythonFloat(v));
  const spacing = floats(image.spacingMm);
  const [z, y, x] = stored.spacingMm;
  const { direction: d, originMm: o } = stored;
  if (reader === 'SimpleITKIO')
    return {
      // ITK's world is LPS.
      sitk_stuff: {
        spacing: new PythonTuple(floats([x, y, z])),
        origin: new PythonTuple(floats([-o[0], -o[1], o[2]])),
        direction: new PythonTuple(floats(d.map((v, i) => (i < 6 ? -v : v)))),
      },
      spacing,
    };
  if (!reader.startsWith('NibabelIO')) return { spacing };
  const affine = (v: Volume) => {
    const [sz, sy, sx] = v.spacingMm;
    const rows = [0, 1, 2].map((r) =>
      floats([v.direction[3 * r] * sx, v.direction[3 * r + 1] * sy, v.direction[3 * r + 2] * sz, v.originMm[r]]),
    );
    return [...rows, floats([0, 0, 0, 1])];
  };
  return {
    nibabel_stuff: {
      original_affine: affine(stored),
      ...(reader === 'NibabelIOWithReorient' && { reoriented_affine: affine(image) }),
    },
    spacing,
  };
}
