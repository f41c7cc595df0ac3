// STU-Net and Swin-UMamba taken apart give what the networks compute; published costs come out of our code.
import assert from 'node:assert/strict';
import { paper } from '../../src/index.js';
import type { TransferRow } from '../../src/weights/index.js';

describe('the four scan orders', () => {
  it('are rows, columns, and both backwards', () => {
    const orders = paper.swinUmamba.scanOrders(2, 3).maps.map((map) => Array.from(map.values));
    assert.deepEqual(orders, [
      [0, 1, 2, 3, 4, 5],
      [0, 2, 4, 1, 3, 5],
      [5, 4, 3, 2, 1, 0],
      [5, 3, 1, 4, 2, 0],
    ]);
  });
});

describe('what one scan layer sees', () => {
  it('is the whole picture, most of it at the middle', () => {
    const [map] = paper.swinUmamba.reach(8).maps;
    const values = Array.from(map.values);
    assert.ok(values.every((v) => v > Math.log(1e-8)));
    assert.equal(values.indexOf(Math.max(...values)), 4 * 8 + 4);
  });
});

describe('what fine-tuning carries over', () => {
  it('is counted by stage, with the reasons', () => {
    const row = (name: string, outcome: 'copied' | 'kept', why: string): TransferRow => ({
      name,
      outcome,
      why,
      expected: [2, 3],
      found: [2, 3],
    });
    const table = paper.stuNet.carriedOver([
      row('conv_blocks_context.0.0.conv1.weight', 'copied', 'same name and shape'),
      row('conv_blocks_context.0.0.conv1.bias', 'copied', 'same name and shape'),
      row('seg_outputs.0.weight', 'kept', 'another shape'),
    ]);
    assert.match(table.toString(), /conv_blocks_context\.0 +2 +12 +0 +same name and shape/);
    assert.match(table.toString(), /seg_outputs\.0 +0 +0 +1 +another shape/);
  });
});

describe('the published costs of Swin-UMamba', () => {
  it('are what our code has at full size', () => {
    const { parameters, flops } = paper.swinUmamba.costs('AbdomenMRI');
    const rows = paper.published.swinUmamba.tables.find((t) => t.id === 'v2-table1-abdomenmri')!.rows;
    for (const row of rows.filter((r) => !/nnFormer|\(\*\)/.test(String(r.method)))) {
      const name = String(row.method);
      assert.ok(Math.abs(Number(parameters[name]) - Number(row.params_M)) < 0.7, `${name} ${parameters[name]} M`);
      assert.ok(Math.abs(Number(flops[name]) / Number(row.FLOPs_G) - 1) < 0.04, `${name} ${flops[name]} G`);
    }
  });
});
