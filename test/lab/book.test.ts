// The book made of two small notebooks, executed here: its contents, its gallery, and that it can be read without a network.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import puppeteer from 'puppeteer-core';

const { python } = await import(new URL('../../environment/steps.mjs', import.meta.url).href);
const { executeNotebook } = await import(new URL('../../environment/notebooks.mjs', import.meta.url).href);
const { buildBook } = await import(new URL('../../environment/book.mjs', import.meta.url).href);

// Lives in the page.
declare const document: any;

const executablePath = [
  process.env.VOXELBOOK_BROWSER,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((file) => file && fs.existsSync(file));
const silent = { isTTY: false, write() {} };

describe('the book', function () {
  this.timeout(600_000);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-book-'));
  let html: string;
  let index: string;
  after(() => fs.rmSync(folder, { recursive: true, force: true }));

  before(async function () {
    if (!fs.existsSync(python)) {
      console.log('    no Python environment (npm run setup makes it): the book is not tested');
      return this.skip();
    }
    const executed = [
      await execute('papers', 'small', [
        '# A small paper\n\nWhat it says, in one paragraph.\n\nAnd a second one.',
        "import { report } from 'voxelbook';\nconst table = (name: string) => new report.ResultTable(name, [{ key: 'dsc', label: 'DSC' }], [{ dsc: { value: 0.5, text: '0.5' } }], []);\ntable('the side table')",
        ['gallery', "console.log('said on the way');\ntable('the main table')"],
        ['gallery', "new report.Figure([{ type: 'bar', x: ['a', 'b'], y: [1, 2] }], { title: { text: 'Bars' } }, 'Two bars.')"],
      ]),
      await execute('', 'start', ['# How to start\n\nRun it. Then read.', 'console.log(6 * 7)']),
    ];
    const built = await buildBook(executed, { outFolder: folder, api: ['weights/index.ts'], output: silent });
    assert.equal(built.warnings, '');
    html = path.dirname(built.index);
    index = fs.readFileSync(built.index, 'utf8');
  });

  /** A notebook of these cells, markdown where one begins with `#`, run in the kernel. */
  async function execute(part: string, name: string, cells: (string | [tag: string, source: string])[]) {
    const file = path.join(folder, `${name}.ipynb`);
    const content = {
      cells: cells.map((cell, i) => {
        const [tags, source] = typeof cell === 'string' ? [[], cell] : [[cell[0]], cell[1]];
        const base = { id: `cell-${i}`, metadata: { tags }, source };
        return source.startsWith('#')
          ? { ...base, cell_type: 'markdown' }
          : { ...base, cell_type: 'code', outputs: [], execution_count: null };
      }),
      metadata: { kernelspec: { name: 'voxelbook', display_name: 'TypeScript (voxelbook)', language: 'typescript' } },
      nbformat: 4,
      nbformat_minor: 5,
    };
    fs.writeFileSync(file, JSON.stringify(content));
    const { notebook } = await executeNotebook(file, { outFolder: path.join(folder, 'executed', part), output: silent });
    return { file: notebook, folder: part };
  }

  it('its contents list the parts in order, each notebook by its title', () => {
    const contents = /<nav class="bd-links[\s\S]*?<\/nav>/.exec(index)![0];
    const places = ['Quickstart', 'How to start', 'Papers', 'A small paper'].map((text) => contents.indexOf(text));
    assert.ok(places[0] > 0 && places.every((place, i) => i === 0 || place > places[i - 1]), `${places}\n${contents}`);
    for (const page of ['start.html', 'papers/small.html']) assert.ok(fs.existsSync(path.join(html, page)), page);
    assert.match(fs.readFileSync(path.join(html, 'start.html'), 'utf8'), /\b42\b/);
  });

  it('its first page shows a paper’s first paragraph and the outputs of its cells tagged gallery, not what they printed', () => {
    assert.match(index, /What it says, in one paragraph\./);
    assert.match(index, /the main table/);
    assert.match(index, /<img[^>]+src="_images\/[^"]+\.svg"/);
    for (const absent of ['And a second one', 'the side table', 'said on the way']) assert.ok(!index.includes(absent), absent);
    assert.match(index, /run in \d+ seconds/);
  });

  it('no page or style sheet fetches from the network', () => {
    const files = fs.readdirSync(html, { recursive: true, encoding: 'utf8' }).filter((f) => /\.(html|css)$/.test(f));
    assert.ok(files.some((f) => f.endsWith('.css')) && files.includes('index.html'));
    for (const file of files) {
      const text = fs.readFileSync(path.join(html, file), 'utf8');
      const fetched = text.match(
        /<(?:script|img|iframe|source)\b[^>]*\bsrc="(?:https?:)?\/\/[^"]*"|<link\b[^>]*\bhref="(?:https?:)?\/\/[^"]*"|(?:url\(|@import )["']?(?:https?:)?\/\/[^)"']*/g,
      );
      assert.equal(fetched, null, `${file}: ${fetched}`);
    }
  });

  it('a browser without a network shows the gallery, its figure drawn and its styles loaded', async function () {
    if (!executablePath) {
      console.log('    no browser found (apt-get install chromium, or set VOXELBOOK_BROWSER): the book is not looked at');
      return this.skip();
    }
    const browser = await puppeteer.launch({
      executablePath,
      args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
    });
    try {
      const page = await browser.newPage();
      const outside: string[] = [];
      page.on('request', (request) => {
        if (!/^(file|data|blob):/.test(request.url())) outside.push(request.url());
      });
      page.on('requestfailed', (request) => outside.push(request.url()));
      page.on('pageerror', (error) => outside.push(String(error)));
      await page.setOfflineMode(true);
      await page.goto(`file://${path.join(html, 'index.html')}`);
      const seen = await page.evaluate(() => ({
        figure: document.querySelector('.cell_output img').naturalWidth,
        table: document.querySelector('.cell_output table').getBoundingClientRect().height,
        sidebar: document.querySelector('.bd-sidebar-primary').getBoundingClientRect().left,
        main: document.querySelector('article h1').getBoundingClientRect().left,
      }));
      assert.ok(seen.figure > 200 && seen.table > 20, JSON.stringify(seen));
      assert.ok(seen.main > seen.sidebar + 100, `the contents stand beside the text: ${JSON.stringify(seen)}`);
      assert.deepEqual(outside, []);
    } finally {
      await browser.close();
    }
  });
});
