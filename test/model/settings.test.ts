import assert from 'node:assert/strict';
import { withDefaults, withoutDefaults } from '../../src/base/schema.js';
import { type ModelSpec, network } from '../../src/model/index.js';
import { settingsOf } from '../../src/model/settings.js';
import { narrow2d, narrow3d } from '../../src/paper/index.js';

const patch3 = { patch_size: [32, 32, 32] } as never;
const patch2 = { patch_size: [64, 64] } as never;
const ends = { inputChannels: 1, classes: 3, deepSupervision: true };

/** A network as its parameters: names, shapes and how they start. */
const parametersOf = (spec: ModelSpec, plan: never) =>
  network(spec, plan, ends).network.parameters.map(({ name, shape, init, buffer }) => ({
    name,
    shape: [...shape],
    init: init.kind,
    buffer,
  }));

describe('settings of networks', () => {
  const specs: [ModelSpec, never][] = [
    [{ network: 'mednext', kernel: 3, size: 'S' }, patch3],
    [{ network: 'kaist-unet' }, undefined as never],
    [{ network: 'stunet', size: 'S' }, undefined as never],
    [{ network: 'segresnet' }, patch3],
    [{ network: 'ux-net' }, patch3],
    [{ network: 'cotr' }, patch3],
    [{ network: 'swin-umamba' }, patch2],
    [{ network: 'swin-umamba-d' }, patch2],
    [{ network: 'transbts' }, patch3],
    [{ network: 'unetr' }, patch3],
    [{ network: 'swin-unetr' }, patch3],
  ];
  for (const [spec, plan] of specs)
    it(`${spec.network}: the defaults that are written out are those that are built`, function () {
      this.timeout(60_000);
      const whole = withDefaults(settingsOf(spec.network)!, spec);
      assert.notDeepEqual(whole, spec);
      assert.deepEqual(parametersOf(whole, plan), parametersOf(spec, plan));
      assert.deepEqual(withoutDefaults(settingsOf(spec.network)!, whole), spec);
    });

  it('every network of the demo tables fits its schema', () => {
    for (const spec of [...Object.values(narrow3d), ...Object.values(narrow2d)] as ModelSpec[])
      assert.deepEqual(settingsOf(spec.network)!.safeParse(spec).error?.issues ?? [], [], JSON.stringify(spec));
  });
});
