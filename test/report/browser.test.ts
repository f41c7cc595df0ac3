// What a reader's browser makes of our output: every figure drawn by plotly and as SVG, the viewer with and without scripts.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import puppeteer, { type Browser } from 'puppeteer-core';
import { view } from '../../src/report/index.js';
import { toRas } from '../../src/volume/reorient.js';
import { identityDirection, type LabelMap, type Volume } from '../../src/volume/volume.js';
import { allFigures } from './figures.js';

// Lives in the page.
declare const document: any;

const executable = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (file) => file && fs.existsSync(file),
);

/** A ball in a box that grows brighter along x. */
function scene() {
  const shape: [number, number, number] = [40, 48, 44];
  const data = new Float32Array(40 * 48 * 44);
  const labels = new Uint8Array(data.length);
  const shifted = new Uint8Array(data.length);
  for (let z = 0, i = 0; z < 40; z++)
    for (let y = 0; y < 48; y++)
      for (let x = 0; x < 44; x++, i++) {
        data[i] = 10 + x;
        if (Math.hypot(z - 20, y - 24, x - 20) < 9) labels[i] = 1;
        if (Math.hypot(z - 20, y - 24, x - 23) < 9) shifted[i] = 1;
      }
  const geometry = { shape, channels: 1, spacingMm: [1, 1, 1], originMm: [0, 0, 0], direction: [...identityDirection] };
  return {
    volume: { ...geometry, data } as any,
    labels: { ...geometry, data: labels } as LabelMap,
    shifted: { ...geometry, data: shifted } as LabelMap,
  };
}

describe('in a browser', function () {
  this.timeout(120000);
  let browser: Browser;
  let folder: string;
  before(async function () {
    if (!executable) {
      console.log('    no Chromium found: install it (apt-get install chromium) or set CHROMIUM to see these tests run');
      this.skip();
    }
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-browser-'));
    browser = await puppeteer.launch({ executablePath: executable, args: ['--no-sandbox', '--disable-gpu'] });
  });
  after(async () => {
    await browser?.close();
    if (folder) fs.rmSync(folder, { recursive: true });
  });

  const open = async (html: string) => {
    const file = path.join(folder, 'page.html');
    fs.writeFileSync(file, `<!doctype html><meta charset="utf-8"><body>${html}`);
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    await page.goto(`file://${file}`);
    return { page, errors };
  };

  it('plotly draws every figure, with as many marks as there are traces', async () => {
    const plotly = path.join(
      path.dirname(createRequire(import.meta.url).resolve('plotly.js/package.json')),
      'dist',
      'plotly.min.js',
    );
    const { page, errors } = await open(`<script src="file://${plotly}"></script>`);
    for (const [name, figure] of Object.entries(allFigures())) {
      const spec = figure.bundle()['application/vnd.plotly.v1+json'];
      const drawn = await page.evaluate(async (json: string) => {
        const { data, layout, config } = JSON.parse(json);
        const div = document.body.appendChild(document.createElement('div'));
        await (globalThis as any).Plotly.newPlot(div, data, layout, config);
        return div.querySelectorAll('.trace, .heatmaplayer .hm, .boxlayer .trace, .scatterlayer .trace').length;
      }, JSON.stringify(spec));
      assert.ok(drawn >= figure.data.length, `${name}: ${drawn} of ${figure.data.length} traces`);
    }
    assert.deepEqual(errors, []);
    await page.close();
  });

  it('every figure stays below 200 kB and its SVG is drawn in full', async () => {
    const figures = allFigures();
    for (const [name, figure] of Object.entries(figures)) {
      const bytes = Buffer.byteLength(JSON.stringify(figure.bundle()));
      assert.ok(bytes < 200_000, `${name}: ${bytes} bytes`);
    }
    const { page } = await open(
      Object.values(figures)
        .map((f) => f.toSvg())
        .join(''),
    );
    const outside = await page.evaluate(() =>
      [...document.querySelectorAll('body > svg')].flatMap((svg: any) => {
        const frame = svg.getBoundingClientRect();
        return [...svg.querySelectorAll('text')]
          .map((t: any) => [t.textContent, t.getBoundingClientRect()] as const)
          .filter(([, r]) => r.left < frame.left - 1 || r.right > frame.right + 1 || r.bottom > frame.bottom + 1)
          .map(([text]) => text);
      }),
    );
    assert.deepEqual(outside, [], 'text cut off at the edge');
    await page.close();
  });

  it('the viewer draws the same planes however the axes of a volume are stored', async () => {
    const { volume, labels } = scene();
    const direction: Volume['direction'] = [0, 0, -1, 1, 0, 0, 0, -1, 0];
    const drawn: string[][] = [];
    for (const turn of [<V extends Volume>(v: V): V => v, toRas]) {
      const [image, map] = [turn({ ...volume, direction }), turn({ ...labels, direction })];
      const { page, errors } = await open(view(image, map, { maxBytes: 10_000_000 }).toHtml());
      await page.waitForSelector('canvas');
      drawn.push(await page.evaluate(() => [...document.querySelectorAll('canvas')].map((canvas) => canvas.toDataURL())));
      assert.deepEqual(errors, []);
      await page.close();
    }
    assert.equal(drawn[0].length, 3);
    assert.deepEqual(drawn[0], drawn[1]);
  });

  it('the viewer follows its slider, and shows the still picture where scripts do not run', async () => {
    const { volume, labels, shifted } = scene();
    const html = view(volume, labels, { prediction: shifted }).toHtml();
    assert.ok(html.length < 200_000, `${html.length} bytes`);
    const { page, errors } = await open(html);
    await page.waitForSelector('canvas');
    const colours = () =>
      page.evaluate(() => {
        const canvas = document.querySelector('canvas');
        const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
        let coloured = 0;
        for (let i = 0; i < data.length; i += 4) if (Math.abs(data[i] - data[i + 1]) > 30) coloured++;
        return coloured;
      });
    const inside = await colours();
    assert.ok(inside > 100, `labels are drawn: ${inside} coloured pixels`);
    await page.evaluate(() => {
      const slider = document.querySelector('input[type=range]');
      slider.value = '0';
      slider.dispatchEvent(new Event('input'));
    });
    assert.ok((await colours()) < inside / 10, 'no label in the first slice');
    assert.deepEqual(errors, []);
    await page.close();

    const plain = await browser.newPage();
    await plain.setJavaScriptEnabled(false);
    await plain.goto(`file://${path.join(folder, 'page.html')}`);
    const picture = await plain.$('.vb-still img');
    assert.ok((await picture!.boundingBox())!.width > 300);
    await plain.close();
  });
});
