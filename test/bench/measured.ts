// A child process and all that it starts: what it answers, and how much memory they hold for themselves.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

/** Bytes that processes hold for themselves: pages without a file behind them, shared ones by their share. */
function heldBytes(root: number): number {
  const parents = new Map<number, number>();
  for (const name of fs.readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? readQuietly(`/proc/${name}/stat`) : '';
    if (stat) parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
  }
  const inTree = (pid: number | undefined): boolean => pid !== undefined && (pid === root || inTree(parents.get(pid)));
  let sum = 0;
  for (const pid of parents.keys())
    if (inTree(pid))
      for (const [, kb] of readQuietly(`/proc/${pid}/smaps_rollup`).matchAll(/^Pss_(?:Anon|Shmem):\s+(\d+) kB/gm))
        sum += Number(kb) * 1024;
  return sum;
}

function readQuietly(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/**
 * Runs a program to its end; memory is looked at four times a second.
 * @returns the JSON of its last line, with its peak memory
 */
export function measured<T>(
  command: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<T & { peakBytes: number }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err, peakBytes] = ['', '', 0];
    const look = setInterval(() => {
      peakBytes = Math.max(peakBytes, heldBytes(child.pid!));
    }, 250);
    child.stdout.on('data', (text) => {
      out += text;
    });
    child.stderr.on('data', (text) => {
      err = (err + text).slice(-3000);
    });
    child.on('exit', (code) => {
      clearInterval(look);
      const line = out.trim().split('\n').at(-1);
      if (code !== 0 || !line)
        return reject(new Error(`${path.basename(args.at(-3) ?? '')} ${args.slice(-2).join(' ')} ended with ${code}: ${err}`));
      resolve({ ...JSON.parse(line), peakBytes });
    });
  });
}
