// Processes that cells started: found by their parents, ended as Ctrl-C in a terminal and closing it would end them.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';

/** [pid, parent's pid] of every process of this machine. */
function processes() {
  if (process.platform !== 'linux')
    return execFileSync('ps', ['-axo', 'pid=,ppid='], { encoding: 'utf8' })
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number));
  return fs.readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      // The name in brackets may hold anything; behind it stand the state and the parent.
      const stat = fs.readFileSync(`/proc/${name}/stat`, 'latin1');
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return state === 'Z' ? [] : [[Number(name), Number(parent)]];
    } catch {
      return [];
    }
  });
}

/** The processes below `pid`, children before grandchildren; not what stands below one of `without`. */
export function descendants(pid, without = new Set()) {
  const children = new Map();
  for (const [child, parent] of processes()) children.set(parent, [...(children.get(parent) ?? []), child]);
  const found = [];
  const visit = (parent) => {
    for (const child of children.get(parent) ?? []) {
      if (without.has(child)) continue;
      found.push(child);
      visit(child);
    }
  };
  visit(pid);
  return found;
}

export function signal(pids, name) {
  for (const pid of pids)
    try {
      process.kill(pid, name);
    } catch {
      // It has ended meanwhile.
    }
}

export const isAlive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
