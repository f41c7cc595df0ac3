// The connection's thread: five sockets, Jupyter's protocol, the queue of cells, Stop. It never blocks.
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import inspector from 'node:inspector';
import { createRequire } from 'node:module';
import path from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { messageCodec } from './message.mjs';

const { root, connection, versions, waiting } = workerData;
const require = createRequire(path.join(root, 'package.json'));
const zmq = require('zeromq');
const codec = messageCodec(connection);

// ---- sockets ----------------------------------------------------------------------------------------------------

const sockets = {
  shell: new zmq.Router({ linger: 1000 }),
  control: new zmq.Router({ linger: 1000 }),
  stdin: new zmq.Router({ linger: 1000 }),
  iopub: new zmq.Publisher({ linger: 1000, sendHighWaterMark: 0 }),
  hb: new zmq.Reply({ linger: 0 }),
};
const address = (port) => (connection.transport === 'ipc' ? `ipc://${connection.ip}-${port}` : `tcp://${connection.ip}:${port}`);

/** One send at a time per socket, in order. */
const tails = new Map(Object.values(sockets).map((s) => [s, Promise.resolve()]));
function transmit(socket, frames) {
  const sent = tails.get(socket).then(() => socket.send(frames));
  tails.set(
    socket,
    sent.catch(() => {}),
  );
}
const broadcast = (type, content, parent, extra) => {
  flush();
  transmit(sockets.iopub, codec.encode(type, content, { parent, ...extra, identities: [Buffer.from(type)] }));
};
const reply = (request, content) => {
  const type = request.header.msg_type.replace(/_request$/, '_reply');
  transmit(request.socket, codec.encode(type, content, { parent: request, identities: request.identities }));
};

// Lines printed quickly travel together; anything else that is published goes after them.
let printed;
let flushTimer;
function print(parent, name, text) {
  if (printed && (printed.parent !== parent || printed.name !== name)) flush();
  printed ??= { parent, name, texts: [] };
  printed.texts.push(text);
  flushTimer ??= setTimeout(flush, 15);
}
function flush() {
  clearTimeout(flushTimer);
  flushTimer = undefined;
  if (!printed) return;
  const { parent, name, texts } = printed;
  printed = undefined;
  transmit(
    sockets.iopub,
    codec.encode('stream', { name, text: texts.join('') }, { parent, identities: [Buffer.from('stream')] }),
  );
}

// ---- the other two threads --------------------------------------------------------------------------------------

const pending = new Map();
/** Cells the compiler took, for the day it has to start anew. */
const accepted = [];
let types;
function connectCompiler(port) {
  types = port;
  port.on('message', ({ request, value, error }) => {
    const { resolve, reject } = pending.get(request) ?? {};
    pending.delete(request);
    if (error) reject?.(new Error(`the compiler failed: ${error}`));
    else resolve?.(value);
  });
  for (const about of accepted) port.postMessage({ ask: 'again', ...about });
  for (const { reject } of pending.values())
    reject(
      new Error('the compiler ran out of memory and was started again, with what earlier cells declared; run the cell again'),
    );
  pending.clear();
}
connectCompiler(workerData.types);

function askTypes(ask, about) {
  const request = randomUUID();
  types.postMessage({ request, ask, ...about });
  return new Promise((resolve, reject) => pending.set(request, { resolve, reject }));
}

/** Requests by cell id, so that output finds its parent; old ones are forgotten. */
const parents = new Map();
parentPort.on('message', (message) => {
  if (message.kind !== 'compiler') Atomics.sub(waiting, 0, 1);
  Atomics.notify(waiting, 0);
  const parent = parents.get(message.id);
  if (message.kind === 'stream') print(parent, message.name, message.text);
  else if (message.kind === 'publish') {
    const { type, content, metadata, buffers } = message;
    broadcast(type, content, parent, { metadata, buffers: buffers?.map((b) => Buffer.from(b)) });
    if (type.startsWith('comm_')) trackComm(type, content);
  } else if (message.kind === 'done' || message.kind === 'aborting') running?.heard(message);
  else if (message.kind === 'alive') mainAnswers();
  else if (message.kind === 'compiler') connectCompiler(message.types);
  else if (message.kind === 'interrupt') interrupt();
  else if (message.kind === 'input') ask(message, parent);
});

