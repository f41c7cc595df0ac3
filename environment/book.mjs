// npm run book: the executed notebooks, the guides and the reference of all public names, as one site that fetches nothing from
// elsewhere and is searched as one.
//
//   npm run book [-- --executed runs/notebooks] [--out runs/book]
//
// What has not been executed, or has changed since, is run first. With --executed nothing is run: the book is made of the
// notebooks in that folder, and its sub-folders are the parts of the book.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { allNotebooks, executeAll, folderOf, notebooksIn } from './notebooks.mjs';
import { writeRecordedPages } from './recordedPages.mjs';
import { python, root, run, setup } from './steps.mjs';

const settings = path.join(root, 'environment/book');

/** The guides, in the order of its contents; they keep their places, so that their links stay as they are. */
const guides = [
  ...['install', 'front-ends', 'own-data', 'experiment', 'own-parts', 'nnunet', 'monai', 'onnx', 'container'].map(
    (n) => `environment/docs/${n}.md`,
  ),
  ...[
    'environment/slurm/README.md',
    'kernels/README.md',
    'notebooks/course/README.md',
    'ARCHITECTURE.md',
    'FEATURES.md',
    'SECURITY.md',
  ],
];

/** The parts of the book in the order of its contents, by folder. */
const parts = { '': 'Quickstart', papers: 'Papers', course: 'Course', 'course/solutions': 'Solutions' };

/**
 * Builds the book.
 * @param executed the notebooks, as `{ file, folder }`; the folder decides the part
 * @param api entry points below `src/` whose public names are described; default all
 * @param outFolder receives `html/`, the book, and `source/`, what it is built from
 * @returns `index`, the path of the first page, and `warnings`, what the builder complained about
 */
export async function buildBook(executed, { outFolder, api = [], output = process.stdout }) {
  if (executed.length === 0) throw new Error('no executed notebooks to make a book of\nWhat to do: npm run notebooks');
  await installBuilder(output);
  const pages = executed.map(readPage);
  // Built beside and renamed when it is whole: whatever ends it on the way leaves the book that stood there.
  const beside = path.join(outFolder, 'next');
  const source = path.join(beside, 'source');
  fs.rmSync(beside, { recursive: true, force: true });
  for (const page of pages) write(path.join(source, fileOf(page)), page.notebook);
  write(path.join(source, 'index.ipynb'), firstPage(pages));
  for (const guide of guides) {
    const place = path.join(source, guide);
    fs.mkdirSync(path.dirname(place), { recursive: true });
    fs.copyFileSync(path.join(root, guide), place);
  }
  await describeNames(path.join(source, 'api'), api);
  const doctrees = path.join(beside, 'doctrees');
  const html = path.join(beside, 'html');
  const warnings = await run(python, ['-m', 'sphinx', '-q', '-E', '-c', settings, '-d', doctrees, source, html]);
  const old = path.join(outFolder, 'old');
  fs.rmSync(old, { recursive: true, force: true });
  fs.mkdirSync(old);
  for (const name of ['source', 'html']) {
    const place = path.join(outFolder, name);
    if (fs.existsSync(place)) fs.renameSync(place, path.join(old, name));
    fs.renameSync(path.join(beside, name), place);
  }
  for (const folder of [old, beside]) fs.rmSync(folder, { recursive: true, force: true });
  return { index: path.join(outFolder, 'html/index.html'), warnings: warnings.trim() };
}

/** A page for each room, from the doc comments. */
async function describeNames(folder, entries) {
  const given = entries.flatMap((entry) => ['--entryPoints', path.join(root, 'src', entry)]);
  const options = ['--options', path.join(settings, 'typedoc.json'), '--out', folder];
  await run(process.execPath, [path.join(root, 'node_modules/typedoc/bin/typedoc'), ...options, ...given], {
    hint: 'npm run check says what is wrong with the source',
  });
}

/** The builder is installed on first use, into the project's Python environment: set-up stays short. */
async function installBuilder(output) {
  const requirements = path.join(settings, 'requirements.txt');
  const wanted = createHash('sha256').update(fs.readFileSync(requirements)).digest('hex');
  // Inside the environment: when that is made again, this goes with it.
  const stamp = path.join(path.dirname(python), '../book-builder');
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === wanted) return;
  const begin = Date.now();
  output.write('Installing the book builder (Sphinx), once …');
  // It lists what the notebooks run with at the same versions.
  await run(python, ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--require-hashes', '-r', requirements], {
    hint: 'check that the Python package index is reachable, then run again',
  });
  fs.writeFileSync(stamp, wanted);
  output.write(` ${((Date.now() - begin) / 1000).toFixed(1)} s\n`);
}

