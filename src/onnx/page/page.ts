// The page in which a volume is segmented: takes files, shows what it will cost, has the worker do it, shows and saves the result.
// Everything it works with came with it, as calls of `voxelbookPart`: a page from a file may read nothing else.
import { type Niivue, NVImage } from '@niivue/niivue';
import { duration } from '../../base/text.js';
import { type Bundle, bundleOf } from '../bundle.js';
import { type Forecast, forecast, gigabytes, refuseBeyond } from './forecast.js';
import { type Entry, entriesOf, millilitres } from './legend.js';
import type { Order, Report } from './messages.js';
import { colourMap, newViewer } from './niivue.js';
import { headerOf, niftiBytes } from './readImage.js';

const parts = new Map<string, Uint8Array[]>();
const wanted = JSON.parse(document.getElementById('parts')!.textContent!) as { name: string; pieces: number }[];

declare global {
  /** Called by every part of the page that was loaded. */
  var voxelbookPart: (name: string, piece: number, base64: string) => void;
}
globalThis.voxelbookPart = (name, piece, base64) => {
  const list = parts.get(name) ?? [];
  parts.set(name, list);
  list[piece] = bytesOf(base64);
  // The browser may forget the text.
  document.currentScript?.remove();
};

/** `Uint8Array.fromBase64`, which not every browser has. */
function bytesOf(base64: string): Uint8Array {
  const { fromBase64 } = Uint8Array as unknown as { fromBase64?: (text: string) => Uint8Array };
  if (fromBase64) return fromBase64.call(Uint8Array, base64);
  const text = atob(base64);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < out.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

const byId = <E extends HTMLElement = HTMLElement>(id: string) => document.getElementById(id) as E;
const text = (id: string, value: string) => {
  byId(id).textContent = value;
};
const state = (name: 'loading' | 'ready' | 'working' | 'done' | 'refused') => {
  document.body.dataset.state = name;
};

addEventListener('load', () => begin().catch(refuse));

let bundle: Bundle;
let entries: Entry[];
let viewer: Niivue | undefined;
/** Where the viewer's cross was when it was closed. */
let cross: Niivue['scene']['crosshairPos'] | undefined;
/** The image on its way into the viewer. */
let showing = Promise.resolve();
let worker: Worker | undefined;
let files: File[] = [];
let needs: Forecast | undefined;

async function begin(): Promise<void> {
  const json = JSON.parse(new TextDecoder().decode(whole('bundle.json')));
  bundle = bundleOf(json, 'bundle.json');
  entries = entriesOf(bundle);
  const channels = bundle.channels.map(({ name }) => name);
  text('title', `${bundle.network}, ${bundle.dataset}`);
  text(
    'about',
    `${bundle.graphs.length} network${bundle.graphs.length > 1 ? 's' : ''} of the experiment ${bundle.name}; labels: ${entries.map(({ name }) => name).join(', ')}`,
  );
  text(
    'ask',
    channels.length === 1
      ? `Drop a volume (${channels[0]}) here: .nii or .nii.gz`
      : `Drop ${channels.length} files here, one a channel, in the order ${channels.join(', ')} of their names: .nii or .nii.gz`,
  );
  const threads = globalThis.crossOriginIsolated ? Math.max(1, navigator.hardwareConcurrency) : 1;
  text(
    'threads',
    threads > 1 || globalThis.crossOriginIsolated
      ? `It computes with ${threads} threads.`
      : 'It computes with one thread: it was not served with the headers that allow more (npx voxelbook demo serves it with them).',
  );
  if (!globalThis.crypto?.subtle)
    text('unchecked', 'Checksums are not checked: the page came over plain http from another machine.');
  await openViewer();
  const drop = byId('drop');
  const input = byId<HTMLInputElement>('files');
  input.addEventListener('change', () => void take([...(input.files ?? [])]));
  for (const name of ['dragover', 'drop'] as const)
    addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle('over', name === 'dragover');
      if (name === 'drop') void take([...(event.dataTransfer?.files ?? [])]);
    });
  byId('budget').addEventListener('input', showNeeds);
  byId('start').addEventListener('click', () => start(threads).catch(refuse));
  byId('stop').addEventListener('click', stop);
  byId('opacity').addEventListener('input', () => viewer?.setOpacity(1, Number(byId<HTMLInputElement>('opacity').value)));
  state('ready');
}