// ---- cells ------------------------------------------------------------------------------------------------------

let count = 0;
let cellId = 0;
let running;
const queue = [];
const history = [];
const stopped = { ename: 'Interrupted', evalue: 'the cell was stopped', traceback: ['Interrupted: the cell was stopped'] };

async function pump() {
  if (running || queue.length === 0) return;
  const request = queue.shift();
  running = { request, stage: 'compile', heard() {} };
  const { content } = request;
  broadcast('status', { execution_state: 'busy' }, request);
  const recorded = !content.silent && content.store_history !== false;
  if (recorded) history.push([0, ++count, content.code]);
  if (!content.silent) broadcast('execute_input', { code: content.code, execution_count: count }, request);
  const outcome = await execute(request, content).catch((error) => ({ status: 'error', ...internal(error) }));
  const { result, ...answer } = outcome;
  if (result && !content.silent) broadcast('execute_result', { execution_count: count, ...result }, request);
  if (answer.status === 'error')
    broadcast('error', { ename: answer.ename, evalue: answer.evalue, traceback: answer.traceback }, request);
  if (answer.status === 'ok') Object.assign(answer, { payload: [], user_expressions: {} });
  flush();
  reply(request, { ...answer, execution_count: count });
  broadcast('status', { execution_state: 'idle' }, request);
  running = undefined;
  if (answer.status === 'error' && content.stop_on_error !== false) abandonQueue();
  pump();
}

function abandonQueue() {
  for (const request of queue.splice(0)) {
    broadcast('status', { execution_state: 'busy' }, request);
    reply(request, { status: 'aborted', execution_count: count });
    broadcast('status', { execution_state: 'idle' }, request);
  }
}

async function execute(request, { code }) {
  const id = ++cellId;
  parents.set(id, request);
  if (parents.size > 1000) parents.delete(parents.keys().next().value);
  if (code.trim() === '') return { status: 'ok' };
  const label = request.content.silent ? 'In [silent]' : `In [${count}]`;
  const me = running;
  const interrupted = new Promise((resolve) => {
    me.cancel = () => resolve({ faults: 'interrupted' });
  });
  const compiled = await Promise.race([askTypes('compile', { code, id, label }), interrupted]);
  if (compiled.faults === 'interrupted') return { status: 'error', ...stopped };
  if (compiled.faults) return { status: 'error', ...typeErrors(compiled.faults) };
  accepted.push({ code, id, label });
  me.stage = 'run';
  const done = new Promise((resolve) => {
    me.heard = (message) => {
      if (message.id !== id) return;
      me[message.kind] = true;
      if (message.kind === 'done') resolve(message);
    };
    me.giveUp = () => resolve({ status: 'error', error: stopped });
  });
  me.id = id;
  if (mainIsCut) await mainIsCut;
  parentPort.postMessage({ kind: 'run', id, label, ...compiled });
  const { status, result, error } = await done;
  me.ended = true;
  return { status, result: result && { data: result.data, metadata: result.metadata }, ...error };
}

/** The compiler's errors as Jupyter's: the first as name and value, all of them with their lines in the traceback. */
function typeErrors(faults) {
  const traceback = faults
    .slice(0, 20)
    .flatMap(({ label, line, column, number, text, lineText, length }) => [
      `${label}:${line}:${column} - error TS${number}: ${text}`,
      `${String(line).padStart(4)} | ${lineText}`,
      `${' '.repeat(7 + column - 1)}${'~'.repeat(length)}`,
    ]);
  if (faults.length > 20) traceback.push(`and ${faults.length - 20} more errors`);
  return { ename: `TS${faults[0].number}`, evalue: faults[0].text, traceback };
}

const internal = (error) => ({
  ename: 'KernelError',
  evalue: String(error?.message ?? error),
  traceback: String(error?.stack ?? error).split('\n'),
});

