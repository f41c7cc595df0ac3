// npm run licences: what is installed and under which licence; writes runs/licences/sbom.json (CycloneDX) and licences.md.
//
// Ends with 1 where a package says no licence, or one that does not go with Apache-2.0.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { python, root } from './steps.mjs';

/** Licences that ask nothing of a program that only uses the package, beyond naming it. */
const free =
  /^(\(?(0BSD|Apache-2\.0|Artistic-2\.0|BlueOak-1\.0\.0|BSD(-[23]-Clause)?|CC0-1\.0|CC-BY-(3|4)\.0|ISC|MIT(-0)?|MIT-CMU|MPL-2\.0|Python-2\.0|PSF-2\.0|Unicode-3\.0|Unlicense|WTFPL|Zlib|LGPL-[23]\.[01](-only|-or-later)?)\)?( (AND|OR) )?)+$/;

/** Names that Python's packages use for them. */
const names = [
  [/apache/i, 'Apache-2.0'],
  [/\bmit\b/i, 'MIT'],
  [/isc/i, 'ISC'],
  [/mpl|mozilla/i, 'MPL-2.0'],
  [/psf|python software/i, 'PSF-2.0'],
  [/lgpl|lesser/i, 'LGPL-3.0'],
  [/bsd|modified bsd/i, 'BSD-3-Clause'],
  [/unlicense/i, 'Unlicense'],
  [/public domain/i, 'CC0-1.0'],
];

/** What packages say elsewhere than in their metadata; of these versions only. */
const looked = {
  'mapbox-gl@1.13.3': 'BSD-3-Clause', // LICENSE.txt
  '@plotly/mapbox-gl@1.13.4': 'BSD-3-Clause', // LICENSE.txt
  'stack-trace@0.0.9': 'MIT', // License
  '@mapbox/jsonlint-lines-primitives@2.0.2': 'MIT', // that of zaach/jsonlint, of which it is a fork; it says none itself
  'voxelbook-papermill@0.1.0': 'Apache-2.0', // this project's own
};

/** Packages of a CycloneDX list with their licences. */
export function packagesOf({ components }) {
  return components.map(({ name, version, licenses = [], properties = [] }) => ({
    name,
    version,
    licence: licenses.map(({ license, expression }) => expression ?? license.id ?? license.name).join(' AND ') || 'none said',
    use: properties.some((p) => p.name === 'cdx:npm:package:development') ? 'development' : 'runs',
  }));
}

/** Python packages of the project's environment, as their metadata say. */
function pythonPackages() {
  const script = `
import json, importlib.metadata as m
out = []
for d in m.distributions():
    info = d.metadata
    said = [c.split(' :: ')[-1] for c in info.get_all('Classifier') or [] if c.startswith('License ::')]
    out.append({'name': info['Name'], 'version': d.version, 'said': info.get('License-Expression') or ' / '.join(said) or (info.get('License') or '')[:80]})
print(json.dumps(sorted(out, key=lambda p: p['name'].lower())))`;
  const done = spawnSync(python, ['-c', script], { encoding: 'utf8' });
  if (done.status !== 0) return [];
  return JSON.parse(done.stdout).map(({ name, version, said }) => ({
    ...{ name, version, use: 'JupyterLab' },
    licence: free.test(said) ? said : (names.find(([pattern]) => pattern.test(said))?.[1] ?? (said || 'none said')),
  }));
}

/** Packages whose licence has to be looked at. */
export const doubtful = (packages) => packages.filter(({ licence }) => !free.test(licence));

/** The list as a page. */
export function page(packages) {
  const count = {};
  for (const { licence } of packages) count[licence] = (count[licence] ?? 0) + 1;
  const counts = Object.entries(count);
  return [
    '# Licences of what is installed',
    '',
    '| licence | packages |',
    '|---|--:|',
    ...counts.sort((a, b) => b[1] - a[1]).map(([licence, n]) => `| ${licence} | ${n} |`),
    '',
    '| package | version | licence | for |',
    '|---|---|---|---|',
    ...packages.map(({ name, version, licence, use }) => `| ${name} | ${version} | ${licence} | ${use} |`),
    '',
  ].join('\n');
}

function main() {
  const done = spawnSync('npm', ['sbom', '--sbom-format', 'cyclonedx'], { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (done.status !== 0) {
    console.error(`npm sbom ended with ${done.status}: ${done.stderr.trim()}\nWhat to do: npm run setup`);
    process.exit(1);
  }
  const folder = path.join(root, 'runs/licences');
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'sbom.json'), done.stdout);
  const packages = [...packagesOf(JSON.parse(done.stdout)), ...pythonPackages()].map((p) => ({
    ...p,
    licence: looked[`${p.name}@${p.version}`] ?? p.licence,
  }));
  fs.writeFileSync(path.join(folder, 'licences.md'), page(packages));
  const bad = doubtful(packages);
  for (const { name, version, licence } of bad) console.error(`${name} ${version}: ${licence}`);
  console.log(`${packages.length} packages, ${bad.length} to look at; runs/licences/sbom.json, runs/licences/licences.md`);
  process.exit(bad.length > 0 ? 1 : 0);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main();
