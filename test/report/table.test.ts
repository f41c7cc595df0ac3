import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { ablation, comparison, Figure, learningCurve, panels, perClass, ResultTable, view } from '../../src/report/index.js';
import { encodePng } from '../../src/report/pngEncoder.js';
import { decodePng, identityDirection } from '../../src/volume/index.js';
import { variantNames, variants } from './synthetic.js';

describe('the ablation table', () => {
  const table = ablation(variants(), { metrics: ['dsc', 'nsd', 'hd95'] });
  const numbers = table.data.objects() as Record<string, any>[];

  it('has one row per variant and the mean over cases of the mean over classes', () => {
    assert.deepEqual(
      numbers.map((r) => r.variant),
      variantNames,
    );
    const values = new Map<string, number[]>();
    for (const run of variants()[0].scores)
      for (const c of run.cases) {
        const dsc = Object.values(c.classes).map((s) => s.dsc);
        values.set(c.id, [...(values.get(c.id) ?? []), dsc.reduce((a, b) => a + b, 0) / dsc.length]);
      }
    const cases = [...values.values()].map((v) => v.reduce((a, b) => a + b, 0) / v.length);
    assert.ok(Math.abs(numbers[0]['dsc.mean'] - cases.reduce((a, b) => a + b, 0) / cases.length) < 1e-12);
  });

  it('says why a value is missing', () => {
    assert.equal(table.cells[2]['dsc.mean'].why, 'not run at this scale');
    assert.match(table.toCsv(), /missing: not run at this scale/);
    assert.match(table.toHtml(), /title="not run at this scale"/);
    assert.match(table.toMarkdown(), /not run at this scale/);
  });

  it('joins the published value with its source, in our unit', () => {
    assert.equal(numbers[0]['dsc.published'], 0.835);
    assert.ok(Math.abs(numbers[0]['dsc.toPublished'] - (numbers[0]['dsc.mean'] - 0.835)) < 1e-12);
    assert.match(String(table), /MedNeXt, Table 2, row MedNeXt-S, BTCV_DSC: the paper/);
  });

  it('a missed lesion counts 0 and the image diagonal, and is counted in the notes', () => {
    assert.match(table.notes.join(' '), /288 scores: 0 both empty, 8 missed, 0 false alarms/);
    const without = ablation(variants(), { metrics: ['hd95'], empty: 'undefined' }).data.objects() as Record<string, any>[];
    assert.ok(numbers[0]['hd95.ET'] > without[0]['hd95.ET'] + 10);
  });

  it('marks the best value, the largest of a ratio and the smallest of a distance', () => {
    assert.equal(table.cells[1]['dsc.mean'].mark, 'best');
    assert.equal(table.cells[1]['hd95.mean'].mark, 'best');
    assert.match(table.toLatex(), /\\textbf\{0\.803 \$\\pm\$ 0\.003/);
  });

  it('many columns without a group stand beneath each other on a page, each part behind the first', () => {
    const columns = Array.from({ length: 18 }, (_, i) => ({ key: `k${i}`, label: `c${i}` }));
    const row = Object.fromEntries(columns.map(({ key }, i) => [key, { value: i, text: String(i) }]));
    const heads = (n: number) =>
      [...new ResultTable('wide', columns.slice(0, n), [row]).toHtml().matchAll(/<table>[\s\S]*?<\/thead>/g)].map(([head]) =>
        [...head.matchAll(/>(c\d+)</g)].map(([, label]) => label),
      );
    const labels = columns.map(({ label }) => label);
    assert.deepEqual(heads(18), [labels.slice(0, 10), ['c0', ...labels.slice(10)]]);
    assert.deepEqual(heads(13), [labels.slice(0, 13)]);
  });

  it('exports the same number of cells to every format', () => {
    const columns = table.columns.length;
    const csv = table.toCsv().trim().split('\n');
    assert.equal(csv.length, 4);
    assert.equal(csv[1].split(',').length, columns);
    // On a page, tables of at most ten columns beneath each other, each behind the name of the variant.
    const pages = table.toHtml().split('<table>').slice(1);
    const cells = pages.map((page) => page.match(/<td/g)!.length / 3);
    assert.equal(
      cells.reduce((sum, n) => sum + n - 1, 1),
      columns,
    );
    assert.ok(pages.length > 1 && cells.every((n) => n <= 10), String(cells));
    for (const page of pages) for (const { name } of variants()) assert.ok(page.includes(`>${name}</`), name);
    assert.equal(table.toLatex().match(/ & /g)!.length, 4 * (columns - 1) + 4);
  });

  it('shows itself in a notebook and in a terminal', () => {
    const bundle = (table as any)[Symbol.for('Jupyter.display')]();
    assert.deepEqual(Object.keys(bundle), ['text/html', 'text/markdown', 'text/plain']);
    assert.equal(inspect(table), String(table));
  });

  it('names what it does not know', () => {
    assert.throws(() => ablation(variants(), { base: 'nnU-Net', classes: ['WT', 'XX'] }), {
      message: `no table can be made of this
  base: "nnU-Net"; expected ${variantNames.join(', ')}. Choose one of these names.
  classes: "XX"; expected WT, TC, ET. Choose one of these names.`,
    });
    assert.throws(() => ablation([]), /rows: no row; expected at least one variant/);
  });

  it('one variant alone has no difference columns', () => {
    assert.ok(!ablation(variants().slice(0, 1)).columns.some((c) => c.key.endsWith('difference')));
  });

  it('a comparison has a line per class and metric', () => {
    const c = comparison(variants());
    assert.equal(c.cells.length, 8);
    assert.equal(c.cells[0].v2.why, 'not run at this scale');
  });
});

describe('figures and pictures', () => {
  it('a figure carries plotly, SVG and text', () => {
    const bundle = perClass(variants()).bundle();
    assert.deepEqual(Object.keys(bundle), ['application/vnd.plotly.v1+json', 'image/svg+xml', 'text/plain']);
    assert.match(bundle['image/svg+xml'] as string, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
  });

  it('the same figure is drawn with the same bytes', () =>
    assert.equal(perClass(variants()).toSvg(), perClass(variants()).toSvg()));

  it('a learning curve of nothing is empty, not an error', () => {
    assert.match(learningCurve([]).toSvg(), /^<svg/);
  });

  it('panels: one picture beside the other on one scale, each named below its middle', () => {
    const { data, layout } = panels('Slices', { narrow: [[0, 1]], wide: [[2, 3, 4, Number.NaN]] });
    assert.deepEqual(data[0].z, [[0, 1, Number.NaN, Number.NaN, 2, 3, 4, Number.NaN]]);
    assert.deepEqual([data[0].zmin, data[0].zmax], [0, 4]);
    assert.deepEqual(
      layout.annotations!.map(({ text, x }) => [text, x]),
      [
        ['narrow', 1 / 8],
        ['wide', 6 / 8],
      ],
    );
    assert.throws(() => panels('Slices', { low: [[1]], high: [[1], [2]] }), /heights of 1, 2; expected at least one/);
    assert.throws(() => panels('Slices', {}), /none; expected at least one/);
  });

  it('bars on a logarithmic axis are as high as their logarithm', () => {
    const layout = { yaxis: { type: 'log', range: [0, 3] } } as const;
    const svg = new Figure([{ type: 'bar', x: ['a', 'b'], y: [10, 100] }], layout as never, '').toSvg();
    const tops = [...svg.matchAll(/<rect x="[^"]*" y="([^"]*)"[^>]*fill="#0072b2"/g)].map((m) => Number(m[1]));
    const lines = [...svg.matchAll(/<line [^>]*y1="([^"]*)"/g)].map((m) => Number(m[1]));
    assert.equal(tops.length, 2);
    for (const top of tops) assert.ok(lines.includes(top), `${top} is none of the grid lines ${lines}`);
    assert.doesNotMatch(svg, /NaN|Infinity/);
  });

  it('traces without a colour get one each, the same in the notebook and in the picture', () => {
    const figure = new Figure(
      ['a', 'b'].map((name) => ({ type: 'scatter', mode: 'lines', name, x: [0, 1], y: [0, 1] })),
      {},
      '',
    );
    const colours = figure.data.map((trace) => trace.marker!.color!);
    assert.equal(new Set(colours).size, 2);
    for (const colour of colours) assert.match(figure.toSvg(), new RegExp(`stroke="${colour}"`));
  });

  it('a PNG decodes to the pixels it was made of', () => {
    for (const channels of [1, 3] as const) {
      const data = Uint8Array.from({ length: 13 * 7 * channels }, (_, i) => (i * i * 31) % 256);
      const picture = decodePng(encodePng(13, 7, channels, data));
      assert.deepEqual([picture.shape, picture.channels], [[1, 7, 13], channels]);
      assert.deepEqual(Uint8Array.from(picture.data), data);
    }
  });

  it('a viewer refuses maps of another shape and channels that are not there', () => {
    const volume = {
      data: new Float32Array(8),
      shape: [2, 2, 2] as [number, number, number],
      channels: 1,
      spacingMm: [1, 1, 1] as [number, number, number],
      originMm: [0, 0, 0] as [number, number, number],
      direction: [...identityDirection] as typeof identityDirection,
    };
    const labels = { ...volume, data: new Uint8Array(4), shape: [1, 2, 2] as [number, number, number] };
    assert.throws(() => view(volume, labels, { channel: 1 }), {
      message: `this volume cannot be shown
  labelMap: [1,2,2]; expected the volume's [2,2,2]. Resample the label map to the grid of the volume.
  channel: 1; expected 0 to 0. Choose one of the channels.`,
    });
    assert.match(view(volume).toHtml(), /data:image\/png;base64,/);
  });
});
