// npm run schemas: writes the JSON schemas and the page of keys from the built library.
import fs from 'node:fs';
import path from 'node:path';
import { root } from './steps.mjs';

await import(path.join(root, 'dist/index.js'));
const { referenceFiles } = await import(path.join(root, 'dist/run/reference.js'));
for (const [name, text] of Object.entries(referenceFiles())) {
  fs.writeFileSync(path.join(root, 'environment/docs', name), text);
  console.log(`environment/docs/${name}`);
}
