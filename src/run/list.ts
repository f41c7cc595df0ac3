// All runs on this machine and their state.
import fs from 'node:fs';
import path from 'node:path';
import { duration, escapeText, plainText } from '../base/text.js';
import type { Fold } from '../dataset/index.js';
import type { ProgressLine } from '../train/index.js';
import { type RunOrder, type RunState, readFailure, readOrder, readProgress, readScores, runFolders } from './folder.js';
import { dataChangesOf } from './fresh.js';
import { isAlive } from './lease.js';
import { meanText, outdatedText } from './result.js';

/** A run as a list shows it. */
export interface ListedRun {
  name: string;
  experiment: string;
  fold: Fold;
  seed: number;
  state: RunState;
  step: number;
  steps: number;
  loss: number | null;
  pseudoDsc: number | null;
  /** Scores of a finished run, time left of a running one, the cause of a failed one. */
  note: string;
  folder: string;
}

const finalWeights = (folder: string) => path.join(folder, 'checkpoints', 'final.safetensors');

/** What a run folder says about itself. */
export function stateOf(folder: string): RunState {
  if (readScores(folder)) return 'finished';
  if (isAlive(folder)) return 'running';
  if (readFailure(folder)) return 'failed';
  if (fs.existsSync(finalWeights(folder))) return 'trained';
  return readProgress(folder).length > 0 ? 'stopped' : 'new';
}

/** Every run below the runs folder, newest first; in a cell it shows itself as a table. */
export function list(): ListedRun[] {
  const rows = runFolders().flatMap((folder) => {
    const order = readOrder(folder);
    return order ? [rowOf(folder, order)] : [];
  });
  Object.defineProperty(rows, Symbol.for('Jupyter.display'), {
    value: () => ({ 'text/plain': listText(rows), 'text/html': listHtml(rows) }),
  });
  return rows;
}

function rowOf(folder: string, order: RunOrder): ListedRun {
  const { experiment, fold, seed } = order;
  const lines = readProgress(folder);
  const last: ProgressLine | undefined = lines.at(-1);
  const state = stateOf(folder);
  const scores = readScores(folder);
  const outdated = state === 'finished' ? dataChangesOf(order, folder) : [];
  const notes: Record<RunState, string> = {
    finished: scores ? [meanText(scores), outdatedText(outdated)].filter(Boolean).join(' · ') : '',
    running: last ? `${duration(last.etaSeconds)} left` : 'starting',
    failed: readFailure(folder)?.message.split('\n')[0] ?? '',
    trained: finalWeights(folder),
    stopped: 'starting it again goes on here',
    new: '',
  };
  return {
    name: path.basename(folder),
    experiment: experiment.name,
    fold,
    seed,
    state,
    step: last?.step ?? 0,
    steps: last?.steps ?? 0,
    loss: last?.loss ?? null,
    pseudoDsc: lines.findLast((l) => l.pseudoDsc !== null)?.pseudoDsc ?? null,
    note: notes[state],
    folder,
  };
}

const columns = ['experiment', 'fold', 'seed', 'state', 'step', 'steps', 'loss', 'pseudoDsc', 'note'] as const;
const cell = (value: unknown) => (typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(3) : String(value ?? ''));

/** The table as text. */
export function listText(rows: readonly ListedRun[]): string {
  if (rows.length === 0) return 'no runs yet';
  const lines = [columns as readonly string[], ...rows.map((r) => columns.map((c) => plainText(cell(r[c]))))];
  const widths = columns.map((_, i) => Math.max(...lines.map((l) => l[i].length)));
  return lines
    .map((l) =>
      l
        .map((t, i) => t.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function listHtml(rows: readonly ListedRun[]): string {
  const tr = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((c) => `<${tag}>${escapeText(c)}</${tag}>`).join('')}</tr>`;
  return `<table>${tr(columns, 'th')}${rows
    .map((r) =>
      tr(
        columns.map((c) => cell(r[c])),
        'td',
      ),
    )
    .join('')}</table>`;
}
