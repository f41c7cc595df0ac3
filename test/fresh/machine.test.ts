// Opt-in (VOXELBOOK_FRESH_TESTS=1; root, Linux, debootstrap; 5 GB of temporary space): a bare Debian, the packages that the README names,
// Node, a clone, and the README's commands. `npm test` is given some folders there; VOXELBOOK_FRESH_TESTS=all runs `npm start` and all tests.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const some = [
  'test/base/*.test.ts',
  'test/tensor/native/mednextBlock.test.ts',
  'test/kernels/cells.test.ts',
  'test/run/cli.test.ts',
];

/** Where this machine takes its Debian packages from. */
function mirror(): string {
  const files = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list'].filter((file) => fs.existsSync(file));
  const text = files.map((file) => fs.readFileSync(file, 'utf8')).join('\n');
  const found = /^(?:URIs:|deb)\s+(?:\[[^\]]*\]\s+)?(\S+)/m.exec(text);
  assert.ok(found, 'no Debian mirror in /etc/apt');
  return found[1];
}

describe('a fresh machine', function () {
  this.timeout(7_200_000);
  let folder: string;
  let house: string;

  const timed = (what: string, command: string, args: string[], cwd = folder) => {
    const begin = Date.now();
    const done = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 2 ** 28 });
    assert.equal(done.status, 0, `${what}\n${done.stdout.slice(-6000)}\n${done.stderr.slice(-3000)}`);
    console.log(`      ${what}: ${((Date.now() - begin) / 1000).toFixed(0)} s`);
    return done.stdout;
  };
  const sizeOf = (at: string) => spawnSync('du', ['-sh', at], { encoding: 'utf8' }).stdout.split('\t')[0];
  /** A shell in the new system, with processes of its own, that knows nothing of this one but its certificates and proxies. */
  const inside = (what: string, script: string) => {
    const kept = Object.entries(process.env).filter(([name]) => /(_CERTS?|_PROXY|SSL_CERT_FILE)$/i.test(name));
    const env = [
      'PATH=/opt/node/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'HOME=/root',
      'LANG=C.UTF-8',
      'DEBIAN_FRONTEND=noninteractive',
    ];
    const set = [...env, ...kept.map(([name, value]) => `${name}=${value}`)];
    const mounts = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"';
    const own = ['--mount', '--pid', '--fork', 'sh', '-c', mounts, house];
    return timed(what, 'unshare', [...own, 'env', '-i', ...set, 'sh', '-ec', script]);
  };

  before(function () {
    const { VOXELBOOK_FRESH_TESTS: asked } = process.env;
    if (!asked) this.skip();
    const missing = spawnSync('debootstrap', ['--version']).status !== 0 || process.getuid?.() !== 0;
    assert.ok(!missing, 'this test needs root and debootstrap (apt-get install debootstrap)');
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-machine-'));
    house = path.join(folder, 'debian');
  });
  after(() => folder && fs.rmSync(folder, { recursive: true, force: true }));

  it('from nothing to a computed result, with the commands of the README', () => {
    const suite = /^VERSION_CODENAME=(\w+)/m.exec(fs.readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'trixie';
    timed('debootstrap', 'debootstrap', ['--variant=minbase', '--include=ca-certificates', suite, house, mirror()]);
    const certificates = 'etc/ssl/certs/ca-certificates.crt';
    for (const file of [certificates, 'etc/resolv.conf']) fs.copyFileSync(path.join('/', file), path.join(house, file));
    console.log(`      the bare system: ${sizeOf(house)}`);
    // Node as npm's packages have it: the program, and npm itself.
    const system = `node-${process.platform}-${process.arch}`;
    const install = ['install', '--silent', '--no-save', '--prefix', path.join(folder, 'node'), `${system}@24`, 'npm@11'];
    timed('Node', 'npm', install);
    const node = path.join(house, 'opt/node');
    fs.mkdirSync(path.join(node, 'lib'), { recursive: true });
    fs.cpSync(path.join(folder, 'node/node_modules', system, 'bin'), path.join(node, 'bin'), { recursive: true });
    fs.cpSync(path.join(folder, 'node/node_modules/npm'), path.join(node, 'lib/npm'), { recursive: true });
    for (const name of ['npm', 'npx']) fs.symlinkSync(`../lib/npm/bin/${name}-cli.js`, path.join(node, 'bin', name));
    timed('clone', 'git', ['clone', '-q', root, path.join(house, 'root/voxelbook')]);

    const [line] = /apt-get install g\+\+[^`]*/.exec(fs.readFileSync(path.join(root, 'README.md'), 'utf8'))!;
    inside(line, `${line.replace('install', 'install -y --no-install-recommends')}`);
    console.log(`      with what the README asks for: ${sizeOf(house)}`);
    const here = 'cd /root/voxelbook';
    assert.match(inside('npm run setup', `${here}; npm run setup`), /set-up complete/);
    console.log(`      set up: ${sizeOf(house)}, of it the checkout ${sizeOf(path.join(house, 'root/voxelbook'))}`);
    assert.match(inside('npm run doctor', `${here}; npm run doctor`), /Everything needed is here/);
    const tests = inside(`npm test -- ${some.join(' ')}`, `${here}; npm test -- ${some.join(' ')}`);
    console.log(`      ${/^\d+ passed.*$/m.exec(tests)?.[0]}`);
    if (process.env.VOXELBOOK_FRESH_TESTS !== 'all') return;
    assert.match(inside('npm start', `${here}; npm start`), /The quickstart ran in/);
    inside('npm test', `${here}; npm test`);
  });
});