// ---- Stop -------------------------------------------------------------------------------------------------------

const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let mainIsCut;
let mainAnswers;

/** Asks the running cell to end; code that does not let go of its thread is cut; after two seconds the cell has ended. */
async function interrupt() {
  const cell = running;
  if (!cell) return;
  if (cell.stage === 'compile') return cell.cancel();
  if (cell.interrupting) return;
  cell.interrupting = true;
  parentPort.postMessage({ kind: 'abort', id: cell.id });
  const begin = performance.now();
  setTimeout(() => cell.giveUp(), 1800).unref();
  while (!cell.ended) {
    await after(50);
    const ms = performance.now() - begin;
    if ((!cell.aborting && ms > 400) || ms > 1450) {
      mainIsCut ??= cutShort(cell.id).finally(() => {
        mainIsCut = undefined;
      });
      await Promise.race([mainIsCut, after(300)]);
    }
  }
}

/** Terminates what the main thread is executing, and waits until that thread answers again. */
async function cutShort(id) {
  const answered = new Promise((resolve) => {
    mainAnswers = () => resolve(true);
  });
  const session = new inspector.Session();
  session.connectToMainThread();
  await new Promise((resolve) => session.post('Runtime.terminateExecution', resolve));
  session.disconnect();
  // The termination may also hit the first of these messages on the other side, so they are repeated.
  do parentPort.postMessage({ kind: 'stopped', id });
  while (!(await Promise.race([answered, after(300)])));
}

// ---- requests ---------------------------------------------------------------------------------------------------

const info = {
  status: 'ok',
  protocol_version: '5.4',
  implementation: 'voxelbook',
  implementation_version: require('./package.json').version,
  language_info: {
    name: 'typescript',
    version: versions.typescript,
    mimetype: 'application/typescript',
    file_extension: '.ts',
    pygments_lexer: 'typescript',
    codemirror_mode: 'typescript',
    nbconvert_exporter: 'script',
  },
  banner: `voxelbook: TypeScript ${versions.typescript} on Node ${versions.node}`,
  help_links: [{ text: 'TypeScript', url: 'https://www.typescriptlang.org/docs/' }],
  supported_features: [],
};

const comms = new Map();
function trackComm(type, { comm_id: id, target_name: target }) {
  if (type === 'comm_open') comms.set(id, target);
  if (type === 'comm_close') comms.delete(id);
}

const handlers = {
  kernel_info_request: () => info,
  async complete_request({ code, cursor_pos: cursor }) {
    const { matches, start, end } = await askTypes('complete', { code, position: toUnits(code, cursor) });
    const from = toPoints(code, start);
    const to = toPoints(code, end);
    return {
      status: 'ok',
      matches: matches.map((m) => m.text),
      cursor_start: from,
      cursor_end: to,
      metadata: { _jupyter_types_experimental: matches.map((m) => ({ ...m, start: from, end: to })) },
    };
  },
  async inspect_request({ code, cursor_pos: cursor }) {
    const found = await askTypes('inspect', { code, position: toUnits(code, cursor) });
    if (!found) return { status: 'ok', found: false, data: {}, metadata: {} };
    const { signature, documentation } = found;
    const data = {
      'text/plain': documentation ? `${signature}\n\n${documentation}` : signature,
      'text/markdown': `\`\`\`typescript\n${signature}\n\`\`\`\n\n${documentation}`,
    };
    return { status: 'ok', found: true, data, metadata: {} };
  },
  is_complete_request: ({ code }) => askTypes('isComplete', { code }),
  history_request({ hist_access_type: access, n, start = 0, stop, pattern, output, unique }) {
    let found = history;
    if (access === 'range') found = history.filter(([, line]) => line >= start && (stop == null || line < stop));
    if (access === 'search') {
      const like = new RegExp(
        `^${pattern
          .replace(/[.+^${}()|[\]\\]/g, '\\$&')
          .replace(/\*/g, '[^]*')
          .replace(/\?/g, '[^]')}$`,
      );
      found = history.filter(([, , code]) => like.test(code));
      if (unique) found = [...new Map(found.map((h) => [h[2], h])).values()];
    }
    if (access !== 'range' && n) found = found.slice(-n);
    return { status: 'ok', history: found.map(([s, line, code]) => [s, line, output ? [code, null] : code]) };
  },
  comm_info_request({ target_name: target }) {
    const matching = [...comms].filter(([, name]) => !target || name === target);
    return { status: 'ok', comms: Object.fromEntries(matching.map(([id, name]) => [id, { target_name: name }])) };
  },
  async interrupt_request() {
    interrupt();
    return { status: 'ok' };
  },
  shutdown_request: ({ restart }) => ({ status: 'ok', restart: restart ?? false }),
};

