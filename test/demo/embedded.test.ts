import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Random } from '../../src/base/random.js';
import { blur, depthInside, field, sample, smoothNoise } from '../../src/demo/field.js';
import { generatorOf, writeEmbedded } from '../../src/demo/index.js';
import { scanned } from '../../src/demo/scan.js';
import { anatomyFor, gliomaCase } from '../../src/demo/simGlioma.js';
import { cellPicture, instrumentPicture } from '../../src/demo/simPictures.js';
import { icbmBlocks, macaqueBlocks } from '../../src/demo/tissueBlocks.js';

const sha = (...arrays: Uint8Array[]) => {
  const hash = createHash('sha256');
  for (const a of arrays) hash.update(a);
  return hash.digest('hex').slice(0, 16);
};
const share = (a: Uint8Array, label: number) => a.filter((v) => v === label).length / a.length;

describe('fields', () => {
  it('blur keeps a constant and spreads a point as a Gaussian', () => {
    const flat = field([3, 4, 5], 2);
    flat.data.fill(7);
    assert.ok(blur(flat, 4).data.every((v) => Math.abs(v - 7) < 1e-5));
    const point = field([1, 1, 21], 1);
    point.data[10] = 1;
    const spread = blur(point, 2).data;
    assert.ok(Math.abs(spread[12] / spread[10] - Math.exp(-0.5)) < 1e-5);
  });

  it('smooth noise has mean 0 and standard deviation 1', () => {
    const { data } = smoothNoise([6, 20, 20], 1, 2, new Random(1));
    const mean = data.reduce((a, b) => a + b) / data.length;
    const sd = Math.sqrt(data.reduce((a, b) => a + (b - mean) ** 2, 0) / data.length);
    assert.ok(Math.abs(mean) < 1e-4 && Math.abs(sd - 1) < 1e-4);
  });

  it('sampling a linear ramp between voxels is exact, and 0 outside', () => {
    const ramp = field([3, 3, 3], 1);
    for (let i = 0; i < 27; i++) ramp.data[i] = Math.floor(i / 9) * 100 + (Math.floor(i / 3) % 3) * 10 + (i % 3);
    assert.ok(Math.abs(sample(ramp, 0.5, 1.25, 1.75) - (50 + 12.5 + 1.75)) < 1e-4);
    assert.equal(sample(ramp, -0.1, 1, 1), 0);
  });

  it('depth inside a ball is its radius within the chamfer error', () => {
    const ball = field([41, 41, 41], 1);
    for (let i = 0; i < ball.data.length; i++)
      ball.data[i] = Math.hypot(Math.floor(i / 1681) - 20, (Math.floor(i / 41) % 41) - 20, (i % 41) - 20) < 15 ? 1 : 0;
    const depth = depthInside(ball).data[20 * 1681 + 20 * 41 + 20];
    assert.ok(Math.abs(depth - 15) < 1.5, String(depth));
  });
});

