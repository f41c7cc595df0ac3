// The kernel's main thread: it runs the person's code and nothing else. Sockets live in wire.mjs and the compiler in
// types.mjs, each on a thread of its own, so heartbeat, completion and Stop work while code here computes.
//
//   node --no-force-async-hooks-checks main.mjs <connection file>
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import { fileURLToPath } from 'node:url';
import util from 'node:util';
import { MessageChannel, Worker } from 'node:worker_threads';
import { contexts } from './context.mjs';
import { bundleOf, commModule, kernelModule, kernelSymbol, tslabModule } from './display.mjs';
import { refuseWork, repairEngine } from './engine.mjs';
import { magics } from './magics.mjs';
import { moduleLoader } from './modules.mjs';
import { textOf, toJson } from './send.mjs';
import { tracebacks } from './traceback.mjs';
import { widgets } from './widget.mjs';

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
const connection = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));

// What the kernel itself needs, taken before anybody can replace it.
const { setTimeout: later } = globalThis;

/**
 * Starts the compiler's thread; returns the port that talks to it. It starts again when it runs out of memory; one that
 * never got ready would end the same way each time, so the kernel ends with it.
 */
function startCompiler() {
  const { port1, port2 } = new MessageChannel();
  const limitMb = Number(process.env.VOXELBOOK_COMPILER_MB ?? 3072);
  const canLook = typeof Worker.prototype.getHeapStatistics === 'function';
  const worker = new Worker(new URL('./types.mjs', import.meta.url), {
    workerData: { root, folder, wire: port2 },
    transferList: [port2],
    // A thread that grows in one leap beyond what the engine allows takes the process with it: it is ended before.
    resourceLimits: { maxOldGenerationSizeMb: canLook ? 2 * limitMb : limitMb },
  });
  worker.unref();
  let state = 'starts';
  const over = (why) => {
    if (state === 'over') return;
    realStderr(`voxelbook kernel: the compiler's thread ended: ${why}\n`);
    if (state === 'starts') reallyExit(1);
    state = 'over';
    const types = startCompiler();
    wire.postMessage({ kind: 'compiler', types }, [types]);
  };
  worker.once('message', () => {
    state = 'ready';
  });
  worker.on('error', (error) => over(error?.stack ?? error));
  const look = async () => {
    const used = (await worker.getHeapStatistics().catch(() => undefined))?.used_heap_size;
    if (used === undefined || state === 'over') return;
    const share = used / 2 ** 20 / limitMb;
    if (state === 'starts' || share < 1) later(look, share < 0.5 ? 250 : 50).unref();
    else {
      worker.terminate();
      over(`${Math.round(used / 2 ** 20)} MB of its ${limitMb} are used`);
    }
  };
  if (canLook) look();
  return port1;
}

const types = startCompiler();
const { port1: signals, port2: heardSignals } = new MessageChannel();
const wire = new Worker(new URL('./wire.mjs', import.meta.url), {
  workerData: { root, connection, versions, waiting, types, signals: heardSignals },
  transferList: [types, heardSignals],
});
new Worker(new URL('./sigint.mjs', import.meta.url), {
  workerData: { wire: signals },
  transferList: [signals],
  resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 1 },
}).unref();
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

/** `{ id, context, controller, stop, signalSeen }` of the running cell; the last one's id stays for what it prints late. */
let running;
let lastId;
let stopReason;
const follow = contexts((child) => send({ kind: 'child', ...child }));
const { calls } = follow;

/** The cell that what is printed or shown now belongs to; none for what a stopped cell does behind its end. */
function owner() {
  const context = follow.now();
  return context.state === 'dead' ? undefined : { id: context.id ?? running?.id ?? lastId };
}

/** Sends one message of a cell. Its content is written here, so that what cannot be sent is the caller's error. */
function publish(type, content, { metadata = {}, buffers = [] } = {}) {
  const to = owner();
  if (!to) return;
  const bytes = (b) => (ArrayBuffer.isView(b) ? Buffer.from(b.buffer, b.byteOffset, b.byteLength) : Buffer.from(b));
  send({
    ...{ kind: 'publish', id: to.id, type },
    ...{ content: toJson(content), metadata: toJson(metadata), buffers: Array.from(buffers, (b) => Uint8Array.from(bytes(b))) },
    // What is counted and kept of it on the other side.
    about: { display_id: content.transient?.display_id, comm_id: content.comm_id, target_name: content.target_name },
  });
}

class Interrupted extends Error {
  name = 'Interrupted';
}

/** The names of all cells. */
const cells = Object.create(null);
let lastResult;
Object.defineProperty(cells, '_', { configurable: true, enumerable: false, get: () => lastResult });

