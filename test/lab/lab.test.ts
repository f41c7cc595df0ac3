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
    const args = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--window-size=1400,1000'];
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
