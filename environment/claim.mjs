// A file that says which process something belongs to: the ground of locks (wait for it) and leases (refuse, or take over by order). Set-up
// asks for it before anything is compiled; the library through src/base/claim.ts.
//
// The owner is told by host, process id and start time, so that a later process of the same number is not taken for it. A claim
// appears whole, by a hard link. A dead owner's claim is taken by exactly one process, however many try: the right to replace it is
// a second claim, named after the dead one's token, which only one process can create; should that one die on the way, its own claim
// is replaced in the same manner.
import { createHash, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';

/** Seconds between two signs of life. */
const signSeconds = 10;
/** Seconds without a sign after which a process on another machine counts as gone: clocks and file servers may lag. */
const remoteSilence = 90;

/** Field 22 of /proc/<pid>/stat; null where there is no /proc. */
function startTicks(pid) {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return null;
  }
}

/** Milliseconds since 1970 at which a process started; undefined where there is no /proc. Linux counts 100 ticks a second. */
function startedAt(ticks) {
  if (ticks === null) return undefined;
  try {
    const boot = /^btime (\d+)/m.exec(fs.readFileSync('/proc/stat', 'utf8'))?.[1];
    return boot === undefined ? undefined : Number(boot) * 1000 + Number(ticks) * 10;
  } catch {
    return undefined;
  }
}

/** This process as an owner. */
export const thisProcess = () => ({
  pid: process.pid,
  host: os.hostname(),
  startTicks: startTicks(process.pid),
  token: randomUUID(),
  since: new Date().toISOString(),
});

/** The owner that a claim names; undefined when there is no claim. One that cannot be read has an owner that is dead. */
export function readOwner(file) {
  let text;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
  const token = createHash('sha256').update(text).digest('hex').slice(0, 32);
  const nobody = { pid: 0, host: os.hostname(), startTicks: null, token, since: 'unknown' };
  try {
    const found = JSON.parse(text);
    if (Number.isSafeInteger(found.pid) && typeof found.host === 'string') return { ...nobody, ...found };
  } catch {
    const [pid, host] = text.trim().split(/\s+/); // as locks were written before
    if (/^\d+$/.test(pid) && host) return { ...nobody, pid: Number(pid), host };
  }
  return nobody;
}

/**
 * Whether the process a claim names still lives. One of another user (EPERM) does; one that started later than the owner did, or than
 * the owner last gave a sign, is another process of the same number. On another machine the signs decide.
 */
export function isOwnerAlive(file, owner) {
  const signed = fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (owner.host !== os.hostname()) return Date.now() - signed < remoteSilence * 1000;
  if (owner.pid <= 0) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if (error.code !== 'EPERM') return false;
  }
  try {
    if (/^State:\s+[ZX]/m.test(fs.readFileSync(`/proc/${owner.pid}/status`, 'utf8'))) return false;
  } catch {
    // No /proc, or hidden from this user: the signal's answer stands.
  }
  const now = startTicks(owner.pid);
  if (owner.startTicks !== null && now !== null) return owner.startTicks === now;
  const started = startedAt(now);
  return started === undefined || started < signed + 2 * signSeconds * 1000;
}

/**
 * Takes `file` for `mine`, unless a living process holds it.
 * @param force take it from a living process too (a cluster job that was started again)
 * @param own name for a file for a moment, beside it
 * @returns undefined when it is ours now, else the living owner
 */
export function tryClaim(file, mine, force = false, own = `${file}.${mine.token}.${process.pid}.tmp`) {
  try {
    fs.writeFileSync(own, `${JSON.stringify(mine)}\n`);
    if (force) {
      fs.renameSync(own, file);
      return undefined;
    }
    for (;;) {
      if (link(own, file)) return undefined;
      // The chain from the claim itself over those who won the right to replace it; whoever stands last decides.
      const chain = [];
      for (let at = file; ; at = `${file}.after-${chain[chain.length - 1].owner.token}`) {
        const owner = readOwner(at);
        if (!owner) break;
        chain.push({ at, owner });
      }
      if (chain.length === 0) continue; // given back just now
      const last = chain[chain.length - 1];
      if (isOwnerAlive(last.at, last.owner)) return last.owner;
      const right = `${file}.after-${last.owner.token}`;
      if (!link(own, right)) continue;
      // The right is worth something only if what it follows still stands: else another was faster and has cleaned up.
      const stands = chain.every(({ at, owner }) => readOwner(at)?.token === owner.token);
      if (stands) fs.renameSync(own, file);
      for (const { at } of stands ? chain.slice(1) : []) fs.rmSync(at, { force: true });
      fs.rmSync(right, { force: true });
      if (stands) return undefined;
    }
  } finally {
    fs.rmSync(own, { force: true });
  }
}

/** Whether the claim is still that of `mine`. */
export const holds = (file, mine) => readOwner(file)?.token === mine.token;

/** Gives signs of life until the function it returns is called. */
export function signOfLife(file, mine) {
  const timer = setInterval(() => {
    const now = new Date();
    try {
      if (holds(file, mine)) fs.utimesSync(file, now, now);
    } catch {
      // The folder is gone: the next write says so.
    }
  }, signSeconds * 1000);
  timer.unref();
  return () => clearInterval(timer);
}

/** Gives a claim back. */
export function giveBack(file, mine) {
  if (holds(file, mine)) fs.rmSync(file, { force: true });
}

/** Hard link, which fails where something of that name stands. */
function link(from, to) {
  try {
    fs.linkSync(from, to);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}
