// `voxelbook new`: a folder to begin a study in.
import fs from 'node:fs';
import path from 'node:path';
import { type Command, need, print, usage } from './command.js';

const files = ['README.md', 'experiment.json', 'parts.ts', 'study.ipynb'];

export const newStudy: Command = {
  about: 'make a folder with a notebook, an experiment, a file for parts of your own and a README',
  takes: '<folder>',
  options: {},
  help: {},
  example: 'npx voxelbook new my-study',
  async work(positionals) {
    const [name] = need(positionals, 'folder');
    const folder = path.resolve(name);
    if (fs.existsSync(folder) && fs.readdirSync(folder).length > 0)
      throw usage(`${name}, which is not empty`, 'a folder that is new or empty');
    fs.mkdirSync(folder, { recursive: true });
    const { projectRoot } = await import('../../base/paths.js');
    const words = { name: path.basename(folder), docs: path.join(projectRoot, 'environment/docs') };
    for (const file of files) {
      const text = fs.readFileSync(path.join(projectRoot, 'environment/study', file), 'utf8');
      fs.writeFileSync(path.join(folder, file), filled(text, file, words));
    }
    print(`${name} holds ${files.join(', ')}. Next: cd ${name}; npx voxelbook lab study.ipynb`);
  },
};

function filled(text: string, file: string, { name, docs }: { name: string; docs: string }): string {
  const title = file.endsWith('.ipynb') ? JSON.stringify(name).slice(1, -1) : name;
  const done = text.replaceAll('{{name}}', () => title).replaceAll('{{docs}}', () => docs);
  if (!file.endsWith('.json')) return done;
  // An editor completes keys by it.
  const schema = `"$schema": ${JSON.stringify(path.join(docs, 'experiment.schema.json'))},\n  `;
  return done.replace('{\n  ', () => `{\n  ${schema}`);
}
