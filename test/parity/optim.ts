// optim/: a small network trained for a few steps by torch's optimiser; ours must walk the same way.
import path from 'node:path';
import { readSafetensors, type StoredTensor } from '../../src/base/safetensors.js';
import type { Params } from '../../src/model/network.js';
import { tf } from '../../src/tensor/tf.js';
import { adamW, clipByGlobalNorm, globalNorm, initialState, type OptimiserState, poly, sgd } from '../../src/train/index.js';
import { close, equal, type Family, namesIn, type Row, readJson } from './case.js';
import { toMemory, toOfficial } from './models/compare.js';
import { archs } from './models/table.js';

/** The original's class → folder of its architecture. */
const folders: Record<string, string> = {
  MedNeXt: 'mednext',
  SegResNet: 'segresnet',
  PlainConvUNet: 'nnunet-plain',
  ResidualEncoderUNet: 'nnunet-resenc',
  STUNet: 'stunet',
  Generic_UNet: 'kaist-unet',
  Axial_UNet: 'kaist-unet',
  SwinUMamba: 'swin-umamba',
  SwinUMambaD: 'swin-umamba-d',
  UMambaBot: 'umamba-bot',
  UMambaEnc: 'umamba-enc',
  UNETR: 'unetr',
  SwinUNETR: 'swin-unetr',
  nnFormer: 'nnformer',
  BTS: 'transbts',
  VisionTransformer: 'transunet',
  UXNET: 'ux-net',
};

export const optim: Family = {
  folder: 'optim',
  cases: (root) =>
    namesIn(root, 'optim', '.json').map((name) => ({
      name: `optim/${name}`,
      run: () => rowsOf(readJson(path.join(root, 'optim', `${name}.json`)), path.join(root, 'optim', `${name}.safetensors`)),
    })),
};

type Step = (params: Params, gradients: Params, state: OptimiserState, rate: number) => { params: Params; state: OptimiserState };

function optimiserOf(json: any): Step {
  const { name, lr: _lr, ...given } = json.optimizer;
  const known = (allowed: string[]) => {
    for (const key of Object.keys(given)) if (!allowed.includes(key)) throw new Error(`${name}: argument ${key} is not known`);
  };
  if (name === 'torch.optim.AdamW') {
    known(['betas', 'eps', 'weight_decay']);
    const [beta1, beta2] = given.betas ?? [0.9, 0.999];
    const settings = { beta1, beta2, epsilon: given.eps ?? 1e-8, weightDecay: given.weight_decay ?? 0.01 };
    return (params, gradients, state, rate) => adamW(params, gradients, state, rate, settings);
  }
  if (name === 'torch.optim.SGD') {
    known(['momentum', 'nesterov', 'weight_decay']);
    const settings = {
      momentum: given.momentum ?? 0,
      nesterov: given.nesterov ?? false,
      weightDecay: given.weight_decay ?? 0,
    };
    return (params, gradients, state, rate) => sgd(params, gradients, state, rate, settings);
  }
  throw new Error(`unknown: optimiser ${name}`);
}

function rowsOf(json: any, file: string): Row[] {
  const { tensors } = readSafetensors(file);
  const arch = archs[folders[json.source.cls]];
  const net = arch?.network?.(json.constructor, json);
  if (!net) throw new Error(`unknown: no network of ${json.source.cls}`);
  const step = optimiserOf(json);
  const factor = /^(?:([\d.e+-]+) \* )?mean\(\(y0 - t\)\^2\)$/.exec(json.loss);
  if (!factor) throw new Error(`unknown: loss ${json.loss}`);
  const scale = Number(factor[1] ?? 1);

  const infos = net.parameters.filter((p) => !p.aliasOf && tensors[`w0.${p.name}`]);
  let params: Params = Object.fromEntries(infos.map((p) => [p.name, toMemory(p, tensors[`w0.${p.name}`])]));
  const trained = infos.filter((p) => !p.buffer).map((p) => p.name);
  const x = image(tensors.x);
  const t = image(tensors.t);
  let state = initialState();
  const losses: number[] = [];
  const norms: number[] = [];
  const rates: number[] = [];
  for (let i = 0; i < json.steps; i++) {
    const rate = json.schedule
      ? poly(json.schedule.initial_lr, i, json.schedule.max_steps, json.schedule.exponent)
      : json.optimizer.lr;
    const updates: Params = {};
    const result = tf.engine().gradients(
      () => {
        const [y] = net.forward({ params, training: json.mode === 'train', updates }, x, { x });
        for (const update of Object.values(updates)) tf.keep(update);
        return tf.mul(tf.mean(tf.square(tf.sub(y, t))), scale) as tf.Scalar;
      },
      trained.map((name) => params[name]),
      undefined,
      true,
    );
    const gradients: Params = {};
    for (const [k, name] of trained.entries()) if (result.grads[k]) gradients[name] = result.grads[k];
    rates.push(rate);
    losses.push(result.value.dataSync()[0]);
    norms.push(globalNorm(gradients));
    const clipped = json.clip_grad_norm ? clipByGlobalNorm(gradients, json.clip_grad_norm).gradients : gradients;
    const stepped = step(params, clipped, state, rate);
    params = { ...params, ...stepped.params, ...updates };
    state = { ...stepped.state, slots: { ...state.slots, ...stepped.state.slots } };
  }

  const untouched: string[] = json.parameters_without_gradient ?? [];
  const roundOff = new Set<string>(json.gradients_zero_in_exact_arithmetic ?? []);
  const precision = json.float32_vs_float64;
  const lossBound = { rel: Math.max(10 * precision.loss_rel_worst, 2e-6) };
  const weightBound = { abs: Math.max(10 * precision.weight_abs_worst[1], 1e-6) };
  // A gradient of pure round-off is another one for every order of summation; Adam may walk its full length along it.
  const adam = json.optimizer.name.includes('Adam');
  const roundOffBound = { abs: adam ? 2 * rates.reduce((a, b) => a + b, 0) : weightBound.abs };
  return [
    close('learning rates', rates, json.learning_rates, { rel: 1e-12 }),
    close('losses', losses, json.losses, lossBound),
    close('gradient norms', norms, json.gradient_norms_before_clip, { rel: Math.max(10 * precision.loss_rel_worst, 1e-5) }),
    ...infos.map((info) => {
      const ours = toOfficial(info, params[info.name]);
      const reference = Float32Array.from(tensors[`wN.${info.name}`].data as Float32Array);
      if (untouched.includes(info.name)) return equal(`${info.name} stays`, [...ours], [...reference]);
      return close(info.name, ours, reference, roundOff.has(info.name) ? roundOffBound : weightBound);
    }),
  ];
}

/** `[batch, channel, …spatial]` as stored → channels last. */
function image(stored: StoredTensor): tf.Tensor {
  const rank = stored.shape.length;
  const axes = [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1];
  return tf.tidy(() => tf.transpose(tf.tensor(stored.data as Float32Array, stored.shape), axes));
}
