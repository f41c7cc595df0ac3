// Golden networks: blocks, networks, weight transfers and operators of every architecture, and the full-size catalogs.
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { readSafetensors } from '../../src/base/safetensors.js';
import { type Family, type GoldenCase, namesIn, readJson, unknownCase } from './case.js';
import type { Arch, Fixture } from './models/arch.js';
import { compareCatalog, compareFixture } from './models/compare.js';
import { archs } from './models/table.js';

export const family: Family = {
  folder: 'models',
  cases: (root) =>
    fs
      .readdirSync(path.join(root, 'models'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort()
      .flatMap((name) => {
        const folder = `models/${name}`;
        const arch = Object.hasOwn(archs, name) ? archs[name] : undefined;
        if (!arch) return [unknownCase(folder, 'no architecture of this name')];
        return [...fixtures(root, folder, arch), ...catalogs(root, folder, arch)];
      }),
};

function fixtures(root: string, folder: string, arch: Arch): GoldenCase[] {
  return namesIn(root, folder, '.json').map((name) => ({
    name: `${folder}/${name}`,
    run() {
      const json = readJson<Fixture>(path.join(root, folder, `${name}.json`));
      const file = path.join(root, folder, `${name}.safetensors`);
      const tensors = readSafetensors(file).tensors;
      const other = arch.kinds?.[json.kind];
      if (other) return other(json, tensors);
      const net =
        json.kind === 'network' ? arch.network?.(json.constructor, json) : arch.block?.(json.source.cls, json.constructor, json);
      if (!net) throw new Error(`unknown: no check for a ${json.kind} of ${json.source.cls}`);
      return compareFixture(net, json, tensors);
    },
  }));
}

const open = (file: string) =>
  JSON.parse(String(file.endsWith('.gz') ? zlib.gunzipSync(fs.readFileSync(file)) : fs.readFileSync(file)));

function catalogs(root: string, folder: string, arch: Arch): GoldenCase[] {
  const full = path.join(root, folder, 'full');
  if (!fs.existsSync(full)) return [];
  if (arch.full) return arch.full(root, `${folder}/full`);
  const files = fs.readdirSync(full).filter((name) => /\.json(\.gz)?$/.test(name));
  return files.sort().map((name) => ({
    name: `${folder}/full/${name.replace(/\.json(\.gz)?$/, '')}`,
    run() {
      const json = open(path.join(full, name));
      if (json.format !== 'voxelbook-catalog-1') throw new Error(`unknown: format ${json.format}`);
      const net = arch.network?.(json.constructor, json);
      if (!net) throw new Error(`unknown: no network of ${json.source.cls}`);
      return compareCatalog(net, json, stateDict(json, full, files));
    },
  }));
}

/** Rows of a catalog, or of the one it refers to: `NAME`, or `NAME without the keys beginning with A, B`. */
function stateDict(json: Fixture, folder: string, files: string[]): string[][] {
  if (json.state_dict) return json.state_dict;
  const [name, without = ''] = String(json.state_dict_same_as).split(' without the keys beginning with ');
  const file = files.find((f) => f.replace(/\.json(\.gz)?$/, '') === name);
  if (!file) throw new Error(`unknown: no state_dict, and none of ${json.state_dict_same_as}`);
  const prefixes = without.split(/,\s*|\s+and\s+/).filter(Boolean);
  const rows = stateDict(open(path.join(folder, file)), folder, files);
  return rows.filter(([key]) => !prefixes.some((prefix) => key.startsWith(prefix)));
}
