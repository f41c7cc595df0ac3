// Shape rules of the convolutions: one place for validation, output shapes and the symbolic run. Numbers are PyTorch's.
import { FaultList } from '../../base/errors.js';

/** One number for all spatial axes, or one for each. */
export type PerAxis = number | readonly number[];

export interface ConvOptions {
  /** Step between windows; default 1. */
  stride?: PerAxis;
  /** Zeros added on BOTH sides of each axis, as PyTorch counts them; default 0. */
  padding?: PerAxis;
}

/** Spreads a scalar over `axes` spatial axes. */
export const perAxis = (value: PerAxis | undefined, axes: number, standard: number): number[] =>
  value === undefined || typeof value === 'number' ? Array(axes).fill(value ?? standard) : [...value];

/**
 * Output shape of a convolution, and what its options mean per axis.
 * @param x `[batch, …spatial, in]`
 * @param kernel `[…k, in/groups, out]`
 * @throws VoxelbookError naming every argument that does not fit
 */
export function convShape(
  name: string,
  x: readonly number[],
  kernel: readonly number[],
  options: ConvOptions & { dilation?: PerAxis; groups?: number } = {},
) {
  const axes = x.length - 2;
  const window = kernel.slice(0, -2);
  const stride = perAxis(options.stride, axes, 1);
  const padding = perAxis(options.padding, axes, 0);
  const dilation = perAxis(options.dilation, axes, 1);
  const groups = options.groups ?? 1;
  const faults = checkRanks(x, kernel, { stride, padding, dilation });
  const [inPerGroup, out] = kernel.slice(-2);
  if (faults.faults.length === 0 && x.at(-1) !== inPerGroup * groups)
    faults.add(
      'channels',
      'kernel',
      `[${kernel}] with ${groups} group(s) for an input of ${x.at(-1)} channels`,
      `${inPerGroup * groups} input channels`,
      'Kernel axes are […k, in/groups, out].',
    );
  if (out % groups !== 0) faults.add('groups', 'groups', `${groups} groups for ${out} outputs`, 'a divisor', 'Change groups.');
  const spatial = window.map((k, i) => Math.floor((x[i + 1] + 2 * padding[i] - dilation[i] * (k - 1) - 1) / stride[i]) + 1);
  if (faults.faults.length === 0 && spatial.some((n) => n < 1))
    faults.add(
      'too-small',
      'x',
      `[${x}] under a window of [${window}]`,
      'room for one window',
      'Use a larger input or more padding.',
    );
  faults.throwIfAny(`${name} cannot run`);
  return { shape: [x[0], ...spatial, out], window, stride, padding, dilation, groups };
}

/**
 * Output shape of a transposed convolution: `(n − 1)·stride − 2·padding + k + outputPadding` per axis.
 * @param kernel `[…k, out, in]`, or `[…k, 1, channels]` of a depthwise one
 */
export function convTransposeShape(
  name: string,
  x: readonly number[],
  kernel: readonly number[],
  options: ConvOptions & { outputPadding?: PerAxis } = {},
  depthwise = false,
) {
  const axes = x.length - 2;
  const window = kernel.slice(0, -2);
  const stride = perAxis(options.stride, axes, 1);
  const padding = perAxis(options.padding, axes, 0);
  const outputPadding = perAxis(options.outputPadding, axes, 0);
  const faults = checkRanks(x, kernel, { stride, padding, outputPadding });
  if (x.at(-1) !== kernel.at(-1))
    faults.add(
      'channels',
      'kernel',
      `[${kernel}] for an input of ${x.at(-1)} channels`,
      `[…k, ${depthwise ? '1, channels' : 'out, in'}] with ${x.at(-1)} last`,
      'Transposed kernels have their input channels last.',
    );
  const spatial = window.map((k, i) => (x[i + 1] - 1) * stride[i] - 2 * padding[i] + k + outputPadding[i]);
  faults.throwIfAny(`${name} cannot run`);
  const channels = depthwise ? x.at(-1)! : kernel.at(-2)!;
  return { shape: [x[0], ...spatial, channels], window, stride, padding, outputPadding };
}

function checkRanks(x: readonly number[], kernel: readonly number[], settings: Record<string, number[]>): FaultList {
  const faults = new FaultList();
  const fix = 'Use channels-last tensors and one entry per spatial axis.';
  if (x.length !== 4 && x.length !== 5)
    faults.add('rank', 'x', `shape [${x}]`, '[batch, height, width, channel] or [batch, depth, height, width, channel]', fix);
  if (kernel.length !== x.length) faults.add('rank', 'kernel', `shape [${kernel}]`, `${x.length} axes, as x has`, fix);
  for (const [key, value] of Object.entries(settings))
    if (value.length !== x.length - 2) faults.add('axes', key, `[${value}]`, `${x.length - 2} entries`, fix);
  return faults;
}
