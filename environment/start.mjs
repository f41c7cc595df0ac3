// npm start: set-up, then the main job: the quickstart notebook executed in the project's own kernel through Jupyter.
import fs from 'node:fs';
import path from 'node:path';
import { root, setup } from './steps.mjs';

try {
  await setup();
  const { executeNotebook } = await import('./notebooks.mjs');
  const outFolder = path.join(root, 'runs');
  const begin = Date.now();
  await executeNotebook(path.join(root, 'notebooks/quickstart.ipynb'), { outFolder, timeoutSeconds: 1800 });
  const minutes = ((Date.now() - begin) / 60000).toFixed(1);
  const table = path.join(outFolder, 'quickstart.txt');
  if (fs.existsSync(table)) console.log(`\n${fs.readFileSync(table, 'utf8')}`);
  console.log(
    `The quickstart ran in ${minutes} minutes. In runs/: quickstart.ipynb (executed), quickstart.html (open in a browser), quickstart.csv (the table).`,
  );
  console.log('Open the same notebook in JupyterLab:  npm run lab');
} catch (error) {
  console.error(`\n${error.message}`);
  process.exit(1);
}
