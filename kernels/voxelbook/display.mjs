// What a cell can show, and how: mime bundles, tslab's `display`, and the module 'voxelbook/kernel'.
import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { bundleEntries } from './send.mjs';

/** A value with a method of this name shows itself: it returns a mime bundle, or a promise of one. */
export const displaySymbol = Symbol.for('Jupyter.display');
/** Where library code finds the kernel's services without importing it. */
export const kernelSymbol = Symbol.for('Jupyter.kernel');

const isObject = (value) => value !== null && (typeof value === 'object' || typeof value === 'function');
/** A member of a value, which may be a trap. */
function member(value, name) {
  try {
    return value[name];
  } catch {
    return undefined;
  }
}

const text = (value) => {
  // A tensor's own text shows its numbers; inspecting it would show the engine's bookkeeping.
  if (
    isObject(value) &&
    member(value, 'dataId') !== undefined &&
    typeof member(value, 'dataSync') === 'function' &&
    !value.isDisposed
  )
    return value.toString();
  return inspect(value, { depth: 4, maxArrayLength: 100, maxStringLength: 10_000, breakLength: 100 });
};

/** Any value → { data, metadata } with at least text/plain. */
export async function bundleOf(value) {
  if (isObject(value)) {
    const own = member(value, displaySymbol);
    if (typeof own === 'function') return split(await own.call(value));
    if (typeof member(value, 'toHTML') === 'function')
      return { data: bundleEntries({ 'text/html': value.toHTML({ limit: 100 }), 'text/plain': text(value) }), metadata: {} };
  }
  return { data: { 'text/plain': text(value) }, metadata: {} };
}

/** A bundle may also come with metadata as `{ data, metadata }`. */
function split(bundle) {
  const nested = isObject(bundle) && isObject(bundle.data) && !('text/plain' in bundle);
  return nested ? entries(bundle.data, bundle.metadata) : entries(bundle);
}
function entries(bundle, metadata) {
  if (!isObject(bundle)) throw new TypeError(`a bundle is an object such as { 'text/plain': 'x' }, not ${inspect(bundle)}`);
  const data = bundleEntries(bundle);
  data['text/plain'] ??= `<${Object.keys(data)[0] ?? 'nothing'}>`;
  return { data, metadata: isObject(metadata) ? metadata : {} };
}

const mimes = {
  javascript: 'text/javascript',
  html: 'text/html',
  markdown: 'text/markdown',
  latex: 'text/latex',
  svg: 'image/svg+xml',
  png: 'image/png',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  pdf: 'application/pdf',
  text: 'text/plain',
};

/** The object that answers `import … from 'tslab'`. `publish(type, content)` sends one message. */
export function tslabModule(publish, versions) {
  const displayer = (show) => ({
    ...Object.fromEntries(Object.entries(mimes).map(([name, mime]) => [name, (content) => show(mime, content)])),
    raw: (mime, content) => show(mime, content),
  });
  return {
    versions,
    display: displayer((mime, content) => publish('display_data', { ...split({ [mime]: content }), transient: {} })),
    newDisplay() {
      const show = updatable(publish);
      return displayer((mime, content) => show(split({ [mime]: content })));
    },
  };
}

/** Plotly's extension of JupyterLab keeps the figure it has drawn, whatever replaces it. */
const plotly = 'application/vnd.plotly.v1+json';

/** Shows a bundle the first time and replaces it afterwards. */
function updatable(publish) {
  const transient = { display_id: randomUUID() };
  let last;
  return (bundle) => {
    const type = last ? 'update_display_data' : 'display_data';
    // Something else in between makes the page draw the next figure again.
    if (last && plotly in last.data && plotly in bundle.data)
      publish(type, { data: { 'text/plain': '' }, metadata: {}, transient });
    publish(type, { ...bundle, transient });
    last = bundle;
  };
}

/**
 * The module 'voxelbook/kernel'; its types stand in kernel.d.ts.
 * @returns the module, `hide(value)` and `isHandle(value)` for what `display` returns, which is no result, and `shown()`, a promise that
 *   everything asked for so far is shown
 */
export function kernelModule(publish, { signal, input, comms }) {
  const handles = new WeakSet();
  let showing = Promise.resolve();
  const handle = (value) => {
    handles.add(value);
    return value;
  };
  const module = {
    get signal() {
      return signal();
    },
    display(value) {
      const show = updatable(publish);
      const next = async (given) => show(await bundleOf(await given));
      const done = next(value).then(() => handle({ update: next }));
      showing = Promise.allSettled([showing, done]);
      return handle(done);
    },
    displayBundle(data, metadata = {}) {
      const show = updatable(publish);
      show(entries(data, metadata));
      return handle({ update: (nextData, nextMetadata = {}) => show(entries(nextData, nextMetadata)) });
    },
    clearOutput: (wait = false) => publish('clear_output', { wait }),
    input,
    ...comms,
  };
  return { module, hide: handle, isHandle: (value) => isObject(value) && handles.has(value), shown: () => showing };
}

/**
 * Comms: named channels to widgets in the page. `receive` is fed with the messages that arrive.
 * @param within runs a handler as code of a cell: `within(owner, work)`; `owner()` is the cell that calls
 */
export function commModule(publish, { owner, within }) {
  const targets = new Map();
  const open = new Map();
  const make = (id, target, context) => {
    const comm = {
      id,
      target,
      onMessage: undefined,
      onClose: undefined,
      send: (data, { metadata = {}, buffers = [] } = {}) => publish('comm_msg', { comm_id: id, data }, { metadata, buffers }),
      close(data = {}) {
        open.delete(id);
        publish('comm_close', { comm_id: id, data });
      },
    };
    open.set(id, { comm, context });
    return comm;
  };
  return {
    comms: {
      openComm(target, data = {}, { metadata = {}, buffers = [] } = {}) {
        const id = randomUUID();
        publish('comm_open', { comm_id: id, target_name: target, data }, { metadata, buffers });
        return make(id, target, owner());
      },
      onComm: (target, handler) => void targets.set(target, { handler, context: owner() }),
    },
    /** What a handler prints or shows goes to the cell that opened the channel, or said who answers it. */
    receive(type, { comm_id: id, target_name: target, data }, { metadata, buffers }) {
      if (type === 'comm_open') {
        const answering = targets.get(target);
        const comm = make(id, target, answering?.context);
        if (answering) within(answering.context, () => answering.handler(comm, data, { metadata, buffers }));
        else comm.close();
        return;
      }
      const { comm, context } = open.get(id) ?? {};
      if (type === 'comm_msg') within(context, () => comm?.onMessage?.(data, { metadata, buffers }));
      if (type === 'comm_close') {
        open.delete(id);
        within(context, () => comm?.onClose?.(data));
      }
    },
  };
}
