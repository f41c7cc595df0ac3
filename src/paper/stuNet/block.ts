// STU-Net's up-sampling and its transfer, taken apart to look at.
import { type Cell, ResultTable } from '../../report/index.js';
import { resize } from '../../tensor/index.js';
import { tf } from '../../tensor/tf.js';
import type { TransferRow } from '../../weights/index.js';
import type { Step } from '../mednext/block.js';

/** A coarse map and both ways to a finer grid: voxels repeated (STU-Net), and trilinear. The caller owns the tensors. */
export function upsamplingSteps(x: tf.Tensor5D): Step[] {
  const fine = x.shape.slice(1, 4);
  const coarse = tf.avgPool3d(x, 4, 4, 'valid');
  return [
    { name: 'a coarse map', value: coarse },
    { name: 'nearest: voxels repeated', value: resize(coarse, fine, 'nearest') as tf.Tensor5D },
    { name: 'trilinear', value: resize(coarse, fine, 'linear') as tf.Tensor5D },
  ];
}

/** What a transfer decided, counted by stage: tensors copied and kept, with the reasons. */
export function carriedOver(rows: readonly TransferRow[]): ResultTable {
  const stageOf = (name: string) => name.match(/^(?:[a-z_]+\.)?[a-z_]+\.\d+/)?.[0] ?? name.split('.')[0];
  const number = (value: number): Cell => ({ value, text: String(value) });
  const text = (value: string): Cell => ({ value, text: value });
  const cells = [...new Set(rows.map((row) => stageOf(row.name)))].map((stage) => {
    const own = rows.filter((row) => stageOf(row.name) === stage);
    const copied = own.filter((row) => row.outcome === 'copied');
    const size = (row: TransferRow) => (row.expected ?? []).reduce((a, b) => a * b, 1);
    return {
      stage: text(stage),
      copied: number(copied.length),
      values: number(copied.reduce((sum, row) => sum + size(row), 0)),
      kept: number(own.filter((row) => row.outcome === 'kept').length),
      why: text([...new Set(own.map((row) => row.why))].join('; ')),
    };
  });
  const right = 'right' as const;
  const columns = [
    { key: 'stage', label: 'stage' },
    { key: 'copied', label: 'tensors copied', align: right },
    { key: 'values', label: 'values copied', align: right },
    { key: 'kept', label: 'freshly drawn', align: right },
    { key: 'why', label: 'why' },
  ];
  return new ResultTable('What fine-tuning carries over', columns, cells);
}
