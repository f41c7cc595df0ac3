import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { availableBytes, peakResidentBytes, watchOutOfMemory } from '../../src/base/memory.js';

/** A machine's /proc and /sys, as files. */
function machine(files: Record<string, string>): string {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'memory-'));
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    fs.writeFileSync(path.join(root, name), text);
  }
  return root;
}
const meminfo = { 'proc/meminfo': 'MemTotal: 1000000 kB\nMemAvailable:   500000 kB\n', 'proc/vmstat': 'pgfault 1\noom_kill 3\n' };
const v2 = '30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n';
const v1 =
  '31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n';
const group = (at: string, limit: string, used: string, cache: number) => ({
  [`${at}/memory.max`]: `${limit}\n`,
  [`${at}/memory.current`]: `${used}\n`,
  [`${at}/memory.stat`]: `anon 5\ninactive_file ${cache}\nactive_file 7\n`,
});

describe('memory that is left', () => {
  it('without groups it is the machine’s', () => assert.equal(availableBytes(machine(meminfo)), 500000 * 1024));

  it('version 2: the tightest group around the process, pages of files counted as free', () => {
    const root = machine({
      ...meminfo,
      'proc/self/mountinfo': v2,
      'proc/self/cgroup': '0::/slurm/job_7/step_0\n',
      ...group('sys/fs/cgroup/slurm/job_7/step_0', 'max', '900', 0),
      ...group('sys/fs/cgroup/slurm/job_7', '1000', '900', 300),
      ...group('sys/fs/cgroup/slurm', '100000', '900', 0),
      'sys/fs/cgroup/slurm/job_7/memory.events': 'low 0\noom 2\noom_kill 2\n',
    });
    assert.equal(availableBytes(root), 1000 - (900 - 300));
    const starved = watchOutOfMemory('self', root);
    // Another's death on the machine is none of this group's.
    fs.writeFileSync(path.join(root, 'proc/vmstat'), 'oom_kill 4\n');
    assert.equal(starved(), false);
    fs.writeFileSync(path.join(root, 'sys/fs/cgroup/slurm/job_7/memory.events'), 'oom_kill 3\n');
    assert.equal(starved(), true);
  });

  it('version 1, with a limit above the process’s own group and none beside it', () => {
    const at = 'sys/fs/cgroup/memory';
    const root = machine({
      ...meminfo,
      'proc/self/mountinfo': v1,
      'proc/self/cgroup': '8:pids:/x\n4:memory:/docker/abc/inner\n1:cpu:/\n0::/\n',
      [`${at}/docker/abc/inner/memory.limit_in_bytes`]: '9223372036854771712\n',
      [`${at}/docker/abc/inner/memory.usage_in_bytes`]: '10\n',
      [`${at}/docker/abc/memory.limit_in_bytes`]: '5000\n',
      [`${at}/docker/abc/memory.usage_in_bytes`]: '2000\n',
      [`${at}/docker/abc/memory.stat`]: 'inactive_file 1\ntotal_inactive_file 500\n',
      [`${at}/docker/abc/memory.oom_control`]: 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n',
    });
    assert.equal(availableBytes(root), 5000 - 1500);
    const starved = watchOutOfMemory('self', root);
    assert.equal(starved(), false);
    // A job's group goes with the job: then the machine's count is all there is.
    fs.rmSync(path.join(root, `${at}/docker`), { recursive: true });
    fs.writeFileSync(path.join(root, 'proc/vmstat'), 'oom_kill 4\n');
    assert.equal(starved(), true);
  });

  it('in a container that sees its own group as the top, whatever its path outside', () => {
    const inside = machine({
      ...meminfo,
      'proc/self/mountinfo': '35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n',
      'proc/self/cgroup': '4:memory:/docker/abc\n',
      'sys/fs/cgroup/memory/memory.limit_in_bytes': '4000\n',
      'sys/fs/cgroup/memory/memory.usage_in_bytes': '1000\n',
    });
    assert.equal(availableBytes(inside), 3000);
    const hidden = machine({
      ...meminfo,
      'proc/self/mountinfo': v2,
      'proc/self/cgroup': '0::/../outside\n',
      ...group('sys/fs/cgroup', '6000', '1000', 0),
    });
    assert.equal(availableBytes(hidden), 5000);
  });

  it('here it is a number between nothing and what the machine has', () => {
    assert.ok(availableBytes() > 0 && availableBytes() <= os.totalmem());
    assert.ok(peakResidentBytes() > 10e6);
    assert.equal(watchOutOfMemory('self')(), false);
  });
});
