// The part of the page that works: a volume segmented by the library's own code, its networks run by ONNX Runtime in WebAssembly.
import { env, InferenceSession, Tensor } from 'onnxruntime-web/wasm';
import { VoxelbookError } from '../../base/errors.js';
import { caseOf } from '../../dataset/loadCase.js';
import { predictOwned } from '../../predict/case.js';
import type { PatchNetwork } from '../../predict/windows.js';
import { preprocessCase } from '../../preprocess/preprocessCase.js';
import { niftiParts } from '../../volume/format/niftiVoxels.js';
import { fromRas, toRas } from '../../volume/reorient.js';
import type { Volume } from '../../volume/volume.js';
import { bundleOf, modelOf } from '../bundle.js';
import { patchNetwork } from '../patchNetwork.js';
import type { Order, Report } from './messages.js';
import { volumeOf } from './readImage.js';

const say = (report: Report) => postMessage(report);

addEventListener('message', async ({ data }: MessageEvent<Order>) => {
  try {
    await segment(data);
  } catch (error) {
    say({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
  }
});

async function segment({ bundle: given, graphs, runtime, files, mostBytes, threads }: Order): Promise<void> {
  const doing = (what: string) => say({ kind: 'progress', what, done: 0, total: 1, etaSeconds: null });
  doing('check the networks');
  const bundle = bundleOf(given, 'bundle.json');
  await checkGraphs(bundle.graphs, graphs);
  const held = limitMemory(mostBytes);
  env.wasm.numThreads = threads;
  // Threads are workers that run this script; without them it is part of this worker, for a page from a file imports nothing.
  if (threads > 1) env.wasm.wasmPaths = { mjs: runtime.script };
  env.wasm.wasmBinary = runtime.binary;
  // Each lets go of its file once it is open.
  const networks = graphs.splice(0).map((graph, i) => network(graph, bundle.graphs[i].data?.file, mostBytes));
  const model = modelOf(bundle, networks);
  const { done, stored } = await prepare(files, bundle.reader === 'ras', model, doing);
  const { labels, shape } = await predictOwned(model, done, { onProgress: (p) => say({ ...p, kind: 'progress' }) });
  const { direction, originMm, spacing } = done.properties;
  const grid = { shape, channels: 1, spacingMm: [...spacing] as Volume['spacingMm'], originMm, direction };
  const result = { ...grid, data: labels };
  const counts = new Map<number, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  say({
    kind: 'done',
    file: new Blob([...niftiParts(stored ? fromRas(result, stored) : result)] as BlobPart[]),
    counts: [...counts].sort(([a], [b]) => a - b),
    voxelMm3: spacing.reduce((product, mm) => product * mm, 1),
    wasmBytes: held(),
  });
}

/** Reads and preprocesses, in a function of its own so that the image as it was read is let go before the network runs. */
async function prepare(files: File[], ras: boolean, model: ReturnType<typeof modelOf>, doing: (what: string) => void) {
  const parts: Volume[] = [];
  let stored: Omit<Volume, 'data'> | undefined;
  for (const file of files) {
    doing(`read ${file.name}`);
    const volume = await volumeOf(file);
    const { data: _, ...geometry } = volume;
    if (ras) stored ??= geometry;
    parts.push(ras ? toRas(volume) : volume);
  }
  const wanted = Object.values(model.dataset.channel_names);
  const found = parts.reduce((sum, { channels }) => sum + channels, 0);
  if (found !== wanted.length)
    throw new VoxelbookError('this volume is not for this network', {
      code: 'page-channels',
      path: files.map(({ name }) => name).join(', '),
      given: `${found} channels`,
      expected: `${wanted.length}: ${wanted.join(', ')}`,
      fix: 'Give one file for each channel.',
    });
  const names = files.map(({ name }) => name);
  const loaded = caseOf({ id: names[0], images: names }, parts);
  parts.length = 0;
  return { done: preprocessCase(loaded, model.plan, model.configuration, undefined, doing), stored };
}

/** A graph that is opened when its first patch comes. */
function network(graph: Order['graphs'][number], beside: string | undefined, mostBytes: number): PatchNetwork {
  let session: InferenceSession | undefined;
  let unopened: Order['graphs'][number] | undefined = graph;
  const explained = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw new VoxelbookError('the network cannot run in this page', {
        code: 'page-network',
        path: 'WebAssembly',
        given: (error as Error).message?.split('\n')[0] ?? String(error),
        expected: `a network that runs within ${(mostBytes / 1e9).toFixed(2)} GB, what the memory budget leaves it`,
        fix: 'Raise the budget if this machine has the memory, or predict with voxelbook.',
      });
    }
  };
  return patchNetwork(async (image, shape) =>
    explained(async () => {
      if (unopened) session = await sessionOf(unopened, beside);
      unopened = undefined;
      const { logits } = await session!.run({ image: new Tensor('float32', image, shape) });
      const data = logits.data as Float32Array;
      // The browser would let several of them gather before it collects them.
      const free = () => void (data.buffer as { transfer?(length: number): unknown }).transfer?.(0);
      return { data, dims: logits.dims, free };
    }),
  );
}

const sessionOf = ({ model, data }: Order['graphs'][number], beside: string | undefined): Promise<InferenceSession> =>
  InferenceSession.create(model, {
    executionProviders: ['wasm'],
    // What was once taken stays taken in WebAssembly: nothing is kept in reserve. One after the other, a finished tensor's memory
    // would be held until another of its size comes, which doubles what a pass takes; the parallel mode lets go at once.
    enableCpuMemArena: false,
    enableMemPattern: false,
    executionMode: 'parallel',
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    ...(data && { externalData: [{ path: beside!, data }] }),
  });

/** Memory of WebAssembly made from here on cannot grow beyond a limit. @returns what it holds now */
function limitMemory(mostBytes: number): () => number {
  const page = 65536;
  const made: WebAssembly.Memory[] = [];
  WebAssembly.Memory = class extends WebAssembly.Memory {
    constructor(wanted: WebAssembly.MemoryDescriptor) {
      const maximum = Math.min(wanted.maximum ?? page, Math.max(wanted.initial, Math.floor(mostBytes / page)));
      super({ ...wanted, maximum });
      made.push(this);
    }
  };
  return () => made.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
}

async function checkGraphs(wanted: Order['bundle']['graphs'], given: Order['graphs']): Promise<void> {
  for (const [i, graph] of wanted.entries()) {
    const parts = [[graph, given[i]?.model] as const, ...(graph.data ? [[graph.data, given[i]?.data] as const] : [])];
    for (const [{ file, bytes, sha256 }, found] of parts) {
      const sum = found?.length === bytes && globalThis.crypto.subtle ? await sha256Of(found) : undefined;
      if (found?.length === bytes && (sum === undefined || sum === sha256)) continue;
      throw new VoxelbookError('this page is damaged', {
        code: 'bundle-damaged',
        path: file,
        given: sum ? `checksum ${sum}` : `${found?.length ?? 0} bytes`,
        expected: sum ? sha256 : `${bytes} bytes`,
        fix: 'Copy the page again, or write it again: npx voxelbook demo.',
      });
    }
  }
}

async function sha256Of(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as BufferSource));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
