// What the recorded desk studies found, for whoever looks before running anything: each paper's verdicts as Markdown with a picture,
// beside its recording. `npm run book` makes them again; by themselves: node environment/recordedPages.mjs
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './steps.mjs';

/** Of each recording: its title and the paper's notebook. */
const about = {
  mednext: ['MedNeXt', 'mednext'],
  'mednext-resampling': ['MedNeXt, resampling blocks', 'mednext'],
  'kaist-brats21': ['KAIST BraTS21', 'kaist-brats21'],
  'kaist-brats21-attention': ['KAIST BraTS21, axial attention', 'kaist-brats21'],
  'stu-net': ['STU-Net', 'stu-net'],
  'swin-umamba': ['Swin-UMamba', 'swin-umamba'],
};

/** Path below the project → content, of every paper that has a recording. */
export async function recordedPages() {
  const { report, run } = await import(pathToFileURL(path.join(root, 'dist/index.js')).href);
  const pages = {};
  for (const name of run.recordedNames()) {
    // Colours go by the order in which names appear.
    report.resetColours();
    const found = run.recorded(name);
    const [, ...notes] = String(found).split('\n');
    const [title, notebook] = about[name];
    pages[`notebooks/recorded/${name}.svg`] = `${found.seedDifferences().toSvg()}\n`;
    pages[`notebooks/recorded/${name}.md`] = [
      `# ${title}: what its desk study found`,
      `Simulated data, two cores: not the paper's numbers. The notebook \`papers/${notebook}.ipynb\` says what was simulated, and shows cases.`,
      `![Every seed's difference](${name}.svg)`,
      found.decisionTable().toMarkdown().trim(),
      notes.join('  \n').trim().concat('\n'),
    ].join('\n\n');
  }
  return pages;
}

/** Writes those that differ. */
export async function writeRecordedPages() {
  for (const [file, text] of Object.entries(await recordedPages())) {
    const at = path.join(root, file);
    if (fs.existsSync(at) && fs.readFileSync(at, 'utf8') === text) continue;
    fs.writeFileSync(at, text);
    console.log(`written: ${file}`);
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await writeRecordedPages();
