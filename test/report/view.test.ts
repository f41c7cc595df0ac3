import assert from 'node:assert/strict';
import { colourOfLabel } from '../../src/base/labelColours.js';
import { view } from '../../src/report/index.js';
import { paint } from '../../src/report/picture.js';
import { decodePng, identityDirection, toRas, type Volume } from '../../src/volume/index.js';

/** A ramp with one bright corner: no two turns of it look alike. */
function ramp(direction: Volume['direction']): Volume<Float32Array> {
  const shape: Volume['shape'] = [6, 8, 10];
  const data = Float32Array.from({ length: 480 }, (_, i) => (i % 10) + 20 * (Math.floor(i / 10) % 8) + 3 * Math.floor(i / 80));
  return { data, shape, channels: 1, spacingMm: [3, 1, 1.5], originMm: [0, 0, 0], direction };
}
const label = (volume: Volume): Volume<Uint8Array> => ({
  ...volume,
  data: Uint8Array.from(volume.data, (v) => (v > 120 ? 8 : 0)),
});

describe('a view of a volume', () => {
  // Columns: the file's x, y and z.
  const sagittal: Volume['direction'] = [0, 0, -1, 1, 0, 0, 0, -1, 0];
  const [c, s] = [Math.cos(0.3), Math.sin(0.3)];
  const oblique: Volume['direction'] = [0, s, -c, 1, 0, 0, 0, -c, -s];
  for (const [name, direction] of Object.entries({ sagittal, oblique, upright: identityDirection }))
    it(`${name}: the same picture however the axes are stored`, () => {
      const volume = ramp(direction);
      const turned = toRas(volume);
      assert.deepEqual(view(volume, label(volume)).toPng(), view(turned, label(turned)).toPng());
      const still = (v: Volume) => /"flip":(\[[^\]]*\])/.exec(view(v).toHtml())![1];
      assert.equal(still(turned), '[true,true,true]');
    });

  it('label 8 is not white', () => {
    const volume = ramp(identityDirection);
    const html = view(volume, label(volume), { labels: { stomach: 8 } }).toHtml();
    const colour = `rgb(${colourOfLabel(8).join()})`;
    assert.ok(html.includes(`background:${colour}"></span> stomach`));
    assert.notEqual(colour, 'rgb(255,255,255)');
  });

  it('two equal views on a page are two', () => {
    const id = () => /<div id="(vb[^"]+)"/.exec(view(ramp(identityDirection)).toHtml())![1];
    assert.notEqual(id(), id());
  });

  it('a picture of red, green and blue is in colour, one of its channels grey', () => {
    const picture: Volume = {
      data: Uint8Array.from([200, 30, 90]),
      ...{ shape: [1, 1, 1], channels: 3, spacingMm: [999, 1, 1], originMm: [0, 0, 0], direction: identityDirection },
    };
    const pixel = (bytes: Uint8Array) => Array.from(decodePng(Buffer.from(bytes)).data.slice(0, 3));
    assert.deepEqual(pixel(view(picture).toPng()), [200, 30, 90]);
    assert.deepEqual(pixel(view({ ...picture, data: Float32Array.from([1, 0.2, 0]) }).toPng()), [255, 51, 0]);
    const [r, g, b] = pixel(view(picture, null, { channel: 1, window: [0, 60] }).toPng());
    assert.ok(r === g && g === b);
  });

  it('every label has a contour of its own, also where two touch', () => {
    const reference = Uint16Array.from({ length: 64 }, (_, i) => (i % 8 < 4 ? 1 : 2));
    const { data, width } = paint({ width: 8, height: 8, pixelMm: [1, 1], grey: new Uint8Array(64), reference }, 3);
    const at = (x: number) => [...data.subarray((12 * width + x) * 3, (12 * width + x) * 3 + 3)];
    const pale = (label: number) => [...colourOfLabel(label)].map((c) => Math.round(0.35 * c));
    assert.deepEqual([9, 11, 12, 14].map(at), [pale(1), [...colourOfLabel(1)], [...colourOfLabel(2)], pale(2)]);
  });

  it('live: a picture, or more than a page is sent, is refused; elsewhere than in the kernel the still picture stands', () => {
    const volume = ramp(identityDirection);
    const shown = view(volume, label(volume), { live: true });
    assert.deepEqual(shown.bundle(), (shown as any)[Symbol.for('Jupyter.display')]());
    const flat: Volume<Float32Array> = { ...volume, shape: [1, 60, 8] };
    assert.throws(
      () => view(flat, null, { live: true }),
      /cannot be shown live\n {2}live: \[1,60,8\], 1 MiB.*more than one slice/,
    );
  });
});
