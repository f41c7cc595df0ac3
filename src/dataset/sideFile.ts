// Files that belong to an image without being one: the voxel size of a TIFF stack.
import type { CaseFiles } from './dataset.js';

/** Where nnU-Net's Tiff3DIO looks for the spacing of a stack: `<case>.json` beside `<case>_0000.tif` and beside `<case>.tif`; undefined for others. */
export const spacingFile = (file: string): string | undefined =>
  /\.tiff?$/i.test(file) ? file.replace(/(_\d{4})?\.tiff?$/i, '.json') : undefined;

/** Every file a case is read from, spacing files included, whether they are there or not. */
export function filesOf({ images, label }: CaseFiles): string[] {
  const own = [...images, ...(label ? [label] : [])];
  return [...new Set([...own, ...own.flatMap((file) => spacingFile(file) ?? [])])];
}
