// Where the voxels of a NIfTI file lie: the affine as nibabel takes it (sform before qform, then pixdim with the centre of the volume at 0
// and x pointing left), the voxel size as ITK and nibabel report it (pixdim).
//
// Affines here are their first three rows, row by row: 12 numbers, voxel (x, y, z) to mm RAS+.
// Source: nifti1.h, methods 1 to 3; nibabel's `get_best_affine`.
import type { NIFTI1, NIFTI2 } from 'nifti-reader-js';
import { type Geometry, sliceSpacing, type Volume } from '../volume.js';

/** Takes a fault down, by field. */
export type Report = (field: string, given: unknown, expected: string, fix?: string) => void;
export type NiftiFields = NIFTI1 | NIFTI2;

const again = 'Set the orientation in the header again.';
const writeSize = 'Write the right voxel size into the header.';

/** The affine as the header stores it. */
export const sformAffine = ({ affine }: NiftiFields): number[] => affine.slice(0, 3).flat();

/**
 * The affine that quaternion, offset and voxel size mean. A norm within rounding of 1 means a = 0 (nibabel's `fillpositive`).
 * @param zoom voxel size along x, y, z
 */
export function qformAffine(fields: NiftiFields, zoom: readonly number[], version: 1 | 2, report: Report): number[] {
  let [b, c, d] = [fields.quatern_b, fields.quatern_c, fields.quatern_d];
  const norm = b * b + c * c + d * d;
  const tolerance = 3 * (version === 1 ? 2 ** -23 : 2 ** -52);
  let a = 0;
  if (!(Math.abs(1 - norm) < tolerance)) {
    if (norm < 1) a = Math.sqrt(1 - norm);
    else {
      report('quatern', `length ${Math.sqrt(norm)}`, 'at most 1', again);
      [a, b, c, d] = [1, 0, 0, 0];
    }
  }
  const s = 2 / (a * a + b * b + c * c + d * d);
  const rotation = [
    1 - s * (c * c + d * d),
    s * (b * c - d * a),
    s * (b * d + c * a),
    s * (b * c + d * a),
    1 - s * (b * b + d * d),
    s * (c * d - b * a),
    s * (b * d - c * a),
    s * (c * d + b * a),
    1 - s * (b * b + c * c),
  ];
  const step = [zoom[0], zoom[1], fields.pixDims[0] < 0 ? -zoom[2] : zoom[2]];
  const offset = [fields.qoffset_x, fields.qoffset_y, fields.qoffset_z];
  return [0, 1, 2].flatMap((r) => [...step.map((mm, i) => rotation[3 * r + i] * mm), offset[r]]);
}

/** No orientation at all: nibabel's base affine, x pointing left as in ANALYZE files. */
export function baseAffine({ dims }: NiftiFields, zoom: readonly number[]): number[] {
  const step = [-zoom[0], zoom[1], zoom[2]];
  const size = [1, 2, 3].map((i) => (i <= dims[0] ? dims[i] : 1));
  return [0, 1, 2].flatMap((r) => [0, 1, 2, 3].map((i) => (i === 3 ? (-step[r] * (size[r] - 1)) / 2 : r === i ? step[r] : 0)));
}

/** Splits an affine into the lengths of its columns, unit directions (row-major 3×3) and origin. */
export function decompose(affine: readonly number[]): {
  steps: number[];
  direction: Volume['direction'];
  origin: Volume['originMm'];
} {
  const steps = [0, 1, 2].map((i) => Math.hypot(affine[i], affine[4 + i], affine[8 + i]));
  const direction = [0, 1, 2].flatMap((r) => steps.map((length, i) => affine[4 * r + i] / length));
  return { steps, direction: direction as unknown as Volume['direction'], origin: [affine[3], affine[7], affine[11]] };
}

/** Voxel size along x, y, z; 1 along an axis that the file does not have, or that has one voxel and no size. */
function zoomOf({ dims, pixDims }: NiftiFields, report: Report): number[] {
  return [1, 2, 3].map((i) => {
    if (i > dims[0] || (pixDims[i] === 0 && dims[i] <= 1)) return 1;
    const zoom = Math.abs(pixDims[i]);
    if (!(zoom >= 1e-9 && zoom <= 1e9))
      report(`pixdim[${i}]`, pixDims[i], 'a voxel size above 0, from 1e-9 to 1e9 mm', writeSize);
    return zoom;
  });
}

/** Codes that nibabel and ITK take alike: nibabel takes others for 0, ITK does not. */
function checkCodes(fields: NiftiFields, report: Report): void {
  for (const code of ['sform_code', 'qform_code'] as const)
    if (!(fields[code] >= 0 && fields[code] <= 5)) report(code, fields[code], '0 to 5', again);
  const qfac = fields.pixDims[0];
  if (fields.qform_code > 0 && qfac < 0 && qfac !== -1) report('pixdim[0]', qfac, '-1 or 1 (qfac)', again);
}

