// The kernel's main thread: it runs the person's code and nothing else. Sockets live in wire.mjs and the compiler in
// types.mjs, each on a thread of its own, so heartbeat, completion and Stop work while code here computes.
//
//   node --no-force-async-hooks-checks main.mjs <connection file>
import { AsyncLocalStorage } from 'node:async_hooks';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import util from 'node:util';
import { MessageChannel, Worker } from 'node:worker_threads';
import { bundleOf, commModule, kernelModule, kernelSymbol, tslabModule } from './display.mjs';
import { refuseWork, repairEngine } from './engine.mjs';
import { moduleLoader } from './modules.mjs';
import { tracebacks } from './traceback.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const folder = process.cwd();
const require = createRequire(path.join(root, 'package.json'));
const versions = {
  tslab: require('tslab/package.json').version,
  typescript: require('typescript/package.json').version,
  node: process.version,
};

// ---- threads ----------------------------------------------------------------------------------------------------

const waiting = new Int32Array(new SharedArrayBuffer(4));
const connection = JSON.parse(fs.readFileSync(process.argv.at(-1), 'utf8'));

/** Starts the compiler's thread; returns the port that talks to it. It starts anew when it runs out of memory. */
function startCompiler() {
  const { port1, port2 } = new MessageChannel();
  const begin = performance.now();
  const worker = new Worker(new URL('./types.mjs', import.meta.url), {
    workerData: { root, folder, wire: port2 },
    transferList: [port2],
    resourceLimits: { maxOldGenerationSizeMb: Number(process.env.VOXELBOOK_COMPILER_MB ?? 3072) },
  });
  worker.unref();
  worker.on('error', (error) => {
    realStderr(`voxelbook kernel: the compiler's thread ended: ${error?.stack ?? error}\n`);
    if (performance.now() - begin < 2000) reallyExit(1);
    const types = startCompiler();
    wire.postMessage({ kind: 'compiler', types }, [types]);
  });
  return port1;
}

const types = startCompiler();
const wire = new Worker(new URL('./wire.mjs', import.meta.url), {
  workerData: { root, connection, versions, waiting, types },
  transferList: [types],
});
wire.on('error', (error) => {
  realStderr(`voxelbook kernel: the connection's thread ended: ${error?.stack ?? error}\n`);
  reallyExit(1);
});

/** Sends to the wire thread; waits while thousands of messages are unsent, so that a printing loop cannot fill memory. */
function send(message) {
  if (Atomics.add(waiting, 0, 1) > 5000) while (Atomics.load(waiting, 0) > 1000) Atomics.wait(waiting, 0, -1, 5);
  wire.postMessage(message);
}

// ---- the cell that runs -----------------------------------------------------------------------------------------

/** `{ id, controller, stop, signalSeen }` of the running cell; the last one's id stays for what it prints late. */
let running;
let lastId;
let stops = 0;
let stopReason;
// On Node 24 and later output that comes late finds its own cell. Before that, following calls in this way would make
// the hard stop end the process, and late output goes to the cell that runs.
const follow = Number(process.versions.node.split('.')[0]) >= 24 ? new AsyncLocalStorage() : undefined;
const outputId = () => follow?.getStore() ?? running?.id ?? lastId;
const publish = (type, content, extra = {}) => send({ kind: 'publish', id: outputId(), type, content, ...extra });

class Interrupted extends Error {
  name = 'Interrupted';
}

const scope = {};
const trace = tracebacks();
const comm = commModule(publish);
const kernel = kernelModule(publish, { signal: currentSignal, input, comms: comm.comms });
const tslab = tslabModule(publish, versions);
const loader = moduleLoader({
  root,
  builtin: { tslab, 'voxelbook/kernel': kernel },
  globals: {
    __stops: () => stops,
    __resumed(before, value) {
      if (before !== stops) throw stopReason;
      return value;
    },
  },
  onScript: trace.add,
});

function currentSignal() {
  if (running) running.signalSeen = true;
  return running?.controller.signal ?? AbortSignal.abort(new Interrupted('no cell is running'));
}

