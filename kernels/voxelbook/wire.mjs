// The connection's thread: five sockets, Jupyter's protocol, the queue of cells, Stop. It never blocks.
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import inspector from 'node:inspector';
import { createRequire } from 'node:module';
import path from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { descendants, isAlive, signal } from './children.mjs';
import { history } from './history.mjs';
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

// A notebook that holds hundreds of megabytes opens nowhere, so the output of one cell has an end.
const mostOutput = Number(process.env.VOXELBOOK_OUTPUT_MB || 10) * 1e6;
const outputs = new Map();
const outputOf = (id) => outputs.get(id) ?? outputs.set(id, { shown: 0, left: 0, told: false }).get(id);

/** How much of this many characters may still be shown. */
function admitted(id, length) {
  const output = outputOf(id);
  const fits = Math.max(0, Math.min(length, mostOutput - output.shown));
  output.shown += fits;
  return fits;
}
function leftOut(id, length) {
  const output = outputOf(id);
  output.left += length;
  // Behind the end of its cell nothing else tells.
  if (running?.id !== id && !output.told) tellLeftOut(id);
}
function tellLeftOut(id) {
  const output = outputs.get(id);
  if (!output?.left) return;
  output.told = true;
  const mb = (n) => `${(n / 1e6).toFixed(1)} MB`;
  const text = `\nThis output was cut: ${mb(output.shown)} are shown, ${mb(output.left)} were left out. To see all of it write it to a file, or start Jupyter with VOXELBOOK_OUTPUT_MB=${Math.ceil((output.shown + output.left) / 1e6)}.\n`;
  print(parents.get(id), 'stderr', text);
}
function printLimited(id, name, text) {
  const fits = admitted(id, text.length);
  if (fits > 0) print(parents.get(id), name, fits < text.length ? text.slice(0, fits) : text);
  if (fits < text.length) leftOut(id, text.length - fits);
}
/** Whether a bundle may be shown; what replaces another counts only where it alone is too much. */
function fitsLimit(id, type, content) {
  if (type === 'update_display_data') return content.length <= mostOutput || void leftOut(id, content.length);
  if (type !== 'display_data' && type !== 'execute_result') return true;
  if (outputOf(id).shown + content.length > mostOutput) return void leftOut(id, content.length);
  outputOf(id).shown += content.length;
  return true;
}

// ---- the other two threads --------------------------------------------------------------------------------------

const pending = new Map();
/** Cells the compiler took, for the day it has to start again. */
const accepted = [];
let types;
let knowsEarlier = true;
function connectCompiler(port) {
  types = port;
  // One that ran out of memory over the earlier cells alone would do so again.
  const forgets = !knowsEarlier;
  if (forgets) accepted.length = 0;
  port.on('message', ({ request, value, error }) => {
    const { resolve, reject } = pending.get(request) ?? {};
    pending.delete(request);
    if (error) reject?.(new Error(`the compiler failed: ${error}`));
    else resolve?.(value);
  });
  const rest = forgets
    ? 'without what earlier cells declared, which takes more memory than it has; restart the kernel, or raise VOXELBOOK_COMPILER_MB'
    : 'with what earlier cells declared; run the cell again';
  for (const { reject } of pending.values()) reject(new Error(`the compiler ran out of memory and was started again, ${rest}`));
  pending.clear();
  for (const about of accepted) port.postMessage({ ask: 'again', ...about });
  knowsEarlier = accepted.length === 0;
  if (!knowsEarlier)
    askTypes('ready', {}).then(
      () => {
        knowsEarlier = true;
      },
      () => {},
    );
}
connectCompiler(workerData.types);

function askTypes(ask, about) {
  const request = randomUUID();
  types.postMessage({ request, ask, ...about });
  return new Promise((resolve, reject) => pending.set(request, { resolve, reject }));
}

/** Requests by cell id, so that output finds its parent; old ones are forgotten. */
const parents = new Map();
function remember(id, request) {
  parents.set(id, request);
  if (parents.size <= 1000) return;
  const oldest = parents.keys().next().value;
  parents.delete(oldest);
  outputs.delete(oldest);
}

