// A page on this machine's own address, with the headers by which a browser gives it threads.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { PageFile } from '../onnx/index.js';

/** What a page needs to share memory between threads (cross-origin isolation), and what keeps it to itself. */
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-store',
};

/**
 * Serves the files of a page to this machine, and nothing else.
 * @param port 0 for any
 * @returns its address, and `close`
 */
export async function servePage(files: readonly PageFile[], port = 0): Promise<{ url: string; close(): Promise<void> }> {
  const byPath = new Map(files.map((file) => [`/${file.name}`, file]));
  byPath.set('/', files[0]);
  const server = http.createServer(({ method, url = '' }, response) => {
    const file = byPath.get(url.split('?')[0]);
    if (!file || method !== 'GET') {
      response.writeHead(file ? 405 : 404, headers).end();
      return;
    }
    const bytes = file.bytes();
    response.writeHead(200, { ...headers, 'Content-Type': `${file.type}; charset=utf-8`, 'Content-Length': bytes.length });
    response.end(bytes);
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close };
}
