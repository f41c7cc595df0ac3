// A notebook that starts a run and is closed after the first line of its log. Argument: experiment.json.
import fs from 'node:fs';
import { start } from '../../src/run/index.js';

void start(JSON.parse(fs.readFileSync(process.argv[2], 'utf8')), { display: null, onProgress: () => process.exit(0) });