const textOf = (cell) => [cell.source].flat().join('');
const tagsOf = (cell) => cell.metadata.tags ?? [];
const fileOf = ({ folder, name }) => path.posix.join(folder, `${name}.ipynb`);

function write(file, notebook) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, JSON.stringify(notebook));
}

/** A notebook with what the first page says of it: its title, its first paragraph, how long it ran. */
function readPage({ file, folder }) {
  const notebook = JSON.parse(fs.readFileSync(file, 'utf8'));
  const name = path.basename(file, '.ipynb');
  const opening = notebook.cells.find((cell) => cell.cell_type === 'markdown' && textOf(cell).startsWith('# '));
  const [heading = `# ${name}`, lead = ''] = opening ? textOf(opening).split(/\n\s*\n/) : [];
  if (!opening) notebook.cells.unshift({ cell_type: 'markdown', id: 'title', metadata: {}, source: heading });
  // What JupyterLab folds away is folded away here too.
  for (const cell of notebook.cells)
    if (cell.metadata.jupyter?.source_hidden) cell.metadata.tags = [...tagsOf(cell), 'hide-input'];
  return { folder, name, notebook, title: heading.slice(2), lead, took: took(notebook) };
}

/** From the first cell's start to the last one's end: `8.1 minutes`; empty when no times were recorded. */
function took({ cells }) {
  const times = cells.flatMap((cell) => Object.values(cell.metadata.execution ?? {}).map(Date.parse));
  if (times.length === 0) return '';
  const seconds = (Math.max(...times) - Math.min(...times)) / 1000;
  return seconds < 90 ? `${seconds.toFixed(0)} seconds` : `${(seconds / 60).toFixed(1)} minutes`;
}

/** The first page, itself a notebook: a gallery whose outputs are those of the papers' main cells; then the other parts. */
function firstPage(pages) {
  const of = (folder) => pages.filter((page) => page.folder === folder);
  const named = (folder) => parts[folder] ?? folder;
  const folders = [...new Set([...Object.keys(parts), ...pages.map((page) => page.folder)])].filter((f) => of(f).length > 0);
  const link = (page, text = page.title) => `[${text}](${fileOf(page)})`;
  const text = (...paragraphs) => ({ cell_type: 'markdown', metadata: {}, source: paragraphs.join('\n\n') });
  const contents = folders.map((folder) => {
    const documents = of(folder).map((page) => fileOf(page).replace(/\.ipynb$/, ''));
    return `\`\`\`{toctree}\n:caption: ${named(folder)}\n:hidden:\n\n${documents.join('\n')}\n\`\`\``;
  });
  const title = (guide) => /^# (.+)$/m.exec(fs.readFileSync(path.join(root, guide), 'utf8'))[1];
  contents.push(
    `\`\`\`{toctree}\n:caption: Guides\n:hidden:\n\n${guides.map((guide) => guide.replace(/\.md$/, '')).join('\n')}\n\`\`\``,
    '```{toctree}\n:caption: Reference\n:hidden:\n:glob:\n\napi/index\n```',
  );
  const gallery = of('papers').flatMap((page) => [
    text(`### ${page.title}`, page.lead),
    ...mainOutputs(page.notebook).map((outputs) => ({
      ...{ cell_type: 'code', source: `// ${fileOf(page)}`, outputs, execution_count: null },
      metadata: { tags: ['remove-input'] },
    })),
    text(`${link(page, 'The whole notebook')}${page.took && `, run in ${page.took}`}`),
  ]);
  const listed = (page) => {
    const solved = pages.find((other) => other.name === `${page.name}-solved`);
    return `- ${link(page)}${solved ? ` (${link(solved, 'solved')})` : ''}. ${firstSentence(page.lead)}`;
  };
  const list = (folder) => text(`## ${named(folder)}`, of(folder).map(listed).join('\n'));
  const apart = ['papers', 'course', 'course/solutions', ''];
  const others = folders.filter((folder) => !apart.includes(folder));
  const cells = [
    text(
      '# Medical image segmentation papers as notebooks',
      'Every number and every picture of this book comes from the run that made it.',
      ...contents,
    ),
    ...(gallery.length > 0 ? [text('## Papers'), ...gallery] : []),
    ...['course', '', ...others].filter((folder) => folders.includes(folder)).map(list),
    text('## Guides', guides.map((guide) => `- [${title(guide)}](${guide})`).join('\n')),
    text('## Reference', '[Every public name](api/index.md), room by room, with shapes, units and errors.'),
  ];
  const { metadata } = pages[0].notebook;
  return {
    cells: cells.map((cell, i) => ({ id: `cell-${i}`, ...cell })),
    metadata: { kernelspec: metadata.kernelspec, language_info: metadata.language_info },
    nbformat: 4,
    nbformat_minor: 5,
  };
}