describe('embedded data sets', () => {
  const anatomy = anatomyFor(3);

  it('SimGlioma case 0 is the same on every machine', () => {
    const { channels, label } = gliomaCase(anatomy, 0);
    assert.equal(sha(...channels, label), 'c20644522758fb51');
  });

  it('tumour labels lie in the brain, and different cases differ', () => {
    const [a, b] = [0, 1].map((i) => gliomaCase(anatomy, i));
    for (const { channels, label } of [a, b]) assert.ok(label.every((v, i) => v === 0 || channels[0][i] > 0));
    assert.notDeepEqual(a.label, b.label);
  });

  it('tissue blocks are at least a quarter brain and hold every tissue somewhere', () => {
    for (const blocks of [icbmBlocks(), icbmBlocks([31, 36, 37]), macaqueBlocks()]) {
      assert.ok(blocks.length >= 12, String(blocks.length));
      for (const { label } of blocks) assert.ok(share(label, 0) <= 0.75);
      for (const tissue of [1, 2, 3])
        assert.ok(
          blocks.some(({ label }) => share(label, tissue) > 0.01),
          `tissue ${tissue}`,
        );
    }
  });

  it('a scan keeps the labels and the outside of its block, repeats by name, and blurs the tissues’ intensities into each other', () => {
    const block = macaqueBlocks()[3];
    const scan = scanned(block, 0.5, 'a');
    assert.deepEqual(scanned(block, 0.5, 'a').image, scan.image);
    assert.notDeepEqual(scanned(block, 0.5, 'b').image, scan.image);
    assert.equal(scan.label, block.label);
    assert.ok(scan.image.every((v, i) => v > 0 === block.image[i] > 0));
    const apart = ({ image, label }: typeof block) => {
      const of = (tissue: number) => Array.from(image).filter((_, i) => label[i] === tissue);
      const mean = (x: number[]) => x.reduce((a, b) => a + b, 0) / x.length;
      const [grey, white] = [of(2), of(3)];
      const [g, w] = [mean(grey), mean(white)];
      const sd = (x: number[], m: number) => Math.sqrt(mean(x.map((v) => (v - m) ** 2)));
      return (w - g) / (sd(grey, g) + sd(white, w));
    };
    assert.ok(apart(scan) < 0.7 * apart(block), `${apart(scan)} ${apart(block)}`);
  });

  it('pictures hold all their classes and repeat for the same number', () => {
    for (const make of [cellPicture, instrumentPicture]) {
      const picture = make(3);
      assert.deepEqual(make(3).rgb, picture.rgb);
      assert.ok(share(picture.label, 1) > 0.01 && share(picture.label, 2) > 0.001);
    }
  });

  it('stained cells are darker than what is around them, fluorescent ones brighter, and no cell is in two sets', () => {
    const mean = ({ rgb, label }: ReturnType<typeof cellPicture>, cell: boolean) => {
      const own = [...label.keys()].filter((i) => (label[i] === 1) === cell && (cell || label[i] === 0));
      return own.reduce((sum, i) => sum + rgb[3 * i] + rgb[3 * i + 1] + rgb[3 * i + 2], 0) / own.length;
    };
    const [bright, dark] = [cellPicture(0, 128, 1), cellPicture(0, 128, 2, 'stained')];
    assert.ok(mean(bright, true) > mean(bright, false) + 60);
    assert.ok(mean(dark, true) < mean(dark, false) - 60);
    const all = [0, 1, 2].flatMap((seed) => Array.from({ length: 4 }, (_, i) => sha(cellPicture(i, 128, seed).label)));
    assert.equal(new Set(all).size, all.length);
  });

  it('is written as an nnU-Net raw folder once, and not again', () => {
    const root = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-'));
    const steps: string[] = [];
    const folder = writeEmbedded('IcbmTissue', { root, onProgress: (p) => steps.push(p.what) });
    const json = JSON.parse(fs.readFileSync(path.join(folder, 'dataset.json'), 'utf8'));
    assert.equal(json.numTraining, fs.readdirSync(path.join(folder, 'labelsTr')).length);
    assert.equal(fs.readdirSync(path.join(folder, 'imagesTr')).length, json.numTraining);
    assert.equal(steps.length, json.numTraining + 1);
    writeEmbedded('IcbmTissue', { root, onProgress: (p) => steps.push(p.what) });
    assert.equal(steps.length, json.numTraining + 1);
    fs.rmSync(root, { recursive: true });
  });

  it('every set has digits of its voxels: the same for the same files, others for other voxels', () => {
    assert.equal(generatorOf('SimGliomaRegions'), generatorOf('SimGlioma'));
    const all = [
      'SimGlioma',
      'IcbmTissue',
      'HumanScans',
      'MacaqueScans',
      'SimCells',
      'SimCells120',
      'SimCellsStained',
      'SimInstruments',
    ].map(generatorOf);
    assert.equal(new Set(all).size, all.length);
    for (const digits of all) assert.match(digits, /^[0-9a-f]{16}$/);
  });
});