async function runCell(message) {
  const { id, label, reset, hasResult, declared } = message;
  const controller = new AbortController();
  const stopped = new Promise((_, reject) => {
    running = { id, controller, stop: reject, signalSeen: false };
  });
  stopped.catch(() => {});
  const mine = running;
  lastId = id;
  refuseWork(undefined);
  let answer;
  try {
    loader.update(message.modules);
    const execute = async () => {
      const start = await loader.cell(message, scope, path.join(folder, `${label}.ts`));
      for (const name of declared) if (Object.getOwnPropertyDescriptor(scope, name)?.get) delete scope[name];
      for (const name of reset) scope[name] = undefined;
      scope.__result = undefined;
      await start();
      // What a timer of this turn printed still belongs above the result.
      if (hasResult && scope.__result !== undefined) return bundleOf(scope.__result);
      return undefined;
    };
    const result = await Promise.race([follow ? follow.run(id, execute) : execute(), stopped]);
    answer = { status: 'ok', result };
  } catch (error) {
    const shown = controller.signal.aborted ? stopReason : error;
    answer = { status: 'error', error: trace.content(shown) };
  }
  if (running === mine) running = undefined;
  send({ kind: 'done', id, ...answer });
}

/** Stop was pressed: the signal first, then the cell ends in any case. */
function abort(id) {
  if (running?.id !== id) return;
  const cell = running;
  stops++;
  stopReason = new Interrupted('the cell was stopped');
  stopReason.stack = 'Interrupted: the cell was stopped';
  cell.controller.abort(stopReason);
  refuseWork(stopReason);
  send({ kind: 'aborting', id });
  // Work that listens gets a second to write what it must; nobody else could use it.
  const listens = cell.signalSeen || globalThis._tfengine;
  setTimeout(() => cell.stop(stopReason), listens ? 1000 : 50);
}

/** The wire thread had to cut the running code short: its promise will never settle. */
function afterHardStop(id) {
  if (running?.id === id) {
    stops++;
    stopReason ??= new Interrupted('the cell was stopped');
    running.controller.abort(stopReason);
    running.stop(stopReason);
  }
  loader.forgetCut();
  repairEngine();
  send({ kind: 'alive', id });
}

// ---- what code here finds around it -----------------------------------------------------------------------------

globalThis[kernelSymbol] = kernel;
// tfjs-node calls functions that Node 23 removed.
util.isNullOrUndefined ??= (value) => value == null;
util.isArray ??= Array.isArray;
Symbol.dispose ??= Symbol('Symbol.dispose');
Symbol.asyncDispose ??= Symbol('Symbol.asyncDispose');

// Library code that imports tslab gets the same object as a cell.
const tslabFile = require.resolve('tslab');
require.cache[tslabFile] = {
  id: tslabFile,
  filename: tslabFile,
  path: path.dirname(tslabFile),
  loaded: true,
  exports: tslab,
  children: [],
  paths: [],
};

const realStderr = process.stderr.write.bind(process.stderr);
for (const name of ['stdout', 'stderr']) {
  process[name].write = (chunk, encoding, callback) => {
    const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8');
    if (text) send({ kind: 'stream', id: outputId(), name, text });
    const done = typeof encoding === 'function' ? encoding : callback;
    if (done) process.nextTick(done);
    return true;
  };
}
process.removeAllListeners('warning');
process.on('warning', (warning) => {
  if (warning.name !== 'ExperimentalWarning') process.stderr.write(`${warning.name}: ${warning.message}\n`);
});

const asked = new Map();
let questions = 0;
function input(prompt = '', { password = false } = {}) {
  return new Promise((resolve, reject) => {
    const question = ++questions;
    asked.set(question, { resolve, reject });
    running?.controller.signal.addEventListener('abort', () => reject(stopReason));
    send({ kind: 'input', id: outputId(), question, prompt, password });
  });
}

const late = (error) => {
  if (error !== stopReason) process.stderr.write(`${trace.describe(error).join('\n')}\n`);
};
process.on('uncaughtException', late);
process.on('unhandledRejection', late);
process.on('SIGINT', () => send({ kind: 'interrupt' }));

const reallyExit = process.exit.bind(process);
let ending = false;
process.on('SIGTERM', () => {
  ending = true;
  reallyExit(143);
});
process.exit = (code) => {
  if (ending) reallyExit(code);
  throw new Error(`process.exit(${code ?? ''}) would end the kernel and everything in it; use Kernel > Shut Down instead`);
};

wire.on('message', (message) => {
  if (message.kind === 'run') runCell(message);
  else if (message.kind === 'abort') abort(message.id);
  else if (message.kind === 'stopped') afterHardStop(message.id);
  else if (message.kind === 'comm') comm.receive(message.type, message.content, message);
  else if (message.kind === 'answer') {
    asked
      .get(message.question)
      ?.[message.value === undefined ? 'reject' : 'resolve'](message.value ?? new Error('this front end takes no input'));
    asked.delete(message.question);
  } else if (message.kind === 'exit') {
    ending = true;
    reallyExit(0);
  }
});
