// What a person sees: JupyterLab in a real browser, a notebook's cells run, the table and the figure drawn.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';

const here = path.dirname(fileURLToPath(import.meta.url));
const { startLab } = await import(new URL('../../environment/lab.mjs', import.meta.url).href);

const browsers = [
  process.env.VOXELBOOK_BROWSER,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];
const executablePath = browsers.find((b) => b && fs.existsSync(b));

describe('JupyterLab', function () {
  this.timeout(150_000);
  let folder: string;
  let lab: any;
  let browser: Browser;

  before(async function () {
    if (!executablePath) {
      console.log('    no browser found (apt-get install chromium, or set VOXELBOOK_BROWSER): JupyterLab is not tested');
      return this.skip();
    }
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-lab-'));
    fs.copyFileSync(path.join(here, 'small.ipynb'), path.join(folder, 'small.ipynb'));
    lab = await startLab({ folder, expose: true });
    const gl = ['--use-angle=swiftshader', '--enable-unsafe-swiftshader'];
    const args = ['--no-sandbox', '--disable-dev-shm-usage', ...gl, '--window-size=1400,1000'];
    browser = await puppeteer.launch({ executablePath, args, defaultViewport: { width: 1400, height: 1000 } });
  });

  after(async () => {
    await browser?.close();
    await lab?.stop();
    if (folder) fs.rmSync(folder, { recursive: true, force: true });
  });

  it('runs a notebook in the voxelbook kernel: a table and a plotly figure are drawn, output streams', async () => {
    const page = await open('small.ipynb');
    await page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')");
    await page.waitForFunction("document.body.innerText.includes('epoch 2')", { timeout: 60_000 });
    await page.waitForSelector('.jp-OutputArea-output[data-mime-type="text/html"] table', { timeout: 30_000 });
    await page.waitForSelector('.js-plotly-plot .main-svg', { timeout: 30_000 });
    const rows = await page.$$eval('.jp-OutputArea-output[data-mime-type="text/html"] tbody tr', (list) => list.length);
    assert.equal(rows, 3);
    const errors = await page.$$eval('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]', (l) => l.length);
    assert.equal(errors, 0);
  });

  it('shows a type error in the compiler’s words at the line it is on', async () => {
    const page = await open('small.ipynb');
    const text = await page.evaluate(async (code) => {
      const kernel = (globalThis as any).jupyterapp.shell.currentWidget.sessionContext.session.kernel;
      const future = kernel.requestExecute({ code });
      let error = '';
      future.onIOPub = (m: any) => {
        if (m.header.msg_type === 'error') error = m.content.traceback.join('\n');
      };
      await future.done;
      return error;
    }, "const fine = 1;\nconst wrong: number = 'text';");
    assert.match(text, /In \[\d+\]:2:7 - error TS2322: Type 'string' is not assignable to type 'number'\./);
  });

  it('a slider moves the slice of a volume and a select changes the plot, by code of the cell', async () => {
    const cells = [
      `import * as vb from 'voxelbook';
import { interact, select, slider } from 'voxelbook/kernel';
const shape: [number, number, number] = [16, 24, 24];
const ball = (inside: number) => Float32Array.from({ length: 16 * 24 * 24 }, (_, i) => {
  const [z, y, x] = [Math.floor(i / 576) - 8, (Math.floor(i / 24) % 24) - 12, (i % 24) - 12];
  return z * z + y * y + x * x < inside * inside ? 100 + 10 * z : 1;
});
const volume = { data: ball(7), shape, channels: 1, spacingMm: [2, 1, 1] as [number, number, number], originMm: [0, 0, 0] as [number, number, number], direction: vb.volume.identityDirection };
interact({ z: slider({ max: 15, value: 8, label: 'slice' }) }, ({ z }) => vb.report.view(volume, null, { at: [z, 12, 12] }));`,
      `const scores = { dsc: new Float32Array([0.8, 0.9, 0.7]), nsd: new Float32Array([0.6, 0.95, 0.5]) };
interact({ metric: select(['dsc', 'nsd'] as const, { label: 'metric' }) }, ({ metric }) => ({
  [Symbol.for('Jupyter.display')]: () => ({ 'application/vnd.plotly.v1+json': {
    data: [{ type: 'bar', x: ['kidney', 'tumour', 'cyst'], y: scores[metric] }], layout: { title: { text: metric }, height: 260 } } }),
}));`,
    ];
    const page = await open(written('controls.ipynb', ...cells));
    await page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')");
    await page.waitForSelector('input[type=range][name=z]', { timeout: 90_000 });
    await page.waitForSelector('select[name=metric]', { timeout: 90_000 });
    const shown = () =>
      page.evaluate(() =>
        JSON.stringify(
          (globalThis as any).jupyterapp.shell.currentWidget.context.model.toJSON().cells.map((c: any) => c.outputs),
        ),
      );
    const picture = async (name: string) => {
      if (process.env.VOXELBOOK_SCREENSHOTS)
        await page.screenshot({ path: path.join(process.env.VOXELBOOK_SCREENSHOTS, name) as `${string}.png` });
    };
    await page.waitForSelector('.js-plotly-plot .main-svg', { timeout: 60_000 });
    const until = async (text: RegExp) => {
      for (let i = 0; i < 300 && !text.test(await shown()); i++) await new Promise((r) => setTimeout(r, 200));
      assert.match(await shown(), text);
    };
    await until(/planes at z 8, y 12/);
    await picture('controls-before.png');
    await page.$eval('input[type=range][name=z]', (input: any) => {
      input.value = '3';
      input.dispatchEvent(new Event('input'));
    });
    await page.select('select[name=metric]', 'nsd');
    await until(/planes at z 3, y 12/);
    await page.waitForFunction("document.querySelector('.js-plotly-plot')?.layout?.title?.text === 'nsd'", { timeout: 30_000 });
    const heights = await page.$eval('.js-plotly-plot', (plot: any) => plot.data[0].y.map((v: number) => Math.round(v * 100)));
    assert.deepEqual(heights, [60, 95, 50]);
    await picture('controls-after.png');
  });

  it('scores per class with controls: one metric, a variant less', async () => {
    const source = `import * as vb from 'voxelbook';
const classesOf = (dsc: number, nsd: number) => ({ kidney: { dsc, nsd, state: 'ok' }, cyst: { dsc: dsc / 2, nsd: nsd / 2, state: 'ok' } });
const variant = (name: string, at: number) => ({ name, dataset: 'x', scores: [{ fold: 0, seed: 0, cases: ['a', 'b'].map((id, i) => ({ id, classes: classesOf(at + i / 10, at - i / 10) })) }] }) as any;
vb.report.perClass([variant('plain', 0.5), variant('deep', 0.75)], { live: true })`;
    const page = await open(written('classes.ipynb', source));
    await page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')");
    await page.waitForSelector('select[name=metric]', { timeout: 90_000 });
    const drawn = (what: string) =>
      page.waitForFunction(`(({ data, layout }) => ${what})(document.querySelector('.js-plotly-plot') ?? {})`, {
        timeout: 60_000,
      });
    await drawn('data?.length === 4');
    await page.select('select[name=metric]', 'NSD');
    await page.$eval('select[name=metric]', (select) => select.dispatchEvent(new Event('input')));
    await drawn("data?.length === 2 && layout.yaxis.title.text === 'NSD'");
    // At once: JupyterLab may draw the output again between looking for an element and clicking where it is.
    await page.$eval('input[name="variant 1"]', (input) => input.click());
    await drawn("data?.length === 1 && data[0].name === 'plain'");
    if (process.env.VOXELBOOK_SCREENSHOTS)
      await page.screenshot({ path: path.join(process.env.VOXELBOOK_SCREENSHOTS, 'per-class.png') as `${string}.png` });
    await page.close();
  });

  it('a live viewer: window, opacity, classes, masks, 3-D; a stored notebook opens with the still picture', async function () {
    this.timeout(300_000);
    const source = `import * as vb from 'voxelbook';
const shape: [number, number, number] = [24, 32, 32];
const ball = (at: number, r: number) => Uint8Array.from({ length: 24 * 32 * 32 }, (_, i) => {
  const [z, y, x] = [Math.floor(i / 1024) - 12, (Math.floor(i / 32) % 32) - 16, (i % 32) - at];
  return z * z + y * y + x * x < r * r ? (x < 0 ? 1 : 2) : 0;
});
const geometry = { shape, channels: 1, spacingMm: [1.5, 1, 1] as [number, number, number], originMm: [0, 0, 0] as [number, number, number], direction: vb.volume.identityDirection };
const volume = { ...geometry, data: Float32Array.from(ball(16, 13), (v, i) => (v > 0 ? 100 + (i % 32) : 0)) };
vb.report.view(volume, { ...geometry, data: ball(16, 8) }, { prediction: { ...geometry, data: ball(18, 8) }, labels: { organ: 1, tumour: 2 }, live: true })`;
    const page = await open(written('live.ipynb', source));
    await page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')");
    await page.waitForSelector('.vb-niivue[data-state=ready]', { timeout: 120_000 });
    const picture = async (name: string) => {
      await new Promise((r) => setTimeout(r, 500));
      if (process.env.VOXELBOOK_SCREENSHOTS)
        await page.screenshot({ path: path.join(process.env.VOXELBOOK_SCREENSHOTS, name) as `${string}.png` });
    };
    await page.$eval('.vb-niivue', (e: any) => e.scrollIntoView());
    await picture('live.png');
    const canvas = (await page.$('.vb-niivue canvas'))!;
    const seen = async () => Buffer.from(await canvas.screenshot()).toString('base64');
    assert.equal(await seen(), await seen());
    const set = async (selector: string, change: (input: any) => void) => {
      const before = await seen();
      await page.$eval(selector, change as never);
      assert.ok((await seen()) !== before, `${selector} changes nothing`);
    };
    await set('.vb-niivue input[name=white]', (input) => {
      input.value = String(Number(input.max) / 2);
      input.dispatchEvent(new Event('input'));
    });
    await set('.vb-niivue input[name=organ]', (input) => input.click());
    for (const name of ['reference', 'prediction'])
      await set(`.vb-niivue input[name=${name}]`, (input) => {
        input.value = '0';
        input.dispatchEvent(new Event('input'));
      });
    await set('.vb-niivue input[name=crosshair]', (input) => input.click());
    await set('.vb-niivue select[name=layout]', (select) => {
      select.value = '3-D';
      select.dispatchEvent(new Event('input'));
    });
    await picture('live-3d.png');
    await page.select('.vb-niivue select[name=layout]', 'axial');
    await page.$eval('.vb-niivue select[name=layout]', (select) => select.dispatchEvent(new Event('input')));
    await canvas.click();
    await page.waitForFunction("document.querySelector('.vb-place').textContent !== ''");

    // Saved and opened where no kernel has run: the picture stands in the file.
    await page.evaluate("jupyterapp.commands.execute('docmanager:save')");
    const stored = path.join(folder, 'live.ipynb');
    for (let i = 0; i < 100 && !fs.readFileSync(stored, 'utf8').includes('three planes'); i++)
      await new Promise((r) => setTimeout(r, 100));
    assert.ok(fs.statSync(stored).size < 400_000, `${fs.statSync(stored).size} bytes`);
    fs.copyFileSync(stored, path.join(folder, 'stored.ipynb'));
    await page.close();
    const again = await open('stored.ipynb');
    await again.waitForSelector('.jp-OutputArea-output[data-mime-type="text/html"] .vb-still img, .vb-live canvas', {
      timeout: 30_000,
    });
    if (process.env.VOXELBOOK_SCREENSHOTS)
      await again.screenshot({ path: path.join(process.env.VOXELBOOK_SCREENSHOTS, 'live-stored.png') });
    await again.close();
  });

  /** Writes a notebook of these cells; gives its name back. */
  function written(name: string, ...sources: string[]): string {
    const code = { cell_type: 'code', metadata: {}, outputs: [], execution_count: null };
    const cells = sources.map((source, i) => ({ ...code, id: `c${i}`, source }));
    const kernelspec = { name: 'voxelbook', display_name: 'TypeScript (voxelbook)', language: 'typescript' };
    fs.writeFileSync(
      path.join(folder, name),
      JSON.stringify({ cells, metadata: { kernelspec }, nbformat: 4, nbformat_minor: 5 }),
    );
    return name;
  }

  /** Opens the notebook in a workspace of its own and waits for the kernel itself, not for its idle badge. */
  async function open(notebook: string): Promise<Page> {
    const page = await browser.newPage();
    const workspace = `test${Date.now()}`;
    await page.goto(`${lab.base}/lab/workspaces/${workspace}/tree/${notebook}?reset&token=${lab.token}`);
    await page.waitForFunction('globalThis.jupyterapp?.shell?.currentWidget?.context?.isReady', { timeout: 60_000 });
    await page.evaluate(`(async () => {
      const widget = jupyterapp.shell.currentWidget;
      await widget.context.ready;
      await widget.sessionContext.ready;
      await widget.sessionContext.session.kernel.info;
    })()`);
    return page;
  }
});
