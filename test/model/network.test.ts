import assert from 'node:assert/strict';
import { fromMemory, fromMemoryInParts, type ParamInfo, toMemory } from '../../src/model/network.js';

describe('model network', () => {
  const of = (shape: number[], layout: ParamInfo['layout']): ParamInfo => ({
    ...{ name: 'w', shape, layout, dtype: 'float32', buffer: false, init: { kind: 'zeros' } },
  });

  for (const [shape, layout] of [
    [[5, 3, 2, 1, 3], 'kernel'],
    [[7, 4], 'kernel'],
    [[9, 2, 2], 'plain'],
    [[11], 'plain'],
    [[], 'plain'],
  ] as const)
    it(`parts of [${shape}] (${layout}) one after another are the whole, in PyTorch's order`, () => {
      const info = of([...shape], layout);
      const values = Float32Array.from({ length: shape.reduce((a: number, b: number) => a * b, 1) }, (_, i) => i + 0.5);
      const tensor = toMemory(info, values);
      for (const most of [1, 4, 20, 1000]) {
        const parts = [...fromMemoryInParts(info, tensor, most)];
        assert.deepEqual(Float32Array.from(parts.flatMap((part) => [...part])), values);
        if (most === 4 && values.length > 4) assert.ok(parts.length > 1);
      }
      assert.deepEqual(fromMemory(info, tensor), values);
      tensor.dispose();
    });
});
