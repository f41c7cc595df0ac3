// Worker threads that run the same from dist/ (JavaScript) and from the source tree (TypeScript through tsx).
import { fileURLToPath } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';

/** A worker running the module at `url` (give `new URL('./x.js', import.meta.url)`; the `.ts` twin is taken when the caller is one). */
export function startWorker(url: URL, options: WorkerOptions = {}): Worker {
  if (!import.meta.url.endsWith('.ts')) return new Worker(url, options);
  const source = url.href.replace(/\.js$/, '.ts');
  return new Worker(`import('tsx/esm/api').then(({ register }) => { register(); return import(${JSON.stringify(source)}); })`, {
    ...options,
    eval: true,
  });
}

/** Arguments for `node` that run a module of this library in a child process, from dist/ or from the source tree alike. */
export function nodeArguments(url: URL): string[] {
  const file = fileURLToPath(url);
  if (!import.meta.url.endsWith('.ts')) return [file];
  return ['--import', 'tsx', file.replace(/\.js$/, '.ts')];
}
