// UpKern (MedNeXt, Roy et al. 2023, section 2.3): a large-kernel network starts from a trained small-kernel one by
// interpolating its kernels. Official code: nnunet_mednext/run/load_weights.py.
import { FaultList } from '../base/errors.js';
import { memoryAxes, type ParamInfo, type Params } from '../model/network.js';
import { resize } from '../tensor/ops/resize.js';
import { tf } from '../tensor/tf.js';

/** What became of one parameter of the large network. */
export interface Transferred {
  name: string;
  /** `kept`: the small network has none of this name, the large network's own value stays. */
  how: 'copied' | 'interpolated' | 'kept';
  /** PyTorch's shapes. */
  from: number[] | null;
  to: number[];
}

/**
 * Merges a small-kernel network into a large-kernel one, parameter by parameter in the large one's order:
 * missing in the small one → kept; a name with `bias`, `norm` or `dummy` → copied; equal spatial size → copied;
 * otherwise the kernel is resized linearly over its spatial axes (half-pixel centres, edges clamped). Values are not
 * rescaled: the norm behind every depthwise convolution absorbs the larger sum. Parameters only the small one has are ignored.
 *
 * @param small parameters in memory layout
 * @param large the target's own parameters, in memory layout
 * @param parameters the target network's parameter list
 * @returns new tensors for every parameter of the target, owned by the caller, and what became of each
 * @throws VoxelbookError listing every parameter whose channels differ, where the official code asserts
 */
export function upkern(
  small: Params,
  large: Params,
  parameters: readonly ParamInfo[],
): { params: Params; transferred: Transferred[] } {
  const faults = new FaultList();
  const transferred: Transferred[] = [];
  const stored = parameters.filter((p) => !p.aliasOf);
  for (const info of stored) {
    const to = [...info.shape];
    const source = Object.hasOwn(small, info.name) ? small[info.name] : undefined;
    if (!source) {
      transferred.push({ name: info.name, how: 'kept', from: null, to });
      continue;
    }
    const from = officialShape(info, source.shape);
    const same = from.length === to.length && from.every((n, i) => n === to[i]);
    const copied = same || /bias|norm|dummy/.test(info.name);
    if (!same && (copied || from.length !== to.length || from[0] !== to[0] || from[1] !== to[1]))
      faults.add(
        'upkern-shape',
        info.name,
        `[${from}] in the small network`,
        `[${to}]${copied ? '' : ', differing in kernel size only'}`,
        'UpKern changes kernel sizes only: build both networks with the same width, channels and classes.',
      );
    transferred.push({ name: info.name, how: copied ? 'copied' : 'interpolated', from, to });
  }
  faults.throwIfAny('UpKern cannot transfer these weights');

  const params: Params = {};
  for (const [i, info] of stored.entries())
    params[info.name] =
      transferred[i].how === 'kept'
        ? tf.clone(large[info.name])
        : transferred[i].how === 'copied'
          ? tf.clone(small[info.name])
          : resizeKernel(small[info.name], info);
  return { params, transferred };
}

/** `[…k, b, a]` to the kernel size of `info`, every pair of channels by itself. */
function resizeKernel(kernel: tf.Tensor, info: ParamInfo): tf.Tensor {
  const [a, b, ...size] = info.shape;
  return tf.tidy(() => {
    const image = tf.reshape(kernel, [1, ...kernel.shape.slice(0, -2), a * b]);
    return tf.reshape(resize(image, size, 'linear'), [...size, b, a]);
  });
}

function officialShape(info: ParamInfo, shape: readonly number[]): number[] {
  const axes = memoryAxes({ layout: info.layout, shape: [...shape] });
  const official: number[] = [];
  for (const [at, axis] of axes.entries()) official[axis] = shape[at];
  return official;
}
