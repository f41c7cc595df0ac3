// The page of a bundle in a real browser: labels as `predict`'s, nothing asked of the network, Stop, refusals; served, from a plain server
// and from a file.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { Random } from '../../src/base/random.js';
import { casesIn, readerFor } from '../../src/dataset/index.js';
import { anatomyFor, gliomaCase, gliomaDefaults } from '../../src/demo/simGlioma.js';
import { exportBundle, pageFiles, writePage } from '../../src/onnx/index.js';
import { configuration } from '../../src/plan/index.js';
import { run } from '../../src/predict/index.js';
import { main } from '../../src/run/cli.js';
import { exportOnnx, predictFolder, study, trainedModel } from '../../src/run/index.js';
import { trainedRuns } from '../../src/run/predictFolder.js';
import { servePage } from '../../src/run/servePage.js';
import { identityDirection, readVolume, type Volume, writeVolume } from '../../src/volume/index.js';
import { leaveWorkplace, tinyExperiment, workplace } from '../run/tiny.js';
import { drawn, golden, rows } from './drawn.js';

// Lives in the page.
declare const document: any;

const executablePath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (file) => file && fs.existsSync(file),
);
/** Where screenshots go, for a person. */
const pictures = process.env.PAGE_PICTURES;

/** Serves a folder as a plain server does: no header of ours. */
async function plainly(folder: string): Promise<{ url: string; close(): void }> {
  const server = http.createServer(({ url = '/' }, response) => {
    const file = path.join(folder, url === '/' ? 'index.html' : url);
    if (!fs.existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { 'Content-Type': file.endsWith('.html') ? 'text/html' : 'text/javascript' });
    return response.end(fs.readFileSync(file));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => server.close() };
}

/** A body of soft tissue with bones, in HU, and where both are. */
function body([depth, height, width]: [number, number, number], spacingMm: [number, number, number], seed = 'body') {
  const data = new Int16Array(depth * height * width);
  const label = new Uint8Array(data.length);
  const random = new Random(seed);
  const turn = random.uniform(-0.3, 0.3);
  for (let z = 0, i = 0; z < depth; z++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++) {
        const [u, v] = [(2 * x) / width - 1, (2 * y) / height - 1];
        const inside = u * u + 1.6 * v * v < 0.8;
        const ring = Math.abs(Math.hypot(u, 1.2 * v) - 0.75 - 0.05 * Math.sin((z * spacingMm[0]) / 7.5)) < 0.02;
        const bone = inside && (ring || Math.hypot(u - turn, v - 0.4) < 0.08);
        label[i] = bone ? 2 : inside ? 1 : 0;
        data[i] = (inside ? (bone ? 500 : 40) : -1000) + 40 * (random.uniform() - 0.5);
      }
  const grid = { shape: [depth, height, width], channels: 1, spacingMm, originMm: [0, 0, 0], direction: [...identityDirection] };
  return { image: { ...grid, data } as Volume, label: { ...grid, data: label } as Volume };
}

/** MedNeXt-S trained on two small bodies until it tells their parts apart, in patches of 64³. @returns the run's folder */
async function trainedOnBodies(root: string): Promise<string> {
  const raw = path.join(root, 'Dataset904_Bodies');
  for (const part of ['imagesTr', 'labelsTr']) fs.mkdirSync(path.join(raw, part), { recursive: true });
  for (const id of ['body_0', 'body_1']) {
    const { image, label } = body([96, 176, 176], [2.5, 1.6, 1.6], id);
    writeVolume(path.join(raw, 'imagesTr', `${id}_0000.nii.gz`), image);
    writeVolume(path.join(raw, 'labelsTr', `${id}.nii.gz`), label);
  }
  const json = {
    channel_names: { '0': 'CT' },
    labels: { background: 0, soft: 1, bone: 2 },
    numTraining: 2,
    file_ending: '.nii.gz',
  };
  fs.writeFileSync(path.join(raw, 'dataset.json'), JSON.stringify(json));
  const plan = JSON.parse(fs.readFileSync(path.join(golden, 'Dataset721_CTaniso', 'nnUNetPlans.json'), 'utf8'));
  const spacing = [2.5, 1.6, 1.6];
  Object.assign(plan, { dataset_name: 'Dataset904_Bodies', original_median_spacing_after_transp: spacing });
  Object.assign(plan.configurations['3d_fullres'], { spacing });
  fs.writeFileSync(path.join(root, 'bodies.json'), JSON.stringify(plan));
  const { recipe } = tinyExperiment(root);
  const { runs, failures } = await study(
    [
      {
        ...{
          dataset: raw,
          model: { network: 'mednext', size: 'S', kernel: 3 },
          plan: path.join(root, 'bodies.json'),
          scale: 'demo',
        },
        split: { train: ['body_0'], val: ['body_1'] },
        recipe: {
          ...{
            optimiser: { ...recipe.optimiser, learningRate: 0.002 },
            augmentation: 'none',
            patchSize: [64, 64, 64],
            batchSize: 1,
          },
          ...{ epochs: 2, iterationsPerEpoch: 40, validationIterationsPerEpoch: 1 },
        } as never,
        prediction: { stepSize: Number(process.env.PAGE_STEP ?? 0.5), mirrorAxes: [] } as never,
      },
    ],
    { display: null, threads: 2 } as never,
  );
  assert.deepEqual(failures, []);
  return runs[0].folder;
}

/** The first cases of the embedded set, as it writes them. @returns the folder */
function gliomas(folder: string, cases: number): string {
  const { mm, shape } = gliomaDefaults;
  const anatomy = anatomyFor(mm);
  const put = (data: Uint8Array, ...at: string[]) => {
    const grid = { shape, channels: 1, originMm: [0, 0, 0], direction: [...identityDirection] };
    fs.mkdirSync(path.join(folder, at[0]), { recursive: true });
    writeVolume(path.join(folder, ...at), { data, ...grid, spacingMm: [mm, mm, mm] } as Volume);
  };
  for (let i = 0; i < cases; i++) {
    const { channels, label } = gliomaCase(anatomy, i);
    for (const [c, data] of channels.entries()) put(data, 'imagesTr', `SimGlioma_00${i}_000${c}.nii.gz`);
    put(label, 'labelsTr', `SimGlioma_00${i}.nii.gz`);
  }
  const json = {
    channel_names: { '0': 'T1', '1': 'T1ce', '2': 'T2', '3': 'FLAIR' },
    labels: { background: 0, NCR: 1, ED: 2, ET: 3 },
    numTraining: cases,
    file_ending: '.nii.gz',
  };
  fs.writeFileSync(path.join(folder, 'dataset.json'), JSON.stringify(json));
  return folder;
}

/** Memory of a process and all below it, shared pages divided among those who share them; 0 of one that has ended. */
function heldBy(pid: number): number {
  try {
    const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/).filter(Boolean);
    const [, own] = /^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))!;
    return children.reduce((sum, child) => sum + heldBy(Number(child)), 1024 * Number(own));
  } catch {
    return 0;
  }
}