const trace = tracebacks();
const comm = commModule(publish, { owner: follow.now, within: (context, work) => follow.within(context ?? follow.now(), work) });
const kernel = kernelModule(publish, { signal: currentSignal, input, comms: comm.comms });
Object.assign(kernel.module, widgets(kernel.module, kernel.hide));
const tslab = tslabModule(publish, versions);
Object.assign(
  calls,
  magics({
    names: () =>
      Object.entries(Object.getOwnPropertyDescriptors(cells)).flatMap(([name, d]) => ('value' in d ? [[name, d.value]] : [])),
    show: kernel.module.displayBundle,
  }),
);
const questions = new Map();
let questionCount = 0;
const ask = (message) =>
  new Promise((resolve, reject) => {
    const question = ++questionCount;
    questions.set(question, { resolve, reject });
    send({ ...message, question });
  });
const loader = moduleLoader({
  ...{ root, folder, calls },
  builtin: { tslab, 'voxelbook/kernel': kernel.module },
  onScript: trace.add,
  async compileFile(file) {
    const { modules, faults } = await ask({ kind: 'compileFile', file });
    if (faults) throw new SyntaxError(faults.map((f) => `${f.label}:${f.line}:${f.column} - ${f.text}`).join('\n'));
    return modules;
  },
});

function currentSignal() {
  if (running) running.signalSeen = true;
  return running?.controller.signal ?? AbortSignal.abort(new Interrupted('no cell is running'));
}

/**
 * Where the declarations of one cell go: setting a name through `own` notes that it has a value now. Before that a new
 * name is an error to read, as in JavaScript, and an old one still means what it meant.
 */
function declaring(values, vars) {
  const done = new Set();
  const own = {};
  for (const name of values) {
    Object.defineProperty(own, name, {
      set(value) {
        done.add(name);
        Object.defineProperty(cells, name, { value, writable: true, enumerable: true, configurable: true });
      },
      get: () => cells[name],
    });
    if (name in cells) continue;
    const early = () => {
      if (vars.includes(name)) return undefined;
      throw new ReferenceError(`Cannot access '${name}' before initialization`);
    };
    Object.defineProperty(cells, name, {
      configurable: true,
      enumerable: false,
      get: early,
      set: (value) => {
        own[name] = value;
      },
    });
  }
  return {
    own,
    /** Names without a value at the end of the cell; those that are new are gone again. */
    end(failed) {
      const unset = values.filter((name) => !done.has(name));
      for (const name of unset) {
        const descriptor = Object.getOwnPropertyDescriptor(cells, name);
        if (!descriptor?.get || descriptor.enumerable || name === '_') continue;
        if (failed) delete cells[name];
        else Object.defineProperty(cells, name, { value: undefined, writable: true, enumerable: true, configurable: true });
      }
      return failed ? unset : [];
    },
  };
}

async function runCell(message) {
  const { id, values, vars } = message;
  const controller = new AbortController();
  const context = follow.begin(id);
  const stopped = new Promise((_, reject) => {
    running = { id, context, controller, stop: reject, signalSeen: false };
  });
  stopped.catch(() => {});
  const mine = running;
  lastId = id;
  refuseWork(undefined);
  const declared = declaring(values, vars);
  const bound = new Set();
  let answer = { status: 'error', error: { ename: 'KernelError', evalue: 'the cell did not end as a cell ends', traceback: [] } };
  try {
    loader.update(message.modules);
    const execute = async () => {
      const start = await loader.cell(message, { cells, own: declared.own, run: { context }, bound });
      const [value] = (await start()) ?? [];
      await kernel.shown();
      if (value === undefined || kernel.isHandle(value)) return undefined;
      if (!message.expression) lastResult = value;
      return toJson({ execution_count: message.count, ...(await bundleOf(value)) });
    };
    const result = await Promise.race([follow.within(context, execute), stopped]);
    answer = controller.signal.aborted ? { status: 'error', error: trace.content(stopReason) } : { status: 'ok', result };
  } catch (error) {
    answer = { status: 'error', error: trace.content(controller.signal.aborted ? stopReason : error) };
  } finally {
    if (context.state === 'stopping') await Promise.race([follow.tidied(context), stopped]).catch(() => {});
    const unset = declared.end(answer.status === 'error');
    if (answer.status === 'error')
      for (const { names } of message.loads) unset.push(...names.map(({ name }) => name).filter((name) => !bound.has(name)));
    if (controller.signal.aborted) {
      follow.kill(context);
      loader.forgetUnfinished();
    }
    follow.end(context);
    if (running === mine) running = undefined;
    send({ kind: 'done', id, ...answer, unset });
  }
}

/** Stop was pressed: the signal first, then every pause of the cell throws, then it has ended in any case. */
function abort(id) {
  if (running?.id !== id) return;
  const cell = running;
  stopReason = interrupted();
  cell.controller.abort(stopReason);
  refuseWork(stopReason);
  send({ kind: 'aborting', id });
  // Work that listens gets a second to write what it must; nobody else could use it.
  const listens = cell.signalSeen || globalThis._tfengine;
  later(() => endStopped(cell, 400), listens ? 1000 : 50);
}