const firstSentence = (paragraph) => paragraph.replaceAll('\n', ' ').match(/^.*?[.?!](?=\s|$)/)?.[0] ?? paragraph;

/** Outputs of the cells tagged `gallery`; without that tag the first table beside a published one, and the first plot. */
function mainOutputs({ cells }) {
  const shown = (cell) => (cell.outputs ?? []).filter((output) => output.data);
  const chosen = cells.filter((cell) => tagsOf(cell).includes('gallery'));
  if (chosen.length > 0) return chosen.map(shown);
  const first = (wanted, among = cells) => among.flatMap(shown).find(({ data }) => wanted(data));
  const isTable = (data) => [data['text/html']].flat().join('').includes('<table');
  const table =
    first(
      isTable,
      cells.filter((cell) => textOf(cell).includes('paper.beside(')),
    ) ?? first(isTable);
  const figure = first((data) => data['image/svg+xml']) ?? first((data) => data['image/png']);
  return [table, figure].filter(Boolean).map((output) => [output]);
}

/** What the notebooks of the project need before they are a book: those executed, as they are now, and those still to run. */
function executedAndNot() {
  const folder = path.join(root, 'runs/notebooks');
  const executed = [];
  const toRun = [];
  for (const file of allNotebooks()) {
    const part = folderOf(file);
    // `npm start` leaves the quickstart in runs/.
    const places = [path.join(folder, part, path.basename(file)), path.join(root, 'runs', part, path.basename(file))];
    const states = places.map((place) => stateOf(file, place));
    const fresh = states.indexOf('executed');
    executed.push({ file: places[Math.max(fresh, 0)], folder: part });
    if (fresh < 0) toRun.push({ file, state: states[0] });
  }
  return { executed, toRun };
}

/** Whether an executed notebook ran to its end with the cells its source has now. */
function stateOf(file, executedFile) {
  if (!fs.existsSync(executedFile)) return 'not executed yet';
  const [now, then] = [file, executedFile].map((f) => JSON.parse(fs.readFileSync(f, 'utf8')).cells);
  const written = (cells) => {
    const own = cells.filter((cell) => !tagsOf(cell).includes('injected-parameters'));
    return JSON.stringify(own.map((cell) => [cell.cell_type, textOf(cell), tagsOf(cell)]));
  };
  if (written(now) !== written(then)) return 'changed since';
  const failed = then.some((cell) => cell.outputs?.some((output) => output.output_type === 'error'));
  return failed ? 'failed last time' : 'executed';
}

async function main(args) {
  const options = { '--out': path.join(root, 'runs/book'), '--executed': undefined };
  while (args.length > 0) {
    const name = args.shift();
    if (!(name in options) || args.length === 0)
      throw new Error(`unknown option ${name}; there are --executed FOLDER and --out FOLDER`);
    options[name] = path.resolve(args.shift());
  }
  await setup();
  await writeRecordedPages();
  const given = options['--executed'];
  let executed;
  let failed = 0;
  if (given) {
    executed = notebooksIn(given).map((file) => ({ file, folder: path.relative(given, path.dirname(file)) }));
    console.log(`Nothing is run: the book is made of the ${executed.length} notebooks in ${given}`);
  } else {
    const found = executedAndNot();
    executed = found.executed;
    if (found.toRun.length > 0) {
      console.log(
        `${found.toRun.length} of ${executed.length} notebooks are run first; --executed FOLDER takes what a folder has instead:`,
      );
      for (const { file, state } of found.toRun) console.log(`  ${path.relative(root, file)}: ${state}`);
      const rows = await executeAll(found.toRun.map(({ file }) => file));
      if (rows.length < found.toRun.length) throw new Error('stopped; npm run book goes on from here');
      failed = rows.filter((row) => row.error).length;
    }
    executed = executed.filter(({ file }) => fs.existsSync(file));
  }
  const begin = Date.now();
  const { index, warnings } = await buildBook(executed, { outFolder: options['--out'] });
  if (warnings) console.error(warnings);
  console.log(`The book of ${executed.length} notebooks, built in ${((Date.now() - begin) / 1000).toFixed(1)} s: ${index}`);
  if (failed > 0) console.error(`${failed} of them failed; their pages show how far they came.`);
  return failed > 0 ? 1 : 0;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    process.exit(await main(process.argv.slice(2)));
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
