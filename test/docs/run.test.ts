// The code of the README and the guides, run as it is read: from a folder that has voxelbook installed, on a small set under the page's name.
// A block that is neither run here nor named below, with the reason, is a fault.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { projectRoot } from '../../src/base/paths.js';
import { writeTinySet } from '../run/tiny.js';

const { blocksOf, pages } = await import(new URL('../../environment/checkDocs.mjs', import.meta.url).href);

interface Block {
  language: string;
  code: string;
  line: number;
  name?: string;
}
const textOf = (page: string) => fs.readFileSync(path.join(projectRoot, page), 'utf8');
const isCode = ({ language, code }: Block) =>
  language === 'ts' || /^(npx|npm|python|podman|apptainer|apt-get|export) /m.test(code);
const code: [string, Block][] = pages().flatMap((page: string) =>
  blocksOf(textOf(page))
    .filter(isCode)
    .map((block: Block) => [page, block]),
);

/** Blocks that are not run here, by how they begin. */
const elsewhere: [RegExp, string][] = [
  [/^npm start /, 'what a landing runs'],
  [/^apt-get install g\+\+/, 'test/fresh/machine.test.ts'],
  [/^npm install voxelbook-<version>/, 'test/fresh/package.test.ts'],
  [/^npx voxelbook setup --download/, 'test/fresh/offline.test.ts'],
  [/^npm install --global/, 'test/fresh/package.test.ts'],
  [/^npx voxelbook fetch/, 'test/dataset/fetch.test.ts'],
  [/^npx voxelbook convert MSD/, 'test/dataset/convert.test.ts'],
  [/^npx voxelbook convert dicom/, 'test/dataset/dicom.test.ts'],
  [/^npx voxelbook predict Dataset501/, 'test/dataset/dicom.test.ts'],
  [/^npx voxelbook convert monai/, 'test/dataset/listed.test.ts'],
  [/^(npm run pack|podman|#!\/bin\/bash)/, 'asks for a container engine or a cluster'],
  [/^npm run notebooks -- notebooks\/course/, 'half an hour of lessons'],
  [/^ {2}npm run notebooks -- notebooks\/course/, 'half an hour of lessons'],
  [/^npx voxelbook lab study/, 'test/fresh/package.test.ts'],
  [/^python3 -m venv grading/, 'asks for nbgrader'],
  [/^cat > glioma\.json/, 'a minute of training; test/onnx/bundle.test.ts measures the same on a smaller network'],
];

describe('the code of the pages', function () {
  this.timeout(300_000);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-pages-'));
  const ran = new Set<string>();
  const env = { ...process.env, VOXELBOOK_RUNS: path.join(folder, 'runs'), VOXELBOOK_DATA: path.join(folder, 'data') };

  before(() => {
    fs.mkdirSync(path.join(folder, 'node_modules/.bin'), { recursive: true });
    fs.symlinkSync(projectRoot, path.join(folder, 'node_modules/voxelbook'));
    const bin = path.join(folder, 'node_modules/.bin/voxelbook');
    fs.writeFileSync(bin, `#!/bin/sh\nexec '${process.execPath}' '${path.join(projectRoot, 'dist/run/cli.js')}' "$@"\n`, {
      mode: 0o755,
    });
    const set = path.join(folder, 'Dataset042_Liver');
    writeTinySet(set);
    fs.mkdirSync(path.join(folder, 'imagesTs'));
    fs.copyFileSync(path.join(set, 'imagesTr/ball_0_0000.nii.gz'), path.join(folder, 'imagesTs/new_0000.nii.gz'));
  });
  after(() => fs.rmSync(folder, { recursive: true, force: true }));

  /** The one block of a page that has this. */
  const find = (page: string, what: RegExp) => {
    const found = code.filter(([at, block]) => at === page && what.test(block.code));
    assert.equal(found.length, 1, `${page}: ${found.length} blocks have ${what}`);
    ran.add(`${page}:${found[0][1].line}`);
    return found[0][1].code;
  };
  const done = (command: string, args: string[]) => {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8', env });
    assert.equal(status, 0, `${command} ${args.join(' ')}\n${stdout.slice(-2000)}\n${stderr.slice(-2000)}`);
    return stdout;
  };
  const shell = (lines: string) => done('sh', ['-ec', lines]);
  const typescript = (text: string) => {
    const file = path.join(folder, 'page.mts');
    fs.writeFileSync(file, text);
    return done(process.execPath, ['--import', import.meta.resolve('tsx/esm'), file]);
  };
  /** Makes an experiment's file one of two steps. */
  const shorten = (name: string) => {
    const file = path.join(folder, name);
    const experiment = JSON.parse(fs.readFileSync(file, 'utf8'));
    Object.assign(experiment.recipe, { epochs: 1, iterationsPerEpoch: 2, validationIterationsPerEpoch: 1 });
    experiment.scale = 'demo';
    fs.writeFileSync(file, JSON.stringify(experiment));
  };

  it('own data: from a folder to labels, and the cell for a notebook', () => {
    const page = 'environment/docs/own-data.md';
    const lines = find(page, /^npx voxelbook check Dataset042_Liver/).split('\n');
    assert.equal(lines.length, 5);
    shell(lines.slice(0, 3).join('\n'));
    shorten('e.json');
    shell(lines.slice(3).join('\n'));
    assert.ok(fs.existsSync(path.join(folder, 'out/new.nii.gz')));
    assert.match(typescript(find(page, /vb\.dataset\.check\(/)), /0 fault|clean|no fault/i);
  });

  it('a trained network elsewhere', () => {
    const lines = find('environment/docs/onnx.md', /^npx voxelbook export-onnx mednext\.json/).split('\n');
    fs.copyFileSync(path.join(folder, 'e.json'), path.join(folder, 'mednext.json'));
    // The lines for nnU-Net's folder and for Python have tests of their own, test/onnx/bundle.test.ts.
    shell(lines.filter((line) => / mednext\.json | --run mednext\.bundle/.test(line)).join('\n'));
    assert.ok(fs.existsSync(path.join(folder, 'labels/new.nii.gz')));
  });

  it('README: the library in six lines, up to the study that the quickstart runs; plain Node', () => {
    const readme = find('README.md', /vb\.paper\.mednext\.ablation/);
    const [short, rest] = readme.split(/^(?=const study)/m);
    assert.match(rest, /vb\.paper\.mednext\.ablation/);
    typescript(short.replace('/data/nnUNet_raw/Dataset027_ACDC', path.join(folder, 'Dataset042_Liver')));
    assert.match(typescript(find('environment/docs/install.md', /vb\.run\.list\(\)/)), /^2 \d+ \d+$/m);
  });

  it('no block is forgotten', () => {
    const forgotten = code.filter(
      ([page, { code, line, name }]) =>
        // Blocks that are modules are trained with by test/run/howTos.test.ts and test/run/ownPartsPage.test.ts.
        !name && !ran.has(`${page}:${line}`) && !elsewhere.some(([begin]) => begin.test(code)),
    );
    assert.deepEqual(
      forgotten.map(([page, { line, code }]) => `${page}:${line}: ${code.split('\n')[0]}`),
      [],
    );
    for (const [, where] of elsewhere)
      if (where.startsWith('test/')) assert.ok(fs.existsSync(path.join(projectRoot, where)), where);
  });
});