async function handle(request) {
  const type = request.header.msg_type;
  const { content } = request;
  if (type === 'execute_request') {
    queue.push(request);
    pump();
    return;
  }
  if (type.startsWith('comm_') && type !== 'comm_info_request') {
    trackComm(type, content);
    const id = ++cellId;
    parents.set(id, request);
    broadcast('status', { execution_state: 'busy' }, request);
    parentPort.postMessage({ kind: 'comm', id, type, content, metadata: request.metadata, buffers: request.buffers });
    broadcast('status', { execution_state: 'idle' }, request);
    return;
  }
  const handler = handlers[type];
  if (!handler) return;
  broadcast('status', { execution_state: 'busy' }, request);
  let answer;
  try {
    answer = await handler(content);
  } catch (error) {
    answer = { status: 'error', ...internal(error) };
  }
  reply(request, answer);
  broadcast('status', { execution_state: 'idle' }, request);
  // Front ends show the last state they heard, and a cell may still be running.
  if (running) broadcast('status', { execution_state: 'busy' }, running.request);
  if (type === 'shutdown_request') await end(request, answer);
}

/** Jupyter counts code points, JavaScript UTF-16 units. */
const toUnits = (text, points) => [...text].slice(0, points).join('').length;
const toPoints = (text, units) => [...text.slice(0, units)].length;

const questions = new Map();
function ask({ question, prompt, password }, parent) {
  if (!parent?.content.allow_stdin) return void parentPort.postMessage({ kind: 'answer', question });
  flush();
  const frames = codec.encode('input_request', { prompt, password }, { parent, identities: parent.identities });
  questions.set(parent.header.msg_id, question);
  lastQuestion = question;
  transmit(sockets.stdin, frames);
}
let lastQuestion;

async function end(request, answer) {
  broadcast('shutdown_reply', answer, request);
  await Promise.all(tails.values());
  for (const socket of Object.values(sockets)) socket.close();
  parentPort.postMessage({ kind: 'exit' });
  // A main thread that computes does not hear that.
  await after(1000);
  process.kill(process.pid, 'SIGKILL');
}

async function serve(socket, take) {
  for await (const frames of socket) {
    let message;
    try {
      message = codec.decode(frames);
    } catch {
      message = undefined;
    }
    if (message) take({ ...message, socket });
    else fs.writeSync(2, 'voxelbook kernel: a message without a valid signature was dropped\n');
  }
}

for (const [name, socket] of Object.entries(sockets)) await socket.bind(address(connection[`${name}_port`]));
broadcast('status', { execution_state: 'starting' });
serve(sockets.shell, handle);
serve(sockets.control, handle);
serve(sockets.stdin, ({ header, content }) => {
  if (header.msg_type === 'input_reply') parentPort.postMessage({ kind: 'answer', question: lastQuestion, value: content.value });
});
(async () => {
  for await (const frames of sockets.hb) await sockets.hb.send(frames);
})();

// A kernel whose Jupyter is gone has nobody to end it.
const parentPid = Number(process.env.JPY_PARENT_PID);
if (parentPid > 1)
  setInterval(() => {
    try {
      process.kill(parentPid, 0);
    } catch {
      process.kill(process.pid, 'SIGKILL');
    }
  }, 3000);
