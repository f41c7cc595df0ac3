// `checkpoint_final.pth` as nnU-Net v2's trainer saves it (`nnUNetTrainer.save_checkpoint`), of plain types only.
import type { StoredTensor } from '../base/safetensors.js';
import type { Fold } from '../dataset/index.js';
import type { Network } from '../model/index.js';
import { ema as running } from '../train/pseudoDice.js';
import { OrderedDict, PythonFloat, PythonTuple } from '../weights/pickleWriter.js';
import { writeTorch } from '../weights/torchWriter.js';

/** An epoch as nnU-Net's logger keeps it. */
export interface EpochLog {
  trainLoss: number;
  validationLoss: number;
  meanDice: number;
  dicePerClass: number[];
  learningRate: number;
  /** Seconds since 1970. */
  start: number;
  end: number;
}

export interface CheckpointContent {
  network: Pick<Network, 'parameters'>;
  /** By our names, aliases left out. */
  tensors: Record<string, StoredTensor>;
  plans: unknown;
  configuration: string;
  fold: Fold;
  datasetJson: unknown;
  trainer: string;
  /** Axes of the patch that predictions may mirror; empty: none. */
  mirrorAxes: readonly number[];
  epochs: readonly EpochLog[];
  optimiser: { learningRate: number; momentum: number; weightDecay: number };
}

/** Writes the checkpoint. The optimiser begins without momentum when training goes on from it. */
export function writeCheckpoint(file: string, content: CheckpointContent): void {
  const { network, tensors, plans, configuration, fold, datasetJson, trainer, mirrorAxes, epochs, optimiser } = content;
  const weights = new OrderedDict();
  for (const { name, aliasOf } of network.parameters) weights.set(name, asTorch(tensors[aliasOf ?? name]));
  const ema = smoothed(epochs.map(({ meanDice }) => meanDice));
  writeTorch(file, {
    network_weights: weights,
    optimizer_state: sgdState(network, optimiser),
    grad_scaler_state: null,
    logging: {
      mean_fg_dice: floats(epochs.map((e) => e.meanDice)),
      ema_fg_dice: floats(ema),
      dice_per_class_or_region: epochs.map((e) => floats(e.dicePerClass)),
      train_losses: floats(epochs.map((e) => e.trainLoss)),
      val_losses: floats(epochs.map((e) => e.validationLoss)),
      lrs: floats(epochs.map((e) => e.learningRate)),
      epoch_start_timestamps: floats(epochs.map((e) => e.start)),
      epoch_end_timestamps: floats(epochs.map((e) => e.end)),
    },
    _best_ema: ema.length > 0 ? new PythonFloat(Math.max(...ema)) : null,
    current_epoch: epochs.length,
    init_args: { plans, configuration, fold, dataset_json: datasetJson },
    trainer_name: trainer,
    inference_allowed_mirroring_axes: mirrorAxes.length > 0 ? new PythonTuple(mirrorAxes) : null,
  });
}

const floats = (values: readonly number[]) => values.map((v) => new PythonFloat(v));

/** The running pseudo-Dice after every epoch. */
function smoothed(values: readonly number[]): number[] {
  const out: number[] = [];
  for (const value of values) out.push(running(out.at(-1) ?? null, value));
  return out;
}

/** Counters of batch norm are int64 in PyTorch. */
function asTorch({ dtype, shape, data }: StoredTensor): StoredTensor {
  return data instanceof Int32Array ? { dtype: 'I64', shape, data: BigInt64Array.from(data, BigInt) } : { dtype, shape, data };
}

/** `SGD.state_dict()` before its first step. */
function sgdState(
  { parameters }: Pick<Network, 'parameters'>,
  { learningRate, momentum, weightDecay }: CheckpointContent['optimiser'],
) {
  const trained = parameters.filter(({ aliasOf, buffer }) => !aliasOf && !buffer).length;
  const group = {
    lr: new PythonFloat(learningRate),
    momentum: new PythonFloat(momentum),
    dampening: 0,
    weight_decay: new PythonFloat(weightDecay),
    nesterov: momentum > 0,
    maximize: false,
    foreach: null,
    differentiable: false,
    fused: null,
    initial_lr: new PythonFloat(learningRate),
    params: Array.from({ length: trained }, (_, i) => i),
  };
  return { state: {}, param_groups: [group] };
}