const fromMain = {
  stream: ({ id, name, text }) => printLimited(id, name, text),
  publish({ id, type, content, metadata, buffers, about }) {
    if (!fitsLimit(id, type, content)) return;
    broadcast(type, content, parents.get(id), { metadata, buffers: buffers.map((b) => Buffer.from(b)) });
    if (type.startsWith('comm_')) trackComm(type, about);
  },
  done: (message) => running?.heard(message),
  aborting: (message) => running?.heard(message),
  alive: () => mainAnswers?.(),
  compiler: ({ types: port }) => connectCompiler(port),
  input: (message) => ask(message),
  child({ pid, ended, ...about }) {
    if (ended) children.delete(pid);
    else children.set(pid, about);
  },
  members: ({ question, found }) => membersAsked.get(question)?.(found),
  terminate: async () => {
    await endProcesses();
    process.kill(process.pid, 'SIGKILL');
  },
  compileFile: ({ question, file }) =>
    askTypes('compileFile', { file }).then(
      (value) => parentPort.postMessage({ kind: 'answer', question, value }),
      (error) => parentPort.postMessage({ kind: 'answer', question, error: error.message }),
    ),
};
parentPort.on('message', (message) => {
  if (message.kind !== 'compiler') Atomics.sub(waiting, 0, 1);
  Atomics.notify(waiting, 0);
  fromMain[message.kind](message);
});

// ---- cells ------------------------------------------------------------------------------------------------------

let count = 0;
let cellId = 0;
let running;
const queue = [];
const past = history();
const stopped = { ename: 'Interrupted', evalue: 'the cell was stopped', traceback: ['Interrupted: the cell was stopped'] };

async function pump() {
  if (running || queue.length === 0) return;
  const request = queue.shift();
  running = { request, stage: 'compile', heard() {} };
  const { content } = request;
  broadcast('status', { execution_state: 'busy' }, request);
  const recorded = !content.silent && content.store_history !== false;
  if (recorded) past.add(++count, content.code);
  if (!content.silent) broadcast('execute_input', { code: content.code, execution_count: count }, request);
  const outcome = await execute(request, content).catch((error) => ({ status: 'error', ...internal(error) }));
  const { result, ...answer } = outcome;
  if (result && !content.silent && fitsLimit(running.id, 'execute_result', result)) broadcast('execute_result', result, request);
  if (answer.status === 'error')
    broadcast('error', { ename: answer.ename, evalue: answer.evalue, traceback: answer.traceback }, request);
  else Object.assign(answer, { payload: [], user_expressions: await evaluated(content.user_expressions, request) });
  tellLeftOut(running.cellId);
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
  remember(id, request);
  running.cellId = running.id = id;
  if (code.trim() === '') return { status: 'ok' };
  // The number tells cells that have none apart.
  const label = request.content.silent ? `In [silent ${id}]` : `In [${count}]`;
  return perform({ code, id, label });
}

/** Compiles and runs code as (part of) the running request. */
async function perform(about) {
  const me = running;
  const { id } = about;
  me.stage = 'compile';
  const interrupted = new Promise((resolve) => {
    me.cancel = () => resolve({ faults: 'interrupted' });
  });
  const compiling = askTypes('compile', about);
  const compiled = await Promise.race([compiling, interrupted]);
  if (compiled.faults === 'interrupted') {
    // Its names never get a value.
    compiling.then(
      ({ values = [], loads = [] }) =>
        types.postMessage({ ask: 'forget', id, unset: [...values, ...loads.flatMap((l) => l.names.map((n) => n.name))] }),
      () => {},
    );
    return { status: 'error', ...stopped };
  }
  if (compiled.faults) return { status: 'error', ...typeErrors(compiled.faults) };
  const expression = about.keep === false;
  const taken = expression ? {} : about;
  if (!expression) accepted.push(taken);
  const done = new Promise((resolve) => {
    me.heard = (message) => {
      if (message.id !== id) return;
      me[message.kind] = true;
      if (message.kind === 'done') resolve(message);
    };
    me.giveUp = () => resolve({ status: 'error', error: stopped });
  });
  Object.assign(me, { id, stage: 'run', done: false, aborting: false, ended: false, interrupting: false });
  if (mainIsCut) await mainIsCut;
  parentPort.postMessage({ kind: 'run', id, label: about.label, count, expression, ...compiled });
  const { status, result, error, unset = [] } = await done;
  me.ended = true;
  // Whatever it ended with after Stop was pressed, it was stopped.
  const outcome = me.interrupting ? { status: 'error', ...stopped } : { status, result, ...error };
  if (unset.length > 0 && !expression) {
    taken.unset = unset;
    types.postMessage({ ask: 'forget', id, unset });
  }
  return outcome;
}

