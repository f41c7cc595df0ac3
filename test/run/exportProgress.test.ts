// A run's log as other tools read it: TensorBoard's and wandb's own readers, where VOXELBOOK_TENSORBOARD and VOXELBOOK_WANDB name a
// Python that has them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { crc32c, eventFile } from '../../src/run/eventFile.js';
import { exportProgress } from '../../src/run/exportProgress.js';
import { wandbFile } from '../../src/run/wandbFile.js';

const line = {
  epoch: 0,
  epochs: 2,
  step: 4,
  steps: 8,
  loss: 0.5,
  validationLoss: 0.75,
  pseudoDsc: 0.25,
  pseudoDscPerClass: [0.5, null],
  lr: 0.01,
  gradientNorm: 3.5,
  seconds: 10,
  waitingShare: 0.1,
  rssBytes: 1e9,
  etaSeconds: 10,
};
const early = { ...line, step: 2, seconds: 5, validationLoss: null, pseudoDsc: null, pseudoDscPerClass: null };

function runFolder(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'export-'));
  fs.writeFileSync(path.join(folder, 'progress.jsonl'), [early, line].map((l) => `${JSON.stringify(l)}\n`).join(''));
  const json = {
    channel_names: { '0': 'T1' },
    labels: { background: 0, 'tumour, core': 1, shell: 2 },
    numTraining: 1,
    file_ending: '.png',
  };
  fs.writeFileSync(path.join(folder, 'dataset.json'), JSON.stringify(json));
  fs.utimesSync(path.join(folder, 'progress.jsonl'), 1_700_000_010, 1_700_000_010);
  return folder;
}

/** Every number that TensorBoard finds, by tag: [step, wall time, value]. */
const reader = `
import glob, json, sys
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
found = {}
for event in EventFileLoader(sys.argv[1]).Load():
    for value in event.summary.value:
        found.setdefault(value.tag, []).append([event.step, event.wall_time, value.tensor.float_val[0] if value.HasField('tensor') else value.simple_value])
print(json.dumps(found))
`;

/** Every row that wandb's own reader finds. */
const wandbReader = `
import json, sys
from wandb.proto import wandb_internal_pb2 as proto
from wandb.sdk.internal.datastore import DataStore
store = DataStore()
store.open_for_scan(sys.argv[1])
rows = []
while (data := store.scan_data()) is not None:
    record = proto.Record.FromString(data)
    if record.WhichOneof('record_type') == 'history':
        rows.append({item.nested_key[0]: json.loads(item.value_json) for item in record.history.item})
print(json.dumps(rows))
`;

describe('the progress of a run for other tools', () => {
  it('has Castagnoli’s checksum (RFC 3720, B.4)', () => {
    assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
    assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
    assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  });

  it('is byte for byte what TensorBoard’s own writer makes of the same numbers', () => {
    // eventFile.py wrote it with tensorboard 2.21.0.
    const { events, base64 } = JSON.parse(fs.readFileSync(new URL('./eventFile.json', import.meta.url), 'utf8'));
    assert.equal(eventFile(events).toString('base64'), base64);
  });

  it('is read by TensorBoard', function () {
    const python = process.env.VOXELBOOK_TENSORBOARD;
    if (!python) return this.skip();
    this.timeout(120_000);
    const file = exportProgress(runFolder(), 'tensorboard');
    const found = JSON.parse(
      execFileSync(python, ['-c', reader, file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    );
    assert.deepEqual(found['train/gradient_norm'], [
      [2, 1_700_000_005, 3.5],
      [4, 1_700_000_010, 3.5],
    ]);
    assert.deepEqual(found['validation/pseudo_dice/tumour, core'], [[4, 1_700_000_010, 0.5]]);
    assert.deepEqual(found['validation/loss'], [[4, 1_700_000_010, 0.75]]);
    assert.equal(found['validation/pseudo_dice/shell'], undefined);
  });

  it('is byte for byte what wandb’s own writer makes of the same run, records over several blocks too', () => {
    // wandbFile.py wrote it with wandb 0.22.3.
    const golden = JSON.parse(fs.readFileSync(new URL('./wandbFile.json', import.meta.url), 'utf8'));
    assert.equal(wandbFile(golden.run).toString('base64'), golden.base64);
    const { length, rows, sha256 } = golden.long;
    const long = wandbFile({
      ...golden.run,
      config: { filler: 'x'.repeat(length) },
      rows: Array.from({ length: rows }, (_, i) => ({ step: i + 1, seconds: i, values: { a: i } })),
    });
    assert.equal(createHash('sha256').update(long).digest('hex'), sha256);
  });

  it('is an offline run of W&B with a row a step, named by the run’s hash', () => {
    const run = exportProgress(runFolder(), 'wandb', fs.mkdtempSync(path.join(os.tmpdir(), 'wandb-')));
    assert.match(path.basename(run), /^offline-run-20231114_221320-export-\w{6}$/);
    const [file] = fs.readdirSync(run).filter((name) => name.endsWith('.wandb'));
    assert.equal(file, `run-${path.basename(run).slice(28)}.wandb`);
    const python = process.env.VOXELBOOK_WANDB;
    if (!python) return;
    const found = JSON.parse(execFileSync(python, ['-c', wandbReader, path.join(run, file)], { encoding: 'utf8' }));
    assert.deepEqual(
      found.map((row: Record<string, number>) => [
        row._step,
        row._timestamp,
        row['train/loss'],
        row['validation/pseudo_dice/tumour, core'],
      ]),
      [
        [2, 1_700_000_005, 0.5, null],
        [4, 1_700_000_010, 0.5, 0.5],
      ].map((row) => row.map((v) => v ?? undefined)),
    );
  });

  it('is a table with a column a class, empty where nothing was measured', () => {
    const out = fs.mkdtempSync(path.join(os.tmpdir(), 'csv-'));
    const rows = fs.readFileSync(exportProgress(runFolder(), 'csv', out), 'utf8').split('\n');
    assert.match(
      rows[0],
      /^epoch,epochs,step,steps,loss,validationLoss,pseudoDsc,lr,gradientNorm,.*,"pseudoDsc tumour, core",pseudoDsc shell$/,
    );
    assert.equal(rows[1], '0,2,2,8,0.5,,,0.01,3.5,5,0.1,1000000000,10,,');
    assert.equal(rows[2], '0,2,4,8,0.5,0.75,0.25,0.01,3.5,10,0.1,1000000000,10,0.5,');
  });

  it('of a folder without any is refused', () => {
    assert.throws(() => exportProgress(os.tmpdir(), 'csv'), /progress\.jsonl: no line; expected a run that has begun to train/);
  });
});