/** A file that came in pieces. */
function whole(name: string): Uint8Array {
  const { pieces = 1 } = wanted.find((part) => part.name === name) ?? {};
  const list = parts.get(name) ?? [];
  if (list.length === 1 && joined.has(name)) return list[0];
  for (let i = 0; i < pieces; i++)
    if (!list[i]) throw new Error(`This page is not complete: part ${i + 1} of ${name} did not load. Copy its whole folder.`);
  const out = new Uint8Array(list.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of list) {
    out.set(piece, at);
    at += piece.length;
  }
  parts.set(name, [out]);
  joined.add(name);
  return out;
}
const joined = new Set<string>();

async function openViewer(): Promise<void> {
  try {
    viewer = newViewer();
    await viewer.attachToCanvas(byId<HTMLCanvasElement>('canvas'));
  } catch (error) {
    viewer = undefined;
    viewerless(error);
  }
}

const viewerless = (error: unknown) =>
  text('viewerless', `No picture here (${(error as Error).message}); the result can still be saved.`);

/** From a worker's end until its memory is free. */
const afterWorkerMs = 1500;

/** Leaves a still picture in the viewer's place: the network needs the memory of its textures and of its image. */
function closeViewer(): void {
  if (!viewer) return;
  const canvas = byId<HTMLCanvasElement>('canvas');
  viewer.drawScene();
  byId('view').style.background = `#000 url(${canvas.toDataURL()}) 0 0 / 100% 100%`;
  cross = viewer.scene.crosshairPos;
  viewer.cleanup();
  viewer.gl.getExtension('WEBGL_lose_context')?.loseContext();
  viewer = undefined;
  canvas.replaceWith(canvas.cloneNode());
}

/** Brings a closed viewer back, with the image. */
async function reopenViewer(): Promise<void> {
  if (!cross) return;
  // The browser takes an ended worker's memory back some moments later, and says nothing of it.
  await new Promise((resolve) => setTimeout(resolve, afterWorkerMs));
  await openViewer();
  await showImage();
  if (viewer) viewer.scene.crosshairPos = cross;
  cross = undefined;
  byId('view').style.background = '';
  viewer?.drawScene();
}

async function showImage(): Promise<void> {
  if (!viewer) return;
  for (const volume of [...viewer.volumes]) viewer.removeVolume(volume);
  // Expanded here: what niivue expands a file with stays in memory, three times the size of the packed file.
  const bytes = await niftiBytes(files[0], await headerOf(files[0]));
  const name = files[0].name.replace(/\.gz$/i, '');
  viewer.addVolume(await NVImage.loadFromUrl({ url: name, name, buffer: bytes.buffer as ArrayBuffer }));
}

async function take(given: File[]): Promise<void> {
  await showing;
  if (worker || given.length === 0) return;
  try {
    const channels = bundle.channels.length;
    // Files of a case may come one by one.
    const together = files.length < channels && document.body.dataset.state === 'ready' ? [...files, ...given] : given;
    files = together.sort((a, b) => (a.name < b.name ? -1 : 1));
    const headers = await Promise.all(files.map(headerOf));
    const found = headers.reduce((sum, { frames }) => sum + frames, 0);
    const names = bundle.channels.map(({ name }, i) => `${name}: ${files[i]?.name ?? 'missing'}`);
    text('chosen', files.length === 1 ? files[0].name : names.join('; '));
    clearResult();
    if (found > channels) {
      files = [];
      throw new Error(
        `this volume is not for this network\n  ${found} channels; expected ${channels}: ${bundle.channels.map(({ name }) => name).join(', ')}.`,
      );
    }
    const [{ size, spacingMm }] = headers;
    needs = found === channels ? forecast(bundle, { shape: [...size].reverse(), spacingMm }) : undefined;
    state('ready');
    showNeeds();
    await showImage();
  } catch (error) {
    needs = undefined;
    showNeeds();
    refuse(error);
  }
}

const budget = () => Number(byId<HTMLInputElement>('budget').value) * 1e9;

/** The forecast, and whether the volume may be started with. */
function showNeeds(): void {
  byId<HTMLButtonElement>('start').disabled = !needs;
  text('needs', '');
  if (!needs) return;
  const { total, viewer, preprocessing, network } = needs;
  text(
    'needs',
    `needs about ${gigabytes(total)}: viewer ${gigabytes(viewer)}, without it preprocessing ${gigabytes(preprocessing)} and network ${gigabytes(network)}, one at a time`,
  );
}