function interrupted() {
  const reason = new Interrupted('the cell was stopped');
  reason.stack = 'Interrupted: the cell was stopped';
  return reason;
}

function endStopped(cell, ms) {
  if (running !== cell) return;
  follow.stop(cell.context, stopReason);
  later(() => cell.stop(stopReason), ms);
}

/** The wire thread had to cut the running code short: its promise will never settle. */
function afterHardStop(id) {
  const cell = running;
  if (cell?.id === id) {
    stopReason ??= interrupted();
    if (!cell.controller.signal.aborted) {
      stopReason = interrupted();
      cell.controller.abort(stopReason);
    }
    endStopped(cell, 20);
  }
  repairEngine();
  send({ kind: 'alive', id });
}

/** Names a value has at run time, where its type says nothing of them. No getter is asked. */
function members({ receiver, typed }) {
  let value = cells[receiver[0]] ?? globalThis[receiver[0]];
  for (const name of receiver.slice(1)) value = plainMember(value, name);
  const found = new Set();
  for (let o = value; o !== null && o !== undefined && o !== Object.prototype && found.size < 1000; o = Object.getPrototypeOf(o))
    for (const name of Object.getOwnPropertyNames(Object(o)))
      if (name.startsWith(typed) && /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name) && name !== 'constructor')
        found.add(name);
  return [...found].map((name) => ({
    text: name,
    type: typeof plainMember(value, name) === 'function' ? 'function' : 'property',
  }));
}
function plainMember(value, name) {
  for (let o = Object(value); o !== null; o = Object.getPrototypeOf(o)) {
    const descriptor = Object.getOwnPropertyDescriptor(o, name);
    if (descriptor) return descriptor.value;
  }
  return undefined;
}

// ---- what code here finds around it -----------------------------------------------------------------------------

globalThis[kernelSymbol] = kernel.module;
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
  // A pipe may cut a character in two.
  const decoder = new StringDecoder('utf8');
  process[name].write = (chunk, encoding, callback) => {
    const code = typeof encoding === 'string' ? encoding : 'utf8';
    const plain = typeof chunk === 'string' && /^utf-?8$/i.test(code);
    const text = plain
      ? decoder.end() + chunk
      : decoder.write(typeof chunk === 'string' ? Buffer.from(chunk, code) : Buffer.from(chunk));
    const to = text && owner();
    if (to) send({ kind: 'stream', id: to.id, name, text });
    const done = typeof encoding === 'function' ? encoding : callback;
    if (done) process.nextTick(done);
    return true;
  };
}
process.removeAllListeners('warning');
process.on('warning', (warning) => {
  if (warning.name !== 'ExperimentalWarning') process.stderr.write(`${warning.name}: ${warning.message}\n`);
});

async function input(prompt = '', { password = false } = {}) {
  const { controller } = running ?? {};
  const question = ask({ kind: 'input', id: owner()?.id, prompt: textOf(prompt), password: Boolean(password) });
  const stopped = new Promise((_, reject) => controller?.signal.addEventListener('abort', () => reject(stopReason)));
  return Promise.race([question, stopped]);
}

/** An error that nobody caught: told where its code prints, and the kernel lives on. */
const late = (error) => {
  if (error instanceof Interrupted) return;
  const own = process.listeners('uncaughtException');
  if (own.length > 0) {
    for (const listener of own) listener(error, 'uncaughtException');
    return;
  }
  process.stderr.write(`${trace.describe(error).join('\n')}\n`);
};
// No listener: whoever removes all listeners shall not take the kernel's along. A rejection arrives here too.
process.setUncaughtExceptionCaptureCallback((error) => {
  try {
    // What is no error comes wrapped, its text at the end.
    const wrapped = error?.code === 'ERR_UNHANDLED_REJECTION' && /with the reason "([\s\S]*)"\.$/.exec(error.message);
    late(wrapped ? wrapped[1] : error);
  } catch (second) {
    realStderr(`voxelbook kernel: an error could not be told: ${textOf(second)}\n`);
  }
});

const reallyExit = process.exit.bind(process);
let ending = false;
process.on('SIGTERM', () => send({ kind: 'terminate' }));
process.exit = (code) => {
  if (ending) reallyExit(code);
  throw new Error(`process.exit(${code ?? ''}) would end the kernel and everything in it; use Kernel > Shut Down instead`);
};

const heard = {
  run: runCell,
  abort: ({ id }) => abort(id),
  stopped: ({ id }) => afterHardStop(id),
  comm: (message) => comm.receive(message.type, message.content, message),
  members: (message) => {
    let found = [];
    try {
      found = members(message);
    } catch {}
    send({ kind: 'members', question: message.question, found });
  },
  answer({ question, value, error }) {
    const { resolve, reject } = questions.get(question) ?? {};
    questions.delete(question);
    if (error) reject?.(new Error(error));
    else resolve?.(value);
  },
  exit() {
    ending = true;
    reallyExit(0);
  },
};
wire.on('message', (message) => heard[message.kind](message));
