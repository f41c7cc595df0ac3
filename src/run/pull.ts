// Bringing runs home that were computed elsewhere: run folders without their checkpoints, over rsync, compared by content before they
// stand among one's own.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { FaultList, printable, VoxelbookError } from '../base/errors.js';
import { runsFolder } from '../base/paths.js';
import { runFolderOf } from '../train/identity.js';
import { readOrder, readScores } from './folder.js';
import { isAlive } from './lease.js';

/** What of a run is brought home, and who is told. */
export interface PullOptions {
  /** Bring the final weights too. */
  weights?: boolean;
  signal?: AbortSignal;
  /** Called with the share of the bytes that are here. */
  onProgress?: (share: number, what: string) => void;
}

/** What became of the runs there. */
export interface Pulled {
  /** Names of the runs that are here now and were not before. */
  brought: string[];
  /** Finished here already, or at work here. */
  kept: string[];
  /** Runs there without a result yet. */
  unfinished: string[];
}

/** Names that a run folder can have; anything else from the other side is left there. */
const plainName = /^[\w.+-]{1,200}$/;

/** What is never asked for: links and devices, other people's locks, and files that only a resuming run needs. */
const transfer = ['-r', '--times', '--no-links', '--no-devices', '--no-specials', '--protect-args'];
const leftThere = ['lease.json*', 'job.json', 'log.txt'];

/**
 * Brings finished runs from another machine's runs folder: experiment, inputs, plan, progress, predictions and scores, without checkpoints.
 * They are found by `study`, `list` and notebooks as if they had been computed here.
 * @param source `<host>:<runs folder>` as ssh and rsync know it, or a folder
 * @returns which runs came, which stood here already, which are not finished there
 * @throws VoxelbookError when rsync fails, or a run that came is not what was sent or not what its name says; what came whole before stays
 */
export async function pull(source: string, options: PullOptions = {}): Promise<Pulled> {
  if (!/^[^-]/.test(source) || printable(source) !== source)
    throw failed(source, 'this is no place', 'a folder, or host:folder', 'Name it as rsync does.');
  const from = `${source.replace(/\/+$/, '')}/`;
  const listing = ['--include=/*/', '--include=/*/experiment.json', '--include=/*/scores.json', '--exclude=*'];
  const { stdout } = await rsync(['--list-only', ...transfer, ...listing, '--', from], options);
  const files = stdout.split('\n').flatMap((line) => /^-\S+\s+\S+\s+\S+\s+\S+\s+(.*)$/.exec(line)?.[1] ?? []);
  const named = (file: string) => files.filter((f) => path.basename(f) === file).map((f) => path.dirname(f));
  const there = named('experiment.json').filter((name) => plainName.test(name));
  const done = new Set(named('scores.json'));
  const local = (name: string) => path.join(runsFolder(), name);
  const isHere = (name: string) => readScores(local(name)) !== undefined || isAlive(local(name));
  const finished = there.filter((name) => done.has(name));
  const wanted = finished.filter((name) => !isHere(name));
  const result: Pulled = {
    brought: [],
    kept: finished.filter(isHere),
    unfinished: there.filter((name) => !done.has(name)),
  };
  if (there.length === 0)
    throw failed(source, 'no run', 'a runs folder', 'Name the folder that VOXELBOOK_RUNS names there (default: runs).');
  if (wanted.length === 0) return result;
  fs.mkdirSync(runsFolder(), { recursive: true });
  // What an interrupted transfer has brought stays here for the next.
  const stage = path.join(runsFolder(), '.pulled');
  fs.mkdirSync(stage, { recursive: true, mode: 0o700 });
  const rules = [
    ...(options.weights ? ['--include=/*/checkpoints/', '--include=/*/checkpoints/final.safetensors'] : []),
    ...['--exclude=/*/checkpoints/**', '--exclude=/*/checkpoints/', ...leftThere.map((name) => `--exclude=${name}`)],
  ];
  const list = wanted.join('\0');
  const ask = ['--files-from=-', '--from0', ...transfer, ...rules, '--', from, `${stage}/`];
  await rsync(['--partial', '--info=progress2', ...ask], options, list);
  const { stdout: differing } = await rsync(['--dry-run', '--checksum', '--out-format=%n', '--no-times', ...ask], options, list);
  const damaged = new Set(differing.split('\n').flatMap((line) => (/[^/]$/.test(line) ? line.split('/')[0] : [])));
  const faults = new FaultList();
  for (const name of wanted) {
    const wrong = damaged.has(name) ? 'other bytes than there' : notItself(path.join(stage, name), name);
    if (wrong) {
      faults.add('pulled', name, wrong, 'the run that its name says', 'Run the same command again; the other runs are here.');
      fs.rmSync(path.join(stage, name), { recursive: true, force: true });
      continue;
    }
    // A half-finished run of the same name gives way: the result is the same.
    fs.rmSync(local(name), { recursive: true, force: true });
    fs.renameSync(path.join(stage, name), local(name));
    result.brought.push(name);
  }
  fs.rmSync(stage, { recursive: true, force: true });
  faults.throwIfAny('not every run could be taken');
  return result;
}

/** What is wrong with a folder that came under this name; undefined where nothing is. */
function notItself(folder: string, name: string): string | undefined {
  const order = readOrder(folder);
  if (!order) return 'no readable experiment.json';
  if (path.basename(runFolderOf(order.experiment, order.fold, order.seed)) !== name) return 'the experiment of another run';
  if (!readScores(folder)) return 'scores.json that fails its checksum';
  return undefined;
}

const failed = (source: string, given: string, expected: string, fix: string) =>
  new VoxelbookError('no runs were brought', { code: 'pull', path: source, given, expected, fix });

/** Runs rsync. @param input what it reads, for `--files-from=-` */
function rsync(args: readonly string[], { signal, onProgress }: PullOptions, input = ''): Promise<{ stdout: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('rsync', [...args], { signal, env: { ...process.env, LC_ALL: 'C' } });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const share = /(\d+)%/.exec(text)?.[1];
      if (share !== undefined && onProgress) onProgress(Number(share) / 100, 'pull');
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'ENOENT'
          ? failed('rsync', 'no rsync on this machine', 'rsync here and there', 'Debian, Ubuntu: apt-get install rsync.')
          : error,
      ),
    );
    child.on('close', (code) => {
      if (code === 0) resolve({ stdout });
      else
        reject(
          failed(
            args.at(input ? -2 : -1)!,
            stderr.trim().split('\n').slice(-3).join(' | ') || `rsync ended with ${code}`,
            'a folder that rsync can read',
            'Try ssh to that machine first; what came already is kept and not sent again.',
          ),
        );
    });
    child.stdin.on('error', () => {}); // its own end is told by `close`
    child.stdin.end(input);
  });
}
