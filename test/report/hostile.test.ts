import assert from 'node:assert/strict';
import { VoxelbookError } from '../../src/base/errors.js';
import { shownTable } from '../../src/base/show.js';
import * as report from '../../src/report/index.js';
import { listText } from '../../src/run/list.js';
import { picture } from '../../src/run/live.js';
import { identityDirection } from '../../src/volume/volume.js';
import { dangers, labelsOf } from './dangers.js';
import { allFigures } from './figures.js';
import { hostileStrings } from './hostile.js';
import { runs } from './synthetic.js';

const clean = (what: string, html: string) => assert.deepEqual(dangers(html), [], what);

describe('names from outside never become markup', () => {
  it('there are at least 200 hostile strings', () => {
    assert.ok(new Set(hostileStrings).size >= 200, String(new Set(hostileStrings).size));
  });

  it('in tables, as HTML, and in Markdown', () => {
    for (const name of hostileStrings) {
      const rows = [
        { name, scores: runs('a', 0.8, { cases: 3, folds: 1, seeds: 1 }).map((run) => dressed(run, name)) },
        { name: `${name} 2`, scores: [], missing: name },
      ];
      const claim = { paper: name, table: name, row: name, column: 'DSC', metric: 'dsc', value: 80, unit: name, source: name };
      const table = report.ablation([{ ...rows[0], published: [claim] }, rows[1]], { caption: name, resamples: 10 });
      clean(`ablation ${JSON.stringify(name)}`, table.toHtml());
      clean(`comparison ${JSON.stringify(name)}`, report.comparison(rows, { caption: name }).toHtml());
      const markdown = table.toMarkdown();
      assert.doesNotMatch(markdown, /<(?!\/?$)/, name);
      assert.doesNotMatch(markdown, /[^\\]\]\((?!\))/, name);
    }
  }).timeout(60000);

  it('in a spreadsheet no cell begins as a formula', () => {
    for (const name of hostileStrings) {
      const csv = new report.ResultTable('t', [{ key: 'a', label: 'a' }], [{ a: { value: name, text: name } }]).toCsv();
      assert.doesNotMatch(csv, /(^|,|\n)"?[=+@\t]/, JSON.stringify(name));
      // One cell in any spreadsheet: whatever separates cells elsewhere stands inside quotes.
      const cell = csv.slice(csv.indexOf('\n') + 1, -1);
      if (/[;|\t]/.test(cell)) assert.match(cell, /^"[\s\S]*"$/, JSON.stringify(name));
    }
  });

  it('a formula behind blanks, quotes, in full width or after a break is text', () => {
    const cells = [
      ' =1+1',
      '\t=1+1',
      '\n=1+1',
      '"=1+1',
      "'=1+1",
      '\u200b=1',
      '\uff1dSUM(A1)',
      '\uff0b1',
      '-2+3',
      '@SUM(A1)',
      '+1',
      '\r\n=1',
    ];
    for (const value of cells) {
      const table = new report.ResultTable('t', [{ key: 'a', label: value }], [{ a: { value, text: value } }]);
      const csv = table.toCsv();
      const [head, body] = [csv.slice(0, csv.length / 2), csv.slice(csv.length / 2)];
      assert.equal(head, body);
      assert.match(body, /^"?'/, JSON.stringify(value));
    }
    const numbers = new report.ResultTable('t', [{ key: 'a', label: 'a' }], [{ a: { value: -0.5, text: '−0.5' } }]);
    assert.equal(numbers.toCsv(), 'a\n-0.5\n');
  });

  it('in LaTeX no character is a command, an argument of one, or opens anything', () => {
    const texts = [
      '\\input{/etc/passwd}',
      '[4cm]x',
      '*[2cm]',
      '$\\write18{id}$',
      'a & b \\\\',
      '%',
      '#1',
      '^^5c',
      '~',
      '{',
      'x_y',
      '|',
      '\x1b[31m',
    ];
    for (const text of [...texts, ...hostileStrings]) {
      const latex = new report.ResultTable(
        text,
        [{ key: 'a', label: text }],
        [{ a: { value: text, text, why: text } }],
      ).toLatex();
      const rows = latex.split('\n').filter((line) => !/^\\(begin|end|centering|toprule|midrule|bottomrule)/.test(line));
      const bare = rows
        .join('\n')
        .replace(/^\\caption\{|^\{\\footnotesize |\\\\$/gm, '')
        .replace(
          /\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|textdagger)\{\}|\{[[\]*]\}|\$(\\(pm|Delta|times|geq|leq|infty)|-|\^3)\$/g,
          '',
        )
        .replace(/\\[{}$&#%_]/g, '');
      assert.doesNotMatch(bare, /[\\$&#%_^~[\]*|]/, JSON.stringify(text));
      for (const line of rows) assert.doesNotMatch(line, /^[[*]/, JSON.stringify(text));
    }
  });

  it('a list of runs, a table of a data set and a live view steer no terminal', () => {
    const name = 'x\x1b]0;title\x07\u202egnp.exe\x9b2J';
    const texts = [
      listText([
        {
          name,
          experiment: name,
          fold: 0,
          seed: 0,
          state: 'failed',
          step: 0,
          steps: 1,
          loss: null,
          pseudoDsc: null,
          note: name,
          folder: name,
        },
      ]),
      shownTable(name, [name], [[name]]).text,
      picture(name, [], name)['text/plain'],
    ];
    for (const text of texts) assert.doesNotMatch(text, /(?!\n)\p{Cc}|[\u202a-\u202e\u2066-\u2069]/u);
  });

  it('in every figure, as SVG and as plotly labels', () => {
    // Each figure is drawn with many names at once: a fresh one for every model, case and class.
    for (let start = 0; start < hostileStrings.length; start += 12) {
      let at = start;
      const given = new Map<string, string>();
      const dress = (name: string) => {
        if (!given.has(name)) given.set(name, `${hostileStrings[at++ % hostileStrings.length]}${given.size}`);
        return given.get(name)!;
      };
      for (const [kind, figure] of Object.entries(allFigures(dress))) {
        const bundle = figure.bundle();
        clean(`${kind} from ${start}`, bundle['image/svg+xml'] as string);
        for (const label of labelsOf(bundle['application/vnd.plotly.v1+json']))
          if (/<[a-z/!?]|&[#\w]+;/i.test(label.replace(/<br>|<extra><\/extra>/g, ''))) assert.fail(`${kind}: ${label}`);
      }
    }
  }).timeout(120000);

  it('in errors and progress', () => {
    for (const name of hostileStrings) {
      const error = new VoxelbookError(name, { code: name, path: name, given: name, expected: name, fix: name });
      clean(`error ${JSON.stringify(name)}`, report.errorNotice(error).toHtml());
      clean(`plain error ${JSON.stringify(name)}`, report.errorNotice(new Error(name)).toHtml());
      clean(`progress ${JSON.stringify(name)}`, report.progress({ what: name, done: 1, total: 3, etaSeconds: 5 }).toHtml());
    }
  });

  it('in a terminal they move no cursor', () => {
    for (const name of hostileStrings) {
      const table = new report.ResultTable(name, [{ key: 'a', label: name }], [{ a: { value: name, text: name, why: name } }]);
      const texts = [
        String(table),
        String(report.progress({ what: name, done: 0, total: 1, etaSeconds: null })),
        String(report.errorNotice(new Error(name))),
      ];
      for (const text of texts) assert.doesNotMatch(text, /(?!\n)\p{Cc}/u);
    }
  });

  it('in the viewer, whose only script is our own', () => {
    const volume = {
      data: Uint8Array.from({ length: 4 * 5 * 6 }, (_, i) => i),
      shape: [4, 5, 6] as [number, number, number],
      channels: 1,
      spacingMm: [1, 1, 1] as [number, number, number],
      originMm: [0, 0, 0] as [number, number, number],
      direction: [...identityDirection] as typeof identityDirection,
    };
    const labels = { ...volume, data: volume.data.map((v) => v % 3) };
    for (const name of hostileStrings) {
      const html = report.view(volume, labels, { title: name, labels: { [name]: 1 } }).toHtml();
      const script = /<script>\(function\(id,s\)[\s\S]*?<\/script>/.exec(html)![0];
      const rest = html.replace(script, '').replace(/<div id="vb[0-9a-f]{12}(-\d+)?">/, '<div>');
      assert.ok(name === '' || name.length < 3 || !script.includes(name), 'no name inside the script');
      clean(`viewer ${JSON.stringify(name)}`, rest);
    }
  }).timeout(30000);
});

function dressed(run: ReturnType<typeof runs>[number], name: string) {
  return {
    ...run,
    experiment: name,
    nsd: { toleranceMm: 1, definition: name },
    cases: run.cases.map((c) => ({ id: `${name}${c.id}`, classes: { [name]: c.classes.WT, [`${name}b`]: c.classes.TC } })),
  };
}