async function start(threads: number): Promise<void> {
  await showing;
  if (!needs || worker) return;
  text('message', '');
  refuseBeyond(budget(), needs);
  clearResult();
  state('working');
  closeViewer();
  const order: Order = {
    bundle,
    graphs: bundle.graphs.map(({ file, data }) => ({ model: whole(file), ...(data && { data: whole(data.file) }) })),
    runtime: { script: runtimeScript(), binary: whole('ort.wasm') },
    files,
    mostBytes: budget() - needs.total + needs.webAssembly,
    threads,
  };
  const begun = performance.now();
  worker = new Worker(workerScript());
  worker.onerror = (event) => refuse(new Error(event.message || 'the worker could not be started'));
  worker.onmessage = ({ data }: MessageEvent<Report>) => {
    if (data.kind === 'progress') showProgress(data);
    else if (data.kind === 'failed') refuse(new Error(data.message));
    // A file dropped meanwhile waits until the result is on show.
    else showing = finish(data, (performance.now() - begun) / 1000).catch(refuse);
  };
  worker.postMessage(order);
}

const scripts = new Map<string, string>();
function scriptOf(name: string): string {
  if (!scripts.has(name))
    scripts.set(name, URL.createObjectURL(new Blob([whole(name) as BlobPart], { type: 'text/javascript' })));
  return scripts.get(name)!;
}
const workerScript = () => scriptOf('worker.js');
const runtimeScript = () => scriptOf('ort.mjs');

function showProgress({ what, done, total, etaSeconds }: Extract<Report, { kind: 'progress' }>): void {
  const bar = byId<HTMLProgressElement>('progress');
  bar.max = total;
  if (what === 'predict') bar.value = done;
  else bar.removeAttribute('value');
  const left = etaSeconds === null || done === total ? '' : `, ${duration(etaSeconds)} left`;
  text('status', what === 'predict' ? `tile ${done} of ${total}${left}` : what);
}

/** Ends the worker with all its memory, whatever it does just now. */
function stop(): void {
  if (!worker) return;
  end();
  text('status', 'stopped');
  state('ready');
  showing = reopenViewer().catch(viewerless);
}

function end(): void {
  worker?.terminate();
  worker = undefined;
}

async function finish({ file, counts, voxelMm3, wasmBytes }: Extract<Report, { kind: 'done' }>, seconds: number): Promise<void> {
  end();
  text('status', `done in ${duration(seconds)}; WebAssembly held ${gigabytes(wasmBytes)}`);
  const rows = byId('volumes').querySelector('tbody')!;
  for (const entry of entries) {
    const row = document.createElement('tr');
    const swatch = document.createElement('td');
    swatch.style.background = entry.colour;
    const [name, volume] = ['td', 'td'].map((kind) => document.createElement(kind));
    name.textContent = entry.name;
    volume.textContent = millilitres(entry, counts, voxelMm3).toFixed(2);
    row.append(swatch, name, volume);
    rows.append(row);
  }
  const name = `${files[0].name.replace(/(_0000)?\.nii(\.gz)?$/i, '')}_labels.nii.gz`;
  const packed = await new Response(file.stream().pipeThrough(new CompressionStream('gzip'))).blob();
  const link = byId<HTMLAnchorElement>('save');
  link.href = URL.createObjectURL(packed);
  link.download = name;
  link.textContent = `Save ${name}`;
  await reopenViewer();
  if (viewer) {
    const overlay = await NVImage.loadFromFile({ file: new File([file], 'labels.nii'), name: 'labels.nii', opacity: 0.5 });
    const byLabel = entries.map(({ shown, ...entry }) => ({ ...entry, label: shown })).sort((a, b) => a.label - b.label);
    overlay.setColormapLabel(colourMap('background', byLabel));
    viewer.addVolume(overlay);
    viewer.setOpacity(1, Number(byId<HTMLInputElement>('opacity').value));
  }
  state('done');
}

function clearResult(): void {
  text('message', '');
  text('status', '');
  byId('volumes').querySelector('tbody')!.replaceChildren();
  URL.revokeObjectURL(byId<HTMLAnchorElement>('save').href);
  const overlay = viewer?.volumes[1];
  if (overlay) viewer!.removeVolume(overlay);
}

function refuse(error: unknown): void {
  end();
  text('message', error instanceof Error ? error.message : String(error));
  text('status', '');
  state('refused');
  showing = reopenViewer().catch(viewerless);
}
