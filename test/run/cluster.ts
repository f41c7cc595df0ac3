// Slurm on this one machine, without systemd, all of it below one folder: for the test of studies on a cluster.
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const tools = ['munged', 'slurmctld', 'slurmd', 'sbatch', 'squeue', 'scontrol'];
const found = (tool: string) => spawnSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' }).status === 0;

/** Why a cluster cannot be started here; undefined when it can. */
export function whyNoCluster(): string | undefined {
  const missing = tools.filter((t) => !found(t));
  if (missing.length > 0)
    return `${missing.join(', ')} not installed (Debian, Ubuntu: apt-get install --no-install-recommends slurm-wlm munge)`;
  if (process.getuid?.() !== 0) return 'the daemons are started as root here';
  return undefined;
}

export interface Cluster {
  env: Record<string, string>;
  /** Ends the node's daemon and everything that it runs, as a power cut does. */
  killNode(): void;
  /** Starts the node again. */
  startNode(): void;
  /** Ends the controller; `startController` brings it back with what it had. */
  stopController(): void;
  startController(): void;
  stop(): void;
}

/**
 * What the controller refuses: jobs without an account, and more than seven of them at a time. Written as a plugin of the controller, because
 * limits by association need a database. Its list of jobs is as old as the second it was made in: each job taken waits for the next.
 */
const rules = `
local most = 7
function slurm_job_submit(job, parts, uid)
  if job.account == nil then
    slurm.log_user("this partition insists on an account")
    return 2045
  end
  local n = 0
  for _, other in pairs(slurm.jobs) do
    if other.job_state == 0 or other.job_state == 1 then
      n = n + math.max(1, other.array_task_cnt or 1)
    end
  end
  local own = 1
  for first, last in string.gmatch(job.array_inx or "0", "(%d+)-(%d+)") do own = own + last - first end
  if n + own > most then
    slurm.log_user("AssocMaxSubmitJobLimit: %d jobs are there", n)
    return 2050
  end
  os.execute("sleep 1")
  return slurm.SUCCESS
end
function slurm_job_modify() return slurm.SUCCESS end
return slurm.SUCCESS
`;

