// What was made from finished runs beside them, ensembles and choices of the best, says so in its `members.json`.
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { atomicWriteJson } from '../base/atomicWrite.js';
import { runsFolder } from '../base/paths.js';
import { storedJson } from '../base/storedJson.js';

const kinds = ['ensembles', 'find-best'] as const;

/** Where something made from runs lies, by its hash. */
export const madeFolder = (kind: (typeof kinds)[number], hash: string): string => path.join(runsFolder(), kind, hash);

/** Notes in a folder the runs it is made from. */
export function noteMembers(folder: string, runs: readonly { folder: string }[]): void {
  atomicWriteJson(path.join(folder, 'members.json'), { runs: runs.map((run) => path.basename(run.folder)) });
}

/** Folders of what was made from any of these runs. One that does not say what it is made from is none. */
export function madeOf(runs: readonly string[]): string[] {
  const names = new Set(runs.map((folder) => path.basename(folder)));
  const members = z.looseObject({ runs: z.array(z.string()) });
  return kinds.flatMap((kind) => {
    const root = path.join(runsFolder(), kind);
    const folders = fs.existsSync(root) ? fs.readdirSync(root).map((name) => path.join(root, name)) : [];
    return folders.filter((folder) =>
      storedJson<{ runs: string[] }>(path.join(folder, 'members.json'), members)?.runs.some((name) => names.has(name)),
    );
  });
}
