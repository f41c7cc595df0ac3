// What the models family asks of an architecture: how the original's constructor arguments become one of our networks.

import type { StoredTensor } from '../../../src/base/safetensors.js';
import type { Context, ParamInfo } from '../../../src/model/network.js';
import type { tf } from '../../../src/tensor/tf.js';
import type { GoldenCase, Row } from '../case.js';

/** A golden fixture's JSON, as far as checks read it. */
export interface Fixture {
  arch: string;
  fixture: string;
  kind: string;
  source: { cls: string; file?: string };
  constructor: any;
  mode: 'train' | 'eval';
  inputs: Record<string, number[]>;
  outputs: { name: string; shape: number[] }[];
  parameters: number;
  state_dict_order: string[];
  loss?: string;
  [more: string]: any;
}

/** Something with parameters that can be compared: a network, a block, an operator without any. */
export interface Checked {
  parameters: readonly ParamInfo[];
  /** `inputs` holds every input by its name (`x`, or what follows `in.`), in our layout. */
  forward(context: Context, x: tf.Tensor, inputs: Record<string, tf.Tensor>): tf.Tensor[];
  /** Which inputs and outputs are channels first in the original; default: those of rank 4 and 5. */
  channelsFirst?(name: string, shape: readonly number[]): boolean;
}

export interface Arch {
  /** The network of a fixture or a full-size catalog entry. */
  network?(args: any, json: Fixture): Checked;
  /** A block or operator, by the original's class name. */
  block?(cls: string, args: any, json: Fixture): Checked;
  /** Fixtures of other kinds (`weight-transfer`), by kind. */
  kinds?: Record<string, (json: Fixture, tensors: Record<string, StoredTensor>) => Row[] | Promise<Row[]>>;
  /** Full-size files that are not `voxelbook-catalog-1`: the cases in `root/models/<arch>/full`. */
  full?(root: string, folder: string): GoldenCase[];
}
