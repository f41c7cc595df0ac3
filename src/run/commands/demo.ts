// `voxelbook demo`: a bundle as a page in which a browser segments a volume.
import { type Command, integer, interrupt, need, print, workProgress } from './command.js';

export const demo: Command = {
  about:
    'a page in which the browser itself segments a volume with a bundle that export-onnx wrote: served here, or written as files',
  takes: '<bundle>',
  options: { out: { type: 'string' }, port: { type: 'string' } },
  help: {
    out: 'write the page into this folder, for any server or to be opened as a file, instead of serving it',
    port: 'of this machine’s own address 127.0.0.1 (default: one that is free)',
  },
  example: 'npx voxelbook demo mednext.bundle',
  async work(positionals, values) {
    const [bundle] = need(positionals, 'bundle');
    const { pageFiles, writePage } = await import('../../onnx/index.js');
    const signal = interrupt();
    if (values.out !== undefined) {
      const out = String(values.out);
      writePage(bundle, out, { signal, onProgress: workProgress });
      print(
        `${out}/index.html: open it as a file (one thread), or serve the folder; the guide on ONNX names the headers for threads`,
      );
      return;
    }
    const { servePage } = await import('../servePage.js');
    const { url, close } = await servePage(pageFiles(bundle), integer(values.port, 'port', 0));
    print(`${url} segments in the browser with ${bundle}; Ctrl-C ends it`);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    await close();
  },
};
