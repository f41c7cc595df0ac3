// What a cell can show, and how: mime bundles, tslab's `display`, and the module 'voxelbook/kernel'.
import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';

/** A value with a method of this name shows itself: it returns a mime bundle, or a promise of one. */
export const displaySymbol = Symbol.for('Jupyter.display');
/** Where library code finds the kernel's services without importing it. */
export const kernelSymbol = Symbol.for('Jupyter.kernel');

const text = (value) => {
  // A tensor's own text shows its numbers; inspecting it would show the engine's bookkeeping.
  if (value?.dataId !== undefined && typeof value.dataSync === 'function' && !value.isDisposed) return value.toString();
  return inspect(value, { depth: 4, maxArrayLength: 100, maxStringLength: 10_000, breakLength: 100 });
};

/** Any value → { data, metadata } with at least text/plain. */
export async function bundleOf(value) {
  if (value !== null && (typeof value === 'object' || typeof value === 'function')) {
    const own = value[displaySymbol];
    if (typeof own === 'function') return split(await own.call(value));
    if (typeof value.toHTML === 'function')
      return { data: { 'text/html': value.toHTML({ limit: 100 }), 'text/plain': text(value) }, metadata: {} };
  }
  return { data: { 'text/plain': text(value) }, metadata: {} };
}

/** Bytes become base64; a bundle may also come with metadata as `{ data, metadata }`. */
function split(bundle) {
  const nested = bundle && typeof bundle.data === 'object' && !('text/plain' in bundle);
  const given = nested ? bundle.data : bundle;
  const data = {};
  for (const [mime, content] of Object.entries(given ?? {}))
    data[mime] = content instanceof Uint8Array ? Buffer.from(content).toString('base64') : content;
  data['text/plain'] ??= `<${Object.keys(data)[0] ?? 'nothing'}>`;
  return { data, metadata: (nested && bundle.metadata) || {} };
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

/** Shows a bundle the first time and replaces it afterwards. */
function updatable(publish) {
  const transient = { display_id: randomUUID() };
  let shown = false;
  return (bundle) => {
    publish(shown ? 'update_display_data' : 'display_data', { ...bundle, transient });
    shown = true;
  };
}

/** The module 'voxelbook/kernel'; its types stand in kernel.d.ts. */
export function kernelModule(publish, { signal, input, comms }) {
  return {
    get signal() {
      return signal();
    },
    async display(value) {
      const show = updatable(publish);
      show(await bundleOf(value));
      return { update: async (next) => show(await bundleOf(next)) };
    },
    displayBundle(data, metadata = {}) {
      const show = updatable(publish);
      show(split({ data, metadata }));
      return { update: (nextData, nextMetadata = {}) => show(split({ data: nextData, metadata: nextMetadata })) };
    },
    clearOutput: (wait = false) => publish('clear_output', { wait }),
    input,
    ...comms,
  };
}

/** Comms: named channels to widgets in the page. `receive` is fed with the messages that arrive. */
export function commModule(publish) {
  const targets = new Map();
  const open = new Map();
  const make = (id, target) => {
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
    open.set(id, comm);
    return comm;
  };
  return {
    comms: {
      openComm(target, data = {}, { metadata = {}, buffers = [] } = {}) {
        const comm = make(randomUUID(), target);
        publish('comm_open', { comm_id: comm.id, target_name: target, data }, { metadata, buffers });
        return comm;
      },
      onComm: (target, handler) => void targets.set(target, handler),
    },
    receive(type, { comm_id: id, target_name: target, data }, { metadata, buffers }) {
      if (type === 'comm_open') {
        const handler = targets.get(target);
        const comm = make(id, target);
        if (handler) handler(comm, data, { metadata, buffers });
        else comm.close();
        return;
      }
      const comm = open.get(id);
      if (type === 'comm_msg') comm?.onMessage?.(data, { metadata, buffers });
      if (type === 'comm_close') {
        open.delete(id);
        comm?.onClose?.(data);
      }
    },
    list: () => Object.fromEntries([...open].map(([id, { target }]) => [id, { target_name: target }])),
  };
}
