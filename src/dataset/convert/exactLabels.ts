// Labels as whole numbers: what float32 rounding made of one is that one again, anything else is refused by name.
import { VoxelbookError } from '../../base/errors.js';
import type { Volume } from '../../volume/index.js';
import { maxLabel } from '../labels.js';

/** The step between float32 numbers from 1 to 2: a label scaled by a header comes back within it, relative to its size. */
const rounding = 2 ** -23;

/**
 * Labels of a volume as Uint8Array, or Uint16Array where one is above 255. A value within float32 rounding of a whole number is that
 * number: 0.99999994 is 1.
 * @param file named in the error
 * @throws VoxelbookError for other values, negative ones, labels above 32767, and several channels
 */
export function exactLabels(volume: Volume, file: string): Volume<Uint8Array | Uint16Array> {
  const refuse = (at: string, given: string, expected: string, fix: string) =>
    new VoxelbookError(`${file} is no label file`, {
      code: 'label-values',
      path: `${file} ${at}`.trimEnd(),
      given,
      expected,
      fix,
    });
  if (volume.channels !== 1)
    throw refuse('', `${volume.channels} channels`, 'one label per voxel', 'Write a label file with one channel.');
  const { data, shape } = volume;
  const out = new Uint16Array(data.length);
  let most = 0;
  for (let i = 0; i < out.length; i++) {
    const value = data[i];
    const label = Math.round(value);
    if (!(Math.abs(value - label) <= rounding * Math.max(1, label) && label >= 0 && label <= maxLabel)) {
      const [, height, width] = shape;
      const at = `voxel [${Math.floor(i / (height * width))}, ${Math.floor(i / width) % height}, ${i % width}]`;
      const fix = 'Labels were interpolated or scaled, or lie outside; export them again with nearest neighbour.';
      throw refuse(at, String(value), `a whole number from 0 to ${maxLabel}`, fix);
    }
    out[i] = label;
    if (label > most) most = label;
  }
  return { ...volume, data: most < 256 ? Uint8Array.from(out) : out };
}
