// One number of threads for everything, from what the machine, the scheduler and the user say.
import assert from 'node:assert/strict';
import { cpuQuota, threads, workersThatFit } from '../../src/base/threads.js';

const none = () => undefined;
const files = (content: Record<string, string>) => (file: string) => content[file];
const of = (env: Record<string, string>, content: Record<string, string> = {}, cores = 16) =>
  threads({ env, cores, read: files(content) });

const v2 = '30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n';
const v1 = [
  '31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
  '32 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n',
].join('\n');

describe('threads', () => {
  it('that fit into memory: at least one, fewer the more each needs, never more than there are', () => {
    assert.equal(workersThatFit(1), threads());
    assert.equal(workersThatFit(2 ** 60), 1);
  });

  it('are our own setting, then Slurm’s, then OpenMP’s, then the cores', () => {
    const all = { VOXELBOOK_THREADS: '3', SLURM_CPUS_PER_TASK: '4', OMP_NUM_THREADS: '5' };
    assert.equal(of(all), 3);
    assert.equal(of({ ...all, VOXELBOOK_THREADS: '' }), 4);
    assert.equal(of({ OMP_NUM_THREADS: '5' }), 5);
    assert.equal(of({ OMP_NUM_THREADS: '6,2' }), 6);
    assert.equal(of({}), 16);
    assert.equal(threads({ env: {}, read: none, cores: 1 }), 1);
  });

  it('an own setting that is no number of threads is refused; those of others are passed over', () => {
    for (const bad of ['0', '-1', '1.5', 'all', '1e9', '99999999'])
      assert.throws(
        () => of({ VOXELBOOK_THREADS: bad }),
        new RegExp(
          `the number of threads cannot be used\\n {2}VOXELBOOK_THREADS: ${bad}; expected a whole number of at least 1\\. Set it`,
        ),
      );
    assert.equal(of({ SLURM_CPUS_PER_TASK: 'x', OMP_NUM_THREADS: '0' }), 16);
  });

  it('are no more than the quota of the control group, whole processors, at least one', () => {
    const quota = (text: string) => ({
      '/proc/self/mountinfo': v2,
      '/proc/self/cgroup': '0::/\n',
      '/sys/fs/cgroup/cpu.max': text,
    });
    assert.equal(of({}, quota('200000 100000\n')), 2);
    assert.equal(of({}, quota('250000 100000\n')), 2);
    assert.equal(of({}, quota('50000 100000\n')), 1);
    assert.equal(of({}, quota('max 100000\n')), 16);
    assert.equal(of({}, quota('6400000 100000\n')), 16);
    assert.equal(of({ OMP_NUM_THREADS: '4' }, quota('200000 100000\n')), 4);
  });

  it('version 2, nested: the smallest quota on the way up counts', () => {
    const nested = {
      '/proc/self/mountinfo': v2,
      '/proc/self/cgroup': '0::/user.slice/user-1000.slice/job.scope\n',
      '/sys/fs/cgroup/user.slice/user-1000.slice/job.scope/cpu.max': 'max 100000\n',
      '/sys/fs/cgroup/user.slice/user-1000.slice/cpu.max': '400000 100000\n',
      '/sys/fs/cgroup/user.slice/cpu.max': '800000 100000\n',
    };
    assert.equal(cpuQuota(files(nested)), 4);
  });

  it('version 1, also where a container sees only its own group', () => {
    const group = { '/proc/self/cgroup': '12:memory:/a\n4:cpu,cpuacct:/slurm/job_7/step_0\n' };
    const below = '/sys/fs/cgroup/cpu,cpuacct/slurm/job_7';
    const seen = {
      ...group,
      '/proc/self/mountinfo': v1,
      [`${below}/step_0/cpu.cfs_quota_us`]: '-1\n',
      [`${below}/step_0/cpu.cfs_period_us`]: '100000\n',
      [`${below}/cpu.cfs_quota_us`]: '300000\n',
      [`${below}/cpu.cfs_period_us`]: '100000\n',
    };
    assert.equal(cpuQuota(files(seen)), 3);
    const container = {
      '/proc/self/cgroup': '4:cpu,cpuacct:/docker/0123\n',
      '/proc/self/mountinfo': '32 25 0:28 /docker/0123 /sys/fs/cgroup/cpu\\040time ro - cgroup cgroup rw,cpu,cpuacct\n',
      '/sys/fs/cgroup/cpu time/cpu.cfs_quota_us': '150000\n',
      '/sys/fs/cgroup/cpu time/cpu.cfs_period_us': '50000\n',
    };
    assert.equal(cpuQuota(files(container)), 3);
  });

  it('a machine without control groups, or with files that say nothing, has no quota', () => {
    assert.equal(cpuQuota(none), undefined);
    assert.equal(
      cpuQuota(() => 'nonsense'),
      undefined,
    );
    assert.equal(cpuQuota(files({ '/proc/self/mountinfo': v2, '/proc/self/cgroup': '0::/../../elsewhere\n' })), undefined);
    assert.ok(threads({ env: {} }) >= 1);
  });
});
