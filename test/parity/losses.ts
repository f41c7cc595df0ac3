// losses/: the original implementation's value, and its gradient for every logit.
import path from 'node:path';
import { readSafetensors, type StoredTensor } from '../../src/base/safetensors.js';
import { tf } from '../../src/tensor/tf.js';
import {
  crossEntropy,
  dcAndBce,
  dcAndCe,
  deepSupervision,
  diceLoss,
  monaiDice,
  monaiDiceCe,
  topKCrossEntropy,
} from '../../src/train/index.js';
import { close, type Family, namesIn, type Row, readJson } from './case.js';

// float32 of the original lies 2e-7 from its own float64; ours adds sums in another order.
const valueBound = { abs: 2e-6, rel: 2e-6 };
const gradientBound = { rel: 1e-5 };

export const losses: Family = {
  folder: 'losses',
  cases: (root) =>
    namesIn(root, 'losses', '.json').map((name) => ({
      name: `losses/${name}`,
      run: () => lossRows(readJson(path.join(root, 'losses', `${name}.json`)), path.join(root, 'losses', `${name}.safetensors`)),
    })),
};

function lossRows(json: any, file: string): Row[] {
  const { tensors } = readSafetensors(file);
  const supervised = tensors.logits === undefined;
  const keys = supervised ? json.logits.map((_: unknown, i: number) => String(i)) : [''];
  const logits = keys.map((k: string) => channelsLast(tensors[`logits${k}`]));
  const targets = keys.map((k: string) => channelsLast(tensors[`target${k}`]));
  const loss = lossOf(json.source.cls, json.arguments, /v1|KAIST|MedNeXt/i.test(`${json.fixture} ${json.source.repository}`));
  const gradients = keys.map((k: string) => tensors[`g${k}`]);
  return valueAndGradients(loss, logits, targets, json.loss_value, gradients);
}

/** Rows for the value and for the gradient of each output's logits; `gradients` are channels first. */
export function valueAndGradients(
  loss: (logits: tf.Tensor[], targets: tf.Tensor[]) => tf.Scalar,
  logits: tf.Tensor[],
  targets: tf.Tensor[],
  value: number,
  gradients: StoredTensor[],
): Row[] {
  const result = tf.engine().gradients(() => loss(logits, targets), logits, undefined, true);
  const ours = result.value.dataSync();
  return [
    close('loss', ours, [value], valueBound),
    ...gradients.map((g, i) => {
      const mine = result.grads[i] ?? tf.zerosLike(logits[i]);
      return close(`gradient ${i}`, channelsFirst(mine).dataSync(), g.data as Float32Array, gradientBound);
    }),
  ];
}

type LossOf = (logits: tf.Tensor[], targets: tf.Tensor[]) => tf.Scalar;

/** Class and arguments of the original → our function. Throws for an argument nobody has taught us, so that it is seen. */
export function lossOf(cls: string, given: any, v1: boolean): LossOf {
  const { loss: _inner, weight_factors: weights, ...args } = given;
  if (cls === 'DeepSupervisionWrapper' || cls === 'MultipleOutputLoss2') {
    const inner = lossOf(given.loss, args, v1);
    return (logits, targets) => deepSupervision((l, t: tf.Tensor) => inner([l], [t]), logits, targets, weights);
  }
  const known = new Set<string>();
  const take = (name: string, fallback: any) => {
    known.add(name);
    return args[name] ?? fallback;
  };
  const single = singleLoss(cls, take, v1);
  for (const name of Object.keys(args))
    if (!known.has(name)) throw new Error(`${cls}: argument ${name} = ${JSON.stringify(args[name])} is not known`);
  return (logits, targets) => single(logits[0], targets[0]);
}

const labelsOf = (target: tf.Tensor) => tf.cast(tf.squeeze(target, [target.rank - 1]), 'int32');
const floats = (target: tf.Tensor) => tf.cast(target, 'float32');
const oneHot = (target: tf.Tensor, classes: number): tf.Tensor =>
  tf.oneHot(labelsOf(target) as tf.Tensor1D, classes, 1, 0, 'float32');
const classesOf = (logits: tf.Tensor) => logits.shape[logits.rank - 1];