/** The request's user_expressions, each with a bundle or with its error. */
async function evaluated(expressions, request) {
  const answers = {};
  for (const [name, code] of Object.entries(expressions ?? {})) {
    const id = ++cellId;
    remember(id, request);
    const about = { code: String(code), id, label: `expression ${name}`, keep: false };
    const { status, result, ...error } = await perform(about).catch((e) => ({ status: 'error', ...internal(e) }));
    const { data = { 'text/plain': 'undefined' }, metadata = {} } = result ? JSON.parse(result) : {};
    answers[name] = status === 'ok' ? { status, data, metadata } : { status, ...error };
  }
  return answers;
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
/** Processes the cells started, by pid: { id of the cell, detached, command }. */
const children = new Map();

/** Asks the running cell to end; code that does not let go of its thread is cut; after two seconds the cell has ended. */
async function interrupt() {
  const cell = running;
  if (!cell) return;
  if (cell.stage === 'compile') return cell.cancel();
  if (cell.interrupting) return;
  cell.interrupting = true;
  parentPort.postMessage({ kind: 'abort', id: cell.id });
  questions.length = 0;
  endChildren(cell);
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

/** As Ctrl-C in a terminal: the processes of the cell get the signal, and a stronger one where that does not end them. */
async function endChildren(cell) {
  const mine = [...children].filter(([, { id }]) => id === cell.id);
  const detached = new Set([...children].filter(([, c]) => c.detached).map(([pid]) => pid));
  const below = () =>
    [...mine.filter(([, c]) => !c.detached).map(([pid]) => pid), ...blocking()].flatMap((pid) => [
      pid,
      ...descendants(pid, detached),
    ]);
  // A call that waits for its process (execFileSync) is known here only by that process.
  const blocking = () => (cell.aborting || cell.ended ? [] : descendants(process.pid, new Set(children.keys())));
  let pids = below();
  signal(pids, 'SIGINT');
  await after(500);
  const late = below().filter((pid) => !pids.includes(pid));
  signal(late, 'SIGINT');
  pids = [...pids, ...late];
  await after(1500);
  signal(pids.filter(isAlive), 'SIGTERM');
  for (const [pid, { command }] of mine.filter(([, c]) => c.detached))
    if (isAlive(pid))
      print(
        parents.get(cell.id),
        'stderr',
        `Process ${pid} was started on its own and goes on: ${command.slice(0, 200)}\n${attach(pid, command)}\n`,
      );
}
/** How to get hold of a process that goes on: a training is attached to by its run, anything else has its number. */
const attach = (pid, command) =>
  /run\/child\.[jt]s/.test(command)
    ? 'It is a training: run the same cell again to attach to it, or end it with run.stop.'
    : `End it with process.kill(${pid}).`;

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
    const found = await askTypes('complete', { code, position: toUnits(code, cursor) });
    const { start, end, values } = found;
    const matches = values ? await askMembers(values) : found.matches;
    const from = toPoints(code, values?.start ?? start);
    const to = toPoints(code, values?.end ?? end);
    return {
      status: 'ok',
      matches: matches.map((m) => m.text),
      cursor_start: from,
      cursor_end: to,
      metadata: { _jupyter_types_experimental: matches.map((m) => ({ ...m, start: from, end: to })) },
    };
  },
  async inspect_request({ code, cursor_pos: cursor, detail_level: detail = 0 }) {
    const found = await askTypes('inspect', { code, position: toUnits(code, cursor), detail });
    if (!found) return { status: 'ok', found: false, data: {}, metadata: {} };
    const { signature, documentation, source } = found;
    const data = {
      'text/plain': [signature, documentation, source].filter(Boolean).join('\n\n'),
      'text/markdown': [`\`\`\`typescript\n${signature}\n\`\`\``, documentation, source && `\`\`\`typescript\n${source}\n\`\`\``]
        .filter(Boolean)
        .join('\n\n'),
    };
    return { status: 'ok', found: true, data, metadata: {} };
  },
  // A console waits a second for this answer, once, and the compiler may be busy with a cell.
  is_complete_request: ({ code }) =>
    Promise.race([askTypes('isComplete', { code }), after(300).then(() => ({ status: 'unknown' }))]),
  history_request({ output, ...wanted }) {
    return { status: 'ok', history: past.find(wanted).map(([s, line, code]) => [s, line, output ? [code, null] : code]) };
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
    broadcast('status', { execution_state: 'busy' }, request);
    parentPort.postMessage({ kind: 'comm', type, content, metadata: request.metadata, buffers: request.buffers });
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

/** Completion by the value itself, where the main thread has time for it. */
const membersAsked = new Map();
let memberQuestion = 0;
function askMembers({ receiver, typed }) {
  const question = ++memberQuestion;
  const answered = new Promise((resolve) => membersAsked.set(question, resolve));
  parentPort.postMessage({ kind: 'members', question, receiver, typed });
  return Promise.race([answered, after(300).then(() => [])]).finally(() => membersAsked.delete(question));
}

/** Questions to the person, one at a time: front ends show one field. */
const questions = [];
function ask(message) {
  const parent = parents.get(message.id);
  if (!parent?.content.allow_stdin)
    return void parentPort.postMessage({ kind: 'answer', question: message.question, error: 'this front end takes no input' });
  questions.push({ ...message, parent });
  if (questions.length === 1) askNext();
}
function askNext() {
  if (questions.length === 0) return;
  const [{ prompt, password, parent }] = questions;
  flush();
  transmit(sockets.stdin, codec.encode('input_request', { prompt, password }, { parent, identities: parent.identities }));
}
function answered(value) {
  const asked = questions.shift();
  if (asked) parentPort.postMessage({ kind: 'answer', question: asked.question, value });
  askNext();
}

async function end(request, answer) {
  broadcast('shutdown_reply', answer, request);
  await endProcesses();
  await Promise.all(tails.values());
  for (const socket of Object.values(sockets)) socket.close();
  parentPort.postMessage({ kind: 'exit' });
  // A main thread that computes does not hear that.
  await after(1000);
  process.kill(process.pid, 'SIGKILL');
}

/** What the cells started ends with the kernel, but for what was started to outlive it. */
async function endProcesses() {
  const detached = new Set([...children].filter(([, c]) => c.detached).map(([pid]) => pid));
  const pids = descendants(process.pid, detached);
  signal(pids, 'SIGTERM');
  for (let i = 0; i < 10 && pids.some(isAlive) && descendants(process.pid, detached).length > 0; i++) await after(50);
  signal(descendants(process.pid, detached), 'SIGKILL');
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
  if (header.msg_type === 'input_reply') answered(content.value);
});
(async () => {
  for await (const frames of sockets.hb) await sockets.hb.send(frames);
})();

// A kernel whose Jupyter is gone has nobody to end it.
const parentPid = Number(process.env.JPY_PARENT_PID);
if (parentPid > 1) {
  const watch = setInterval(async () => {
    if (isAlive(parentPid)) return;
    clearInterval(watch);
    await endProcesses();
    process.kill(process.pid, 'SIGKILL');
  }, 3000);
}

// Ctrl-C in the terminal of a console is Stop.
workerData.signals.on('message', interrupt);