/** Processor seconds that a process and all below it have taken. */
function worked(pid: number): number {
  try {
    const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/).filter(Boolean);
    const [user, system] = fs
      .readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
      .slice(11)
      .map(Number);
    return children.reduce((sum, child) => sum + worked(Number(child)), (user + system) / 100);
  } catch {
    return 0;
  }
}

/** Time and processor time of a process and all below it from here on. */
function stopwatch(pid: number): () => string {
  const [began, before] = [performance.now(), worked(pid)];
  return () => `${Math.round((performance.now() - began) / 1000)} s (${Math.round(worked(pid) - before)} of a processor)`;
}

describe('the page of a bundle', function () {
  this.timeout(240_000);
  let browser: Browser;
  let root: string;
  const place = (...names: string[]) => path.join(root, ...names);
  const names = {
    ct: 'CT of thick slices, cubic to the plan and back, two folds',
    mr: 'regions, z-score inside the mask, probabilities averaged',
    ras: 'turned to RAS and axes exchanged, largest component',
  };

  before(async function () {
    if (!executablePath) {
      console.log('    no Chromium found: install it (apt-get install chromium) or set CHROMIUM to see these tests run');
      return this.skip();
    }
    root = workplace();
    for (const [id, name] of Object.entries(names)) {
      const { labels: _, ...row } = rows[name];
      const { model, prediction, images, dispose } = drawn(row);
      exportBundle(model, place(id));
      const cases = casesIn(images, model.dataset.file_ending, readerFor(model.plan.image_reader_writer)).slice(0, 1);
      await run(prediction, cases, place(`${id}-expected`), { onWarning: () => {} });
      dispose();
      fs.mkdirSync(place(`${id}-images`));
      for (const file of cases[0].images) fs.copyFileSync(file, place(`${id}-images`, path.basename(file)));
    }
    const args = ['--no-sandbox', '--disable-dev-shm-usage', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'];
    browser = await puppeteer.launch({
      executablePath,
      args,
      defaultViewport: { width: 1200, height: 1000 },
      protocolTimeout: 0,
    });
  });
  after(async () => {
    await browser?.close();
    if (root) leaveWorkplace();
  });

  /** A page that is ready, and what it asked for since, of servers and files. */
  async function open(url: string) {
    const page = await browser.newPage();
    const asked: string[] = [];
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    await page.goto(url);
    await page.waitForSelector('body:not([data-state=loading])');
    assert.equal(await page.$eval('#message', (e: any) => e.textContent), '', errors.join('\n'));
    page.on('request', (request) => /^(blob|data):/.test(request.url()) || asked.push(request.url()));
    return { page, asked, errors };
  }

  const imagesOf = (id: string) => fs.readdirSync(place(`${id}-images`)).map((name) => place(`${id}-images`, name));

  async function give(page: Page, files: readonly string[]): Promise<void> {
    const input = (await page.$('#files')) as any;
    await input.uploadFile(...files);
    await page.waitForFunction("document.getElementById('chosen').textContent !== ''");
  }

  async function segment(page: Page, files: readonly string[]): Promise<string> {
    await give(page, files);
    await page.waitForSelector('#start:not([disabled])');
    await page.click('#start');
    await page.waitForSelector('body[data-state=done], body[data-state=refused]', { timeout: 120_000 });
    assert.equal(await page.$eval('#message', (e: any) => e.textContent), '');
    return saved(page);
  }

  async function saved(page: Page): Promise<string> {
    const bytes: string = await page.evaluate(async () => {
      const blob = await (await (globalThis as any).fetch(document.getElementById('save').href)).blob();
      return Array.from(new Uint8Array(await blob.arrayBuffer()), (b) => String.fromCharCode(b)).join('');
    });
    const file = place(`saved-${Math.random()}.nii.gz`);
    fs.writeFileSync(file, Buffer.from(bytes, 'latin1'));
    return file;
  }

  function assertAsPredicted(id: string, file: string): string {
    const [expected] = fs.readdirSync(place(`${id}-expected`)).filter((name) => name.endsWith('.nii.gz'));
    const [there, here] = [readVolume(place(`${id}-expected`, expected)), readVolume(file)];
    assert.deepEqual(here.shape, there.shape);
    assert.deepEqual(
      [...here.direction, ...here.originMm, ...here.spacingMm],
      [...there.direction, ...there.originMm, ...there.spacingMm],
    );
    let different = 0;
    for (let i = 0; i < there.data.length; i++) if (here.data[i] !== there.data[i]) different++;
    const found = `${different} of ${there.data.length} voxels differ`;
    assert.ok(different <= 0.0001 * there.data.length, found);
    assert.ok(new Set(there.data).size > 1);
    return found;
  }

  /** Opens a page, segments, compares; the page stays open. */
  async function segmentsAt(url: string, id: string, threads: RegExp) {
    const { page, asked, errors } = await open(url);
    assert.match(await page.$eval('#threads', (e: any) => e.textContent), threads);
    assertAsPredicted(id, await segment(page, imagesOf(id)));
    assert.deepEqual([asked, errors], [[], []]);
    const table: string = await page.$eval('#volumes tbody', (e: any) =>
      [...e.rows].map((row: any) => [...row.cells].map((c: any) => c.textContent).join(' ')).join('\n'),
    );
    assert.match(table, /^ \S.* \d+\.\d\d$/m);
    if (pictures) await page.screenshot({ path: path.join(pictures, `page-${id}.png`) as `${string}.png` });
    return page;
  }

  it(`served with its headers, by threads: labels as predict's, nothing asked for: ${names.mr}`, async () => {
    const { url, close } = await servePage(pageFiles(place('mr')));
    const page = await segmentsAt(url, 'mr', / \d+ threads\.$/);
    assert.equal(await page.evaluate('crossOriginIsolated'), true);
    await page.close();
    await close();
  });

  it(`from a plain server, by one thread: ${names.ras}`, async () => {
    writePage(place('ras'), place('plain'));
    const server = await plainly(place('plain'));
    await (await segmentsAt(server.url, 'ras', / one thread: /)).close();
    server.close();
  });

  it(`from a file; stops and begins again: ${names.ct}`, async () => {
    assert.equal(await main(['demo', place('ct'), '--out', place('page')]), 0);
    const page = await segmentsAt(`file://${place('page', 'index.html')}`, 'ct', / one thread: /);
    await page.click('#start');
    // In one go: the case is soon done.
    await page.waitForFunction(
      "/^tile [1-9]\\d* of \\d+, .* left$/.test(document.getElementById('status').textContent) && (document.getElementById('stop').click(), true)",
    );
    assert.equal(await page.$eval('#status', (e: any) => e.textContent), 'stopped');
    // The browser says some moments later that the worker has ended.
    while (page.workers().length > 0) await new Promise((resolve) => setTimeout(resolve, 50));
    assertAsPredicted('ct', await segment(page, imagesOf('ct')));
    await page.close();
  });

  it('of a network trained on SimGlioma: the labels of a case of four channels are as predict’s', async () => {
    const raw = gliomas(place('Dataset903_SimGlioma'), 2);
    const [train, val] = [['SimGlioma_000'], ['SimGlioma_001']];
    const model = { network: 'mednext', size: 'S', kernel: 3, width: 8, blocks: Array(9).fill(1), expansion: 2 } as const;
    const { recipe } = tinyExperiment(root);
    const optimiser = { ...recipe.optimiser, learningRate: 0.02 };
    const { runs, failures } = await study(
      [
        {
          ...{ dataset: raw, model, scale: 'demo', split: { train, val } },
          recipe: { optimiser, augmentation: 'none', epochs: 1, iterationsPerEpoch: 20 } as never,
        },
      ],
      { display: null },
    );
    assert.deepEqual(failures, []);
    const folders = runs.map(({ folder }) => folder);
    exportOnnx(folders, place('glioma'));
    fs.mkdirSync(place('glioma-images'));
    for (const image of fs.readdirSync(path.join(raw, 'imagesTr')))
      if (image.startsWith(val[0])) fs.copyFileSync(path.join(raw, 'imagesTr', image), place('glioma-images', image));
    await predictFolder(place('glioma-images'), place('glioma-expected'), folders);
    const { url, close } = await servePage(pageFiles(place('glioma')));
    await (await segmentsAt(url, 'glioma', / \d+ threads\.$/)).close();
    await close();
  });

  it('refuses other channels, other files, and what does not fit into memory, with what was found and expected', async () => {
    const { page } = await open(`file://${place('page', 'index.html')}`);
    const message = async (expected: RegExp) => {
      await page.waitForSelector('body[data-state=refused]');
      assert.match(await page.$eval('#message', (e: any) => e.textContent), expected);
    };
    await give(page, imagesOf('mr'));
    await message(/not for this network\s+4 channels; expected 1: /);
    assert.equal(await page.$eval('#start', (e: any) => e.disabled), true);
    fs.writeFileSync(place('notes.nii'), 'no volume');
    await give(page, [place('notes.nii')]);
    await message(/this is no NIfTI file/);
    await give(page, imagesOf('ct'));
    await page.waitForSelector('#start:not([disabled])');
    await page.$eval('#budget', (e: any) => {
      e.value = '0.2';
    });
    await page.click('#start');
    await message(
      /does not fit into the memory budget[\s\S]*0\.20 GB, and a volume that needs 0\.\d\d GB \(viewer .*\); expected at least/,
    );
    if (pictures) await page.screenshot({ path: path.join(pictures, 'page-refused.png') });
    await page.close();
  });

  // Opt-in, long: PAGE_CT=200x512x512 npx mocha --exit test/onnx/page.test.ts -g 'a CT of'; PAGE_STEP=1 lays 8 tiles instead of 27.
  const large = process.env.PAGE_CT?.split('x').map(Number) as [number, number, number] | undefined;
  (large ? it : it.skip)('a CT of 200 slices of 512×512 with MedNeXt-S at 128³, within 3 GB, as predict does', async function () {
    this.timeout(4 * 3600_000);
    const folder = await trainedOnBodies(root);
    // Trained on small patches, it predicts in large ones.
    const patch = [128, 128, 128];
    const { experiment, members, ...trained } = trainedRuns([folder]);
    configuration(trained.plan, '3d_fullres').patch_size = patch;
    exportBundle(
      { ...trained, name: experiment.name, kind: 'mednext', members: members.map(({ load }) => ({ fold: '0', load })) },
      place('large'),
    );
    fs.mkdirSync(place('large-images'));
    writeVolume(place('large-images', 'ct_0000.nii.gz'), body(large!, [2.5, 0.8, 0.8]).image);
    const predicted = stopwatch(process.pid);
    const { model, dispose } = trainedModel([folder]);
    await predictFolder(place('large-images'), place('large-expected'), { model: { ...model, patchSize: patch }, dispose });
    const byPredict = predicted();
    const { url, close } = await servePage(pageFiles(place('large')));
    const { page, asked } = await open(url);
    page.setDefaultTimeout(600_000);
    const most: Record<string, number> = {};
    let phase = 'image in the viewer';
    const watch = setInterval(async () => {
      const held = heldBy(browser.process()!.pid!);
      most[phase] = Math.max(most[phase] ?? 0, held);
    }, 250);
    await give(page, imagesOf('large'));
    await page.waitForSelector('#start:not([disabled])');
    const segmented = stopwatch(browser.process()!.pid!);
    phase = 'at work';
    await page.click('#start');
    await page.waitForFunction(
      "/^done/.test(document.getElementById('status').textContent) || document.body.dataset.state === 'refused'",
      {
        timeout: 4 * 3600_000,
      },
    );
    const byPage = segmented();
    phase = 'result in the viewer';
    await page.waitForSelector('body[data-state=done], body[data-state=refused]');
    await new Promise((resolve) => setTimeout(resolve, 5000));
    clearInterval(watch);
    const textOf = (id: string) => page.$eval(id, (e: any) => e.textContent);
    assert.equal(await textOf('#message'), '');
    const held = Object.entries(most).map(([name, bytes]) => `${(bytes / 1e9).toFixed(2)} GB ${name}`);
    console.log(
      `    predict ${byPredict}, page ${byPage}; ${await textOf('#needs')}; browser held ${held.join(', ')}; ${await textOf('#status')}`,
    );
    if (pictures) await page.screenshot({ path: path.join(pictures, 'page-large.png') });
    assert.deepEqual(asked, []);
    console.log(`    ${assertAsPredicted('large', await saved(page))}`);
    assert.ok(Math.max(...Object.values(most)) < 3e9, held.join(', '));
    await page.close();
    await close();
  });

  it('that is damaged, incomplete or of a newer form says so', async () => {
    const folder = place('damaged');
    const opened = async (expected: RegExp) => {
      const page = await browser.newPage();
      await page.goto(`file://${path.join(folder, 'index.html')}`);
      await page.waitForSelector('body:not([data-state=loading])');
      if ((await page.$eval('body', (e: any) => e.dataset.state)) === 'ready') {
        await give(page, imagesOf('ct'));
        await page.waitForSelector('#start:not([disabled])');
        await page.click('#start');
        await page.waitForSelector('body[data-state=refused]');
      }
      assert.match(await page.$eval('#message', (e: any) => e.textContent), expected);
      await page.close();
    };
    const changed = async (name: string, change: (base64: string) => string, expected: RegExp) => {
      writePage(place('ct'), folder);
      const file = path.join(folder, 'parts', `${name}.0.js`);
      fs.writeFileSync(
        file,
        fs.readFileSync(file, 'utf8').replace(/"([A-Za-z0-9+/=]+)"\)\n$/, (_, text) => `"${change(text)}")\n`),
      );
      await opened(expected);
    };
    await changed(
      'model_1.onnx',
      (text) => `${text.slice(0, 4000)}AAAA${text.slice(4004)}`,
      /model_1\.onnx: checksum [0-9a-f]{64}; expected [0-9a-f]{64}/,
    );
    const newer = (text: string) =>
      Buffer.from(Buffer.from(text, 'base64').toString().replace('"version": 1', '"version": 9')).toString('base64');
    await changed('bundle.json', newer, /version 9; expected "voxelbook-onnx", version 1/);
    writePage(place('ct'), folder);
    fs.rmSync(path.join(folder, 'parts', 'ort.wasm.1.js'));
    await opened(/not complete: part 2 of ort\.wasm did not load/);
    fs.writeFileSync(path.join(folder, 'thesis.txt'), '');
    assert.throws(() => writePage(place('ct'), folder), /a folder with thesis\.txt; expected a new or empty folder/);
  });
});