function singleLoss(
  cls: string,
  take: (name: string, fallback: any) => any,
  v1: boolean,
): (l: tf.Tensor, t: tf.Tensor) => tf.Scalar {
  const variant = v1 ? 'nnunetv1' : 'nnunetv2';
  const diceOptions = (kwargs: any, background: boolean) => {
    for (const name of Object.keys(kwargs))
      if (!['batch_dice', 'smooth', 'do_bg', 'ddp'].includes(name)) throw new Error(`soft_dice_kwargs.${name} is not known`);
    return {
      batchDice: kwargs.batch_dice ?? false,
      background: kwargs.do_bg ?? background,
      smooth: kwargs.smooth ?? 1,
      variant,
    } as const;
  };
  switch (cls) {
    case 'DC_and_CE_loss': {
      if (!['MemoryEfficientSoftDiceLoss', 'SoftDiceLoss'].includes(take('dice_class', 'SoftDiceLoss')))
        throw new Error('this dice_class is not known');
      if (take('aggregate', 'sum') !== 'sum' || take('square_dice', false) || take('log_dice', false))
        throw new Error('aggregate, square_dice and log_dice are not known');
      const ce = take('ce_kwargs', {});
      const options = {
        ...diceOptions(take('soft_dice_kwargs', {}), true),
        ceWeight: take('weight_ce', 1),
        diceWeight: take('weight_dice', 1),
        ignoreLabel: take('ignore_label', null) ?? undefined,
        classWeights: ce.weight ?? undefined,
        labelSmoothing: ce.label_smoothing ?? 0,
      };
      return (l, t) => dcAndCe(l, labelsOf(t), options);
    }
    case 'DC_and_BCE_loss': {
      take('dice_class', '');
      if (Object.keys(take('bce_kwargs', {})).length > 0) throw new Error('bce_kwargs are not known');
      const options = {
        ...diceOptions(take('soft_dice_kwargs', {}), true),
        ceWeight: take('weight_ce', 1),
        diceWeight: take('weight_dice', 1),
        ignore: take('use_ignore_label', false),
      };
      return (l, t) => dcAndBce(l, floats(t), options);
    }
    case 'MemoryEfficientSoftDiceLoss':
    case 'SoftDiceLoss': {
      const act = take('apply_nonlin', null);
      const kwargs = { batch_dice: take('batch_dice', false), do_bg: take('do_bg', true), smooth: take('smooth', 1) };
      take('ddp', false);
      const options = diceOptions(kwargs, true);
      return (l, t) => {
        const p = act === 'softmax' ? tf.softmax(l) : act === 'sigmoid' ? tf.sigmoid(l) : l;
        return diceLoss(p, classesOf(t) === classesOf(l) ? floats(t) : oneHot(t, classesOf(l)), options);
      };
    }
    case 'RobustCrossEntropyLoss': {
      const options = { weight: take('weight', null) ?? undefined, labelSmoothing: take('label_smoothing', 0) };
      return (l, t) => crossEntropy(l, oneHot(t, classesOf(l)), options);
    }
    case 'TopKLoss': {
      const k = take('k', 10);
      return (l, t) => topKCrossEntropy(l, oneHot(t, classesOf(l)), k);
    }
    case 'DiceLoss':
    case 'DiceCELoss': {
      if (take('reduction', 'mean') !== 'mean') throw new Error('only reduction mean is known');
      const weight = take('weight', null);
      const options = {
        activation: take('softmax', false) ? 'softmax' : take('sigmoid', false) ? 'sigmoid' : 'none',
        includeBackground: take('include_background', true),
        squaredPrediction: take('squared_pred', false),
        jaccard: take('jaccard', false),
        batch: take('batch', false),
        smoothNumerator: take('smooth_nr', 1e-5),
        smoothDenominator: take('smooth_dr', 1e-5),
        weight: typeof weight === 'number' ? undefined : (weight ?? undefined),
      } as const;
      const onehot = take('to_onehot_y', false);
      const target = (l: tf.Tensor, t: tf.Tensor) => (onehot && classesOf(l) > 1 ? oneHot(t, classesOf(l)) : floats(t));
      if (cls === 'DiceLoss') return (l, t) => monaiDice(l, target(l, t), options);
      const factors = {
        diceFactor: take('lambda_dice', 1),
        ceFactor: take('lambda_ce', 1),
        labelSmoothing: take('label_smoothing', 0),
      };
      return (l, t) => monaiDiceCe(l, target(l, t), { ...options, ...factors, targetIsLabels: classesOf(t) === 1 });
    }
    default:
      throw new Error(`loss ${cls} is not known`);
  }
}

/** `[batch, channel, …spatial]` as stored → `[batch, …spatial, channel]`. */
export function channelsLast(stored: StoredTensor): tf.Tensor {
  const dtype = stored.dtype.startsWith('F') ? 'float32' : 'int32';
  const data = dtype === 'float32' ? (stored.data as Float32Array) : Int32Array.from(stored.data as Uint8Array);
  const rank = stored.shape.length;
  return tf.transpose(tf.tensor(data, stored.shape, dtype), [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1]);
}

export function channelsFirst(x: tf.Tensor): tf.Tensor {
  return tf.transpose(x, [0, x.rank - 1, ...Array.from({ length: x.rank - 2 }, (_, i) => i + 1)]);
}
