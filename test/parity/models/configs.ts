// Full-size catalogs of the transformer and Mamba networks: `full/configs.json` with `full/keys.json.gz`.
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { Random } from '../../../src/base/random.js';
import type { ParamInfo } from '../../../src/model/network.js';
import { parameterCount } from '../../../src/model/network.js';
import { recurrenceFlops } from '../../../src/tensor/ops/selectiveScan.js';
import { equal, type GoldenCase, type Row, readJson } from '../case.js';
import type { Checked } from './arch.js';
import { countForward, within } from './compare.js';

type Key = [name: string, shape: number[], kind: string, alias: string | null, mean: number, sd: number];

/**
 * One case per configuration: count, ordered names with shapes and aliases, initial mean and spread of every tensor, FLOPs.
 *
 * @param network from the entry's `constructor` and the entry
 */
export function configCases(root: string, folder: string, network: (args: any, entry: any) => Checked): GoldenCase[] {
  const file = path.join(root, folder, 'configs.json');
  const others = fs.readdirSync(path.join(root, folder)).filter((f) => !['configs.json', 'keys.json.gz'].includes(f));
  const catalog = readJson(file);
  const keys: Record<string, Key[]> = JSON.parse(
    String(zlib.gunzipSync(fs.readFileSync(path.join(root, folder, catalog.keys_file ?? 'keys.json.gz')))),
  );
  const cases: GoldenCase[] = Object.entries<any>(catalog.configurations).map(([name, entry]) => ({
    name: `${folder}/${name}`,
    run: () => {
      const net = network(entry.constructor, entry);
      return [...compareKeys(net, entry, keys[entry.keys ?? name]), ...compareCost(net, entry)];
    },
  }));
  for (const other of others) if (!other.startsWith('vmamba')) cases.push(unknown(folder, other));
  return cases;
}

const unknown = (folder: string, file: string): GoldenCase => ({
  name: `${folder}/${file}`,
  run: () => {
    throw new Error('unknown: no check for this file');
  },
});

function compareKeys(net: Checked, entry: any, keys: Key[]): Row[] {
  const kind = (p: ParamInfo) => (p.aliasOf ? 'alias' : p.buffer ? 'buffer' : 'parameter');
  const rows = [equal('parameters', parameterCount(net), entry.parameters)];
  if (!keys) throw new Error(`unknown: no keys of ${entry.keys}`);
  rows.push(
    equal(
      'names, shapes and aliases in order',
      net.parameters.map((p) => [p.name, [...p.shape], kind(p), p.aliasOf ?? null]),
      keys.map((k) => k.slice(0, 4)),
    ),
  );
  if (entry.state_dict_entries !== undefined) rows.push(equal('entries', net.parameters.length, entry.state_dict_entries));
  const byName = new Map(net.parameters.map((p) => [p.name, p]));
  for (const [name, shape, , alias, mean, sd] of keys) {
    const info = byName.get(name);
    if (!info || alias || info.aliasOf) continue;
    const ours = initialMoments(info);
    const n = shape.reduce((a, b) => a * b, 1);
    // Four digits are stored; beyond that, five standard errors of a sample of n.
    const meanBound = 6e-4 * Math.abs(mean) + 1e-9 + (5 * ours.sd) / Math.sqrt(n);
    const sdBound = 6e-4 * Math.abs(sd) + 1e-9 + (5 * ours.sd) / Math.sqrt(n);
    const pass = Math.abs(mean - ours.mean) <= meanBound && (n < 2 || Math.abs(sd - ours.sd) <= sdBound);
    if (!pass)
      rows.push({
        what: `initialisation of ${name}`,
        maxAbs: Math.abs(mean - ours.mean),
        relative: Math.abs(sd - ours.sd) / (sd || 1),
        tolerance: `mean ${meanBound.toExponential(1)} sd ${sdBound.toExponential(1)}`,
        pass,
        note: `ours ${ours.mean}, ${ours.sd} reference ${mean}, ${sd}`,
      });
  }
  return rows;
}

/** What the initialisation of a parameter gives on average. */
function initialMoments(info: ParamInfo): { mean: number; sd: number } {
  const init = info.init;
  if (init.kind === 'zeros') return { mean: 0, sd: 0 };
  if (init.kind === 'ones') return { mean: 1, sd: 0 };
  if (init.kind === 'constant') return { mean: init.value, sd: 0 };
  if (init.kind === 'uniform') return { mean: 0, sd: init.bound / Math.sqrt(3) };
  if (init.kind === 'normal') return { mean: 0, sd: init.sd };
  const values = init.fill(new Random(info.name), info.shape);
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return { mean, sd: Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length) };
}

/** FLOPs in the three conventions of the catalog: without the scan, with 9 and with 3.5 a state; and multiply-adds alone. */
function compareCost(net: Checked, entry: any): Row[] {
  const flops = entry.flops;
  if (!flops?.input) throw new Error('unknown: no flops');
  const counted = countForward(net, flops.input);
  const of = (name: string) => counted.perOp[name]?.macs ?? 0;
  const recurrence = of('selectiveScan');
  const scan = recurrence + of('selectiveScan skip') + of('selectiveScan gate');
  const fvcore = counted.macs + counted.normFlops;
  const rows: Row[] = [];
  const check = (what: string, ours: number, reference: number | undefined) => {
    if (reference !== undefined && reference !== null) rows.push(within(what, ours, reference, 0.01));
  };
  check('FLOPs without the scan', fvcore - scan, flops.fvcore_without_scan ?? flops.total);
  if (flops.scan_flops_fn) {
    check('FLOPs of the scan', scan, flops.scan_flops_fn);
    check('FLOPs', fvcore, flops.total_fn);
    const before = recurrence * (1 - recurrenceFlops.before / recurrenceFlops.since2024);
    check('FLOPs, scan counted as before 2024', fvcore - before, flops.total_ref);
  }
  check('multiply-adds', counted.macs - scan, entry.torch_flop_counter_macs);
  if (rows.length === 0) throw new Error('unknown: no FLOPs to compare');
  return rows;
}
