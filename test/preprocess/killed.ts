// Preprocesses until it is killed: `killed.ts <raw folder> <plan.json> <preprocessed folder>`.
import fs from 'node:fs';
import { open } from '../../src/dataset/index.js';
import { run } from '../../src/preprocess/index.js';

const [raw, plan, folder] = process.argv.slice(2);
await run(open(raw), JSON.parse(fs.readFileSync(plan, 'utf8')), '3d_fullres', { folder, workers: 1 });
