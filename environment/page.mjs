// What runs in a browser, made of src/*/page and of packages: into dist/*/page. Part of set-up and of npm run build.
//
// Of the library a page takes what it calls, and that must need neither Node nor TensorFlow: a build that would take either along fails.
import fs from 'node:fs';
import { builtinModules } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './places.mjs';

const at = (name) => path.join(root, name);

/** Modules of src/ have no effect of their own on others: what is not called is left out, with all that it imports. */
const library = {
  name: 'library',
  setup(build) {
    build.onResolve({ filter: /^\./ }, ({ path: name, resolveDir }) => {
      const file = path.resolve(resolveDir, name);
      if (!file.startsWith(at('src/')) && !file.startsWith(at('environment/'))) return undefined;
      return { path: fs.existsSync(file) ? file : file.replace(/\.js$/, '.ts'), sideEffects: false };
    });
    const node = new Set(builtinModules);
    build.onResolve({ filter: /^(node:)?[a-z_]+$/ }, ({ path: name }) =>
      name.startsWith('node:') || node.has(name) ? { path: name, external: true, sideEffects: false } : undefined,
    );
  },
};

/** Of zod's words for faults, which are our own here, the English ones are enough. */
const oneLanguage = {
  name: 'one language',
  setup: (build) => build.onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({ contents: 'export {}' })),
};

/** niivue comes once, as a script of its own in front of what uses it. */
const niivue = {
  name: 'niivue',
  setup(build) {
    build.onResolve({ filter: /^@niivue\/niivue$/ }, ({ path: name }) => ({ path: name, namespace: 'script' }));
    build.onLoad({ filter: /.*/, namespace: 'script' }, () => ({ contents: 'module.exports = niivue', loader: 'js' }));
  },
};

async function bundle(esbuild, from, to, format, more = { plugins: [library, oneLanguage, niivue] }) {
  const { metafile } = await esbuild.build({
    entryPoints: [at(from)],
    outfile: at(to),
    bundle: true,
    format,
    platform: 'browser',
    target: 'es2023',
    minify: true,
    metafile: true,
    legalComments: 'none',
    // Of modules that are left out after all.
    logLevel: 'error',
    ...more,
  });
  const [{ imports, inputs }] = Object.values(metafile.outputs);
  const foreign = imports.filter(({ external }) => external).map(({ path }) => path);
  const names = Object.keys(inputs).filter((name) => inputs[name].bytesInOutput > 0);
  const heavy = names.filter((name) => name.includes('tfjs') || name.startsWith('src/tensor/'));
  if (foreign.length > 0 || heavy.length > 0)
    throw new Error(
      `${from} would take ${[...new Set(foreign), ...heavy].join(', ')} into a page; it may use neither Node nor TensorFlow`,
    );
  return names;
}

/** Packages that files come from, with version, licence and, where it has one, the text of it. */
function notices(inputs) {
  const folders = new Set(
    inputs.map((name) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(name)?.[1]).filter((name) => name !== undefined),
  );
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license, author, repository } = JSON.parse(fs.readFileSync(at(`${folder}/package.json`), 'utf8'));
    const file = fs.readdirSync(at(folder)).find((one) => /^licen[cs]e(\.|$)/i.test(one));
    const by = typeof author === 'string' ? author : author?.name;
    const head = [`${name} ${version}: ${license}`, by, typeof repository === 'string' ? repository : repository?.url];
    return [...head, file && fs.readFileSync(at(`${folder}/${file}`), 'utf8')].filter(Boolean).join('\n');
  });
  return `Packages in this page, beside voxelbook (Apache-2.0)\n\n${texts.join('\n\n')}\n`;
}

export async function buildPages() {
  const esbuild = await import('esbuild');
  fs.mkdirSync(at('dist/onnx/page'), { recursive: true });
  const script = at('node_modules/@niivue/niivue/build/niivue/index.js');
  const inputs = [
    ...(await bundle(esbuild, path.relative(root, script), 'dist/onnx/page/niivue.js', 'iife', { globalName: 'niivue' })),
    ...(await bundle(esbuild, 'src/onnx/page/page.ts', 'dist/onnx/page/page.js', 'iife')),
    ...(await bundle(esbuild, 'src/onnx/page/worker.ts', 'dist/onnx/page/worker.js', 'iife')),
  ];
  await bundle(esbuild, 'src/report/page/live.ts', 'dist/report/page/live.js', 'esm');
  const runtime = (ending) => at(`node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.${ending}`);
  for (const ending of ['mjs', 'wasm']) fs.copyFileSync(runtime(ending), at(`dist/onnx/page/ort.${ending}`));
  fs.copyFileSync(at('src/onnx/page/page.html'), at('dist/onnx/page/page.html'));
  fs.writeFileSync(at('dist/onnx/page/licences.txt'), notices(inputs));
}

if (process.argv[1] && import.meta.url === pathToFileURL(fs.realpathSync(process.argv[1])).href) await buildPages();