/** Finite numbers, three independent axes, steps that a voxel can have. */
function checkAffine(affine: readonly number[], field: string, report: Report): void {
  if (affine.some((v) => !Number.isFinite(v))) report(field, affine.join(' '), 'finite numbers', again);
  const [a, b, c, , d, e, f, , g, h, i] = affine;
  const determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  const { steps } = decompose(affine);
  if (!(Math.abs(determinant) > 1e-9 * steps[0] * steps[1] * steps[2]))
    report(field, `determinant ${determinant}`, 'three independent axes', again);
  if (steps.some((n) => !(n >= 1e-9 && n <= 1e9)))
    report(field, `voxels of ${steps.join(' × ')} mm`, 'between 1e-9 and 1e9 mm', writeSize);
}

/**
 * Affine and geometry of a header, and what a person should know about them.
 * @returns `affine` row-major 4×4
 */
export function geometryOf(
  fields: NiftiFields,
  version: 1 | 2,
  report: Report,
): Omit<Geometry, 'shape'> & { affine: number[]; warnings: string[] } {
  const warnings: string[] = [];
  const [sform, qform] = [fields.sform_code > 0, fields.qform_code > 0];
  const zoom = zoomOf(fields, report);
  checkCodes(fields, report);
  const rows = sform ? sformAffine(fields) : qform ? qformAffine(fields, zoom, version, report) : baseAffine(fields, zoom);
  checkAffine(rows, sform ? 'srow' : qform ? 'quatern' : 'pixdim', report);
  const { steps, direction, origin } = decompose(rows);
  if (sform && qform) {
    const other = qformAffine(fields, zoom, version, () => {});
    const far = other.reduce((worst, v, i) => Math.max(worst, Math.abs(v - rows[i])), 0);
    if (!(far <= 1e-3 * Math.max(1, ...steps)))
      warnings.push(`qform and sform disagree by up to ${far.toPrecision(3)} mm; sform was used`);
  }
  const unit = { 1: 1000, 3: 0.001 }[fields.xyzt_units & 7] ?? 1;
  if (unit !== 1) warnings.push(`voxel size is given in ${unit === 1000 ? 'metres' : 'micrometres'}; read as mm`);
  const differ = steps.some((n, i) => Math.abs(n - zoom[i]) > 1e-4 * n);
  if (differ)
    warnings.push(
      `the sform's voxel size ${steps.map((n) => +n.toPrecision(6)).join(' ')} is not pixdim's ${zoom.join(' ')}; pixdim was used`,
    );
  if (fields.dims[0] <= 2) zoom[2] = sliceSpacing(zoom[1], zoom[0]);
  const inMm = ([x, y, z]: readonly number[]) => [z * unit, y * unit, x * unit] as Volume['spacingMm'];
  return {
    affine: [...rows.map((v) => v * unit), 0, 0, 0, 1],
    spacingMm: inMm(zoom),
    ...(differ ? { stepMm: inMm(steps) } : {}),
    originMm: origin.map((v) => v * unit) as Volume['originMm'],
    direction,
    warnings,
  };
}

/** (b, c, d) of a rotation; `qfac` -1 when the third axis is mirrored; not rigid when the axes are not at right angles. */
export function quaternionOf(direction: Volume['direction']): {
  quaternion: [number, number, number];
  qfac: 1 | -1;
  rigid: boolean;
} {
  const m = [...direction];
  const dot = (i: number, j: number) => m[i] * m[j] + m[3 + i] * m[3 + j] + m[6 + i] * m[6 + j];
  const rigid = Math.max(Math.abs(dot(0, 1)), Math.abs(dot(0, 2)), Math.abs(dot(1, 2))) < 1e-4;
  const determinant =
    m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
  const qfac = determinant < 0 ? -1 : 1;
  if (qfac < 0) for (const i of [2, 5, 8]) m[i] = -m[i];
  // The largest of the four components is computed from the diagonal, the others by division with it.
  const squares = [1 + m[0] + m[4] + m[8], 1 + m[0] - m[4] - m[8], 1 - m[0] + m[4] - m[8], 1 - m[0] - m[4] + m[8]];
  const k = squares.indexOf(Math.max(...squares));
  const h = Math.sqrt(Math.max(squares[k], 0)) / 2;
  const t = 1 / (4 * h);
  const [a, b, c, d] = [
    [h, (m[7] - m[5]) * t, (m[2] - m[6]) * t, (m[3] - m[1]) * t],
    [(m[7] - m[5]) * t, h, (m[1] + m[3]) * t, (m[2] + m[6]) * t],
    [(m[2] - m[6]) * t, (m[1] + m[3]) * t, h, (m[5] + m[7]) * t],
    [(m[3] - m[1]) * t, (m[2] + m[6]) * t, (m[5] + m[7]) * t, h],
  ][k];
  const sign = a < 0 ? -1 : 1;
  return { quaternion: [b * sign, c * sign, d * sign], qfac, rigid };
}