const sleep = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/** Starts munge, the controller and one node with two made-up GPUs; their ports listen on 127.0.0.1 only. @param strict with the rules above */
export function startCluster({ strict = false } = {}): Cluster {
  const d = fs.mkdtempSync(path.join(os.tmpdir(), 'slurm-'));
  fs.chmodSync(d, 0o755); // munge wants its socket reachable
  for (const part of ['run', 'state', 'spool', 'log']) fs.mkdirSync(path.join(d, part));
  fs.writeFileSync(path.join(d, 'run/munge.key'), Buffer.from(crypto.getRandomValues(new Uint8Array(1024))), { mode: 0o600 });
  const host = execFileSync('hostname', ['-s'], { encoding: 'utf8' }).trim();
  const port = 20000 + (process.pid % 20000);
  const version = /slurm[^\d]*(\d+)/.exec(execFileSync('slurmd', ['-V'], { encoding: 'utf8' }))?.[1] ?? '22';
  if (Number(version) >= 23) fs.writeFileSync(path.join(d, 'cgroup.conf'), 'CgroupPlugin=disabled\n');
  fs.writeFileSync(path.join(d, 'gres.conf'), 'Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n');
  fs.writeFileSync(path.join(d, 'job_submit.lua'), rules);
  const cpus = Math.max(2, os.cpus().length);
  fs.writeFileSync(
    path.join(d, 'slurm.conf'),
    `ClusterName=lab
SlurmctldHost=${host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=${port}
SlurmdPort=${port + 1}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket=${d}/run/munge.socket,cred_expire=5
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
MpiDefault=none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
StateSaveLocation=${d}/state
SlurmdSpoolDir=${d}/spool
SlurmctldPidFile=${d}/run/slurmctld.pid
SlurmdPidFile=${d}/run/slurmd.pid
SlurmctldLogFile=${d}/log/slurmctld.log
SlurmdLogFile=${d}/log/slurmd.log
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=10
MinJobAge=3600
GresTypes=gpu
${strict ? 'MaxArraySize=5\nJobSubmitPlugins=lua' : ''}
ReturnToService=2
JobRequeue=1
NodeName=${host} NodeAddr=127.0.0.1 CPUs=${cpus} Boards=1 SocketsPerBoard=1 CoresPerSocket=${cpus} ThreadsPerCore=1 RealMemory=${Math.floor(os.totalmem() / 2 ** 20)} Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=${host} Default=YES MaxTime=7-00:00:00 DefaultTime=00:10:00 State=UP
`,
  );
  const env = { SLURM_CONF: path.join(d, 'slurm.conf') };
  const daemon = (command: string, args: string[]) => {
    const done = spawnSync(command, args, { env: { ...process.env, ...env }, encoding: 'utf8' });
    if (done.status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${done.stderr || done.error?.message}`);
  };
  daemon('munged', [
    ...[`--key-file=${d}/run/munge.key`, `--socket=${d}/run/munge.socket`, `--pid-file=${d}/run/munged.pid`],
    ...[`--log-file=${d}/log/munged.log`, `--seed-file=${d}/run/munge.seed`, '--num-threads=2'],
  ]);
  daemon('slurmctld', ['-f', env.SLURM_CONF]);
  daemon('slurmd', ['-f', env.SLURM_CONF]);
  const stop = () => {
    for (const name of ['slurmd', 'slurmctld', 'munged']) {
      const file = path.join(d, 'run', `${name}.pid`);
      if (!fs.existsSync(file)) continue;
      const pid = Number(fs.readFileSync(file, 'utf8'));
      // Only the process we started: the number may have been given to another since.
      const is = () => {
        try {
          return fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === name;
        } catch {
          return false;
        }
      };
      if (is()) process.kill(pid);
      for (let i = 0; i < 200 && is(); i++) sleep(50);
    }
    fs.rmSync(d, { recursive: true, force: true });
  };
  for (let i = 0; ; i++) {
    const state = spawnSync('sinfo', ['--noheader', '--format=%T'], { env: { ...process.env, ...env }, encoding: 'utf8' });
    if (state.stdout.trim().startsWith('idle')) break;
    if (i === 100) {
      const log = fs.existsSync(`${d}/log/slurmctld.log`) ? fs.readFileSync(`${d}/log/slurmctld.log`, 'utf8').slice(-500) : '';
      stop();
      throw new Error(`the cluster did not become idle: ${state.stdout} ${state.stderr} ${log}`);
    }
    sleep(200);
  }
  const pidOf = (name: string) => Number(fs.readFileSync(path.join(d, 'run', `${name}.pid`), 'utf8'));
  const killNode = () => {
    const children = new Map<number, number[]>();
    for (const name of fs.readdirSync('/proc').filter((n) => /^\d+$/.test(n))) {
      try {
        const stat = fs.readFileSync(`/proc/${name}/stat`, 'utf8');
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
        children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
      } catch {
        // Gone meanwhile.
      }
    }
    // A job's own daemon is no child of the node's: it is found by its command line.
    const steps = fs
      .readdirSync('/proc')
      .filter((n) => /^\d+$/.test(n))
      .filter((n) => {
        try {
          return fs.readFileSync(`/proc/${n}/comm`, 'utf8').startsWith('slurmstepd');
        } catch {
          return false;
        }
      })
      .map(Number);
    const end = (pid: number) => {
      for (const child of children.get(pid) ?? []) end(child);
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Gone meanwhile.
      }
    };
    for (const pid of [pidOf('slurmd'), ...steps]) end(pid);
  };
  const startNode = () => daemon('slurmd', ['-f', env.SLURM_CONF]);
  const startController = () => daemon('slurmctld', ['-f', env.SLURM_CONF]);
  const stopController = () => {
    const pid = pidOf('slurmctld');
    process.kill(pid);
    for (let i = 0; i < 200 && fs.existsSync(`/proc/${pid}`); i++) sleep(50);
  };
  return { env, killNode, startNode, stopController, startController, stop };
}
