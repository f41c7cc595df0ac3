// The embedded anatomy: ICBM 152 (human, 1 mm) and INIA19 (macaque, 0.5 mm), one hemisphere each. See datasets/embedded/NOTICE.md.
import { fileURLToPath } from 'node:url';
import { readVolume } from '../volume/index.js';
import type { Volume } from '../volume/volume.js';
import type { Field } from './field.js';

const file = (name: string) => fileURLToPath(new URL(`../../datasets/embedded/${name}.nii.gz`, import.meta.url));
const load = (name: string): Volume => readVolume(file(name));

/** A hemisphere's volume, axes `[z, y, x]`, x running from lateral to the midline. */
export const icbmHemisphere = (part: 't1' | 'gm' | 'wm') => load(`icbm152-${part}`);
export const macaqueHemisphere = (part: 't1' | 'parcels') => load(`inia19-${part}`);

/** The whole ICBM brain as fractions of 1 (T1: of its maximum); the second hemisphere is the mirror image, the midline plane is shared. */
export function icbmBrain(part: 't1' | 'gm' | 'wm'): Field {
  const half = icbmHemisphere(part);
  const [d, h, w] = half.shape;
  const width = 2 * w - 1;
  const data = new Float32Array(d * h * width);
  for (let line = 0; line < d * h; line++)
    for (let x = 0; x < w; x++) {
      const v = half.data[line * w + x] / 255;
      data[line * width + x] = v;
      data[line * width + width - 1 - x] = v;
    }
  return { data, shape: [d, h, width], mm: 1 };
}
