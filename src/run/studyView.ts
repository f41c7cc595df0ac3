// The live view of a study: one table of its runs, each with its progress, loss and time left, redrawn as their logs grow.
import { duration, escapeText, plainText } from '../base/text.js';
import type { ProgressLine } from '../train/index.js';
import type { PlannedRun } from './folder.js';
import { type Display, type MimeBundle, Redrawn } from './live.js';

/** What became of a run so far. */
export type RunStage = 'waits' | 'runs' | 'finished' | 'failed';

interface Row {
  system: string;
  fold: string;
  seed: number;
  stage: RunStage;
  /** It was there before this study began. */
  before: boolean;
  lines: ProgressLine[];
  note: string;
}

/** Rows shown at most; of a longer study those that run, and the last that ended. */
const mostRows = 24;

/** The table of a study's runs. */
export class StudyView {
  private readonly rows: Map<string, Row>;
  private readonly begin = performance.now();
  private readonly view: Redrawn;

  /** @param display as of `Redrawn` */
  constructor(runs: readonly PlannedRun[], display?: Display | null) {
    this.view = new Redrawn(() => this.bundle(), display);
    this.rows = new Map(
      runs.map((run) => [
        run.hash,
        {
          ...{ system: run.experiment.name, fold: String(run.fold), seed: run.seed, lines: [], note: '' },
          ...{ stage: run.finished ? 'finished' : 'waits', before: run.finished },
        },
      ]),
    );
  }

  line(run: PlannedRun, line: ProgressLine): void {
    if (!this.view.isShown) return;
    this.row(run).lines.push(line);
    this.view.soon();
  }

  /** @param note the first line of what went wrong */
  stage(run: PlannedRun, stage: RunStage, note = ''): void {
    const row = this.row(run);
    // A run that was taken up again says its steps again.
    if (stage === 'runs') row.lines = [];
    Object.assign(row, { stage, note });
    this.view.now();
  }

  private row(run: PlannedRun): Row {
    return this.rows.get(run.hash)!;
  }

  /** The table now. */
  private bundle(): MimeBundle {
    const rows = [...this.rows.values()];
    const own = rows.filter((row) => !row.before);
    const ended = own.filter((row) => row.stage === 'finished' || row.stage === 'failed');
    const failed = own.filter((row) => row.stage === 'failed').length;
    const share = own.reduce((sum, row) => sum + shareOf(row), 0);
    const seconds = (performance.now() - this.begin) / 1000;
    const left = (seconds / Math.max(share, 1e-9)) * (own.length - share);
    const head = [
      `${rows.length - own.length + ended.length} of ${rows.length} runs`,
      rows.length > own.length ? `${rows.length - own.length} were there` : '',
      failed > 0 ? `${failed} failed` : '',
      ended.length === own.length ? duration(seconds) : share > 0.02 ? `${duration(left)} left` : '',
    ]
      .filter(Boolean)
      .join(' · ');
    const listed = rows.length <= mostRows ? rows : chosen(rows);
    const folds = new Set(rows.map((row) => row.fold)).size > 1;
    const cells = listed.map((row) => cellsOf(row, folds));
    const html = `<table style="font-variant-numeric:tabular-nums"><caption style="text-align:left;font-weight:bold">${escapeText(head)}</caption><tbody>${listed
      .map((row, i) => `<tr>${cells[i].map(td).join('')}<td style="padding:1px 8px">${spark(row.lines)}</td></tr>`)
      .join('')}</tbody></table>${listed.length < rows.length ? `<small>${rows.length - listed.length} more</small>` : ''}`;
    const text = cells.map((row) => row.filter(Boolean).join('  '));
    return { 'text/html': html, 'text/plain': [head, ...text].map(plainText).join('\n') };
  }
}

const td = (text: string) => `<td style="text-align:left;padding:1px 8px">${escapeText(text)}</td>`;

function shareOf({ stage, lines }: Row): number {
  if (stage === 'finished' || stage === 'failed') return 1;
  const last = lines.at(-1);
  return stage === 'runs' && last ? (0.95 * last.step) / last.steps : 0;
}

/** Those that run, then the last that ended, then the next. */
function chosen(rows: readonly Row[]): Row[] {
  const of = (...stages: RunStage[]) => rows.filter((row) => stages.includes(row.stage));
  const kept = new Set([...of('runs', 'failed'), ...of('finished').slice(-8), ...of('waits').slice(0, 8)].slice(0, mostRows));
  return rows.filter((row) => kept.has(row));
}

function cellsOf({ system, fold, seed, stage, before, lines, note }: Row, folds: boolean): string[] {
  const last = lines.at(-1);
  const dice = lines.findLast((l) => l.pseudoDsc !== null)?.pseudoDsc;
  const how =
    stage === 'finished'
      ? before
        ? 'was there'
        : `finished${last ? ` in ${duration(last.seconds)}` : ''}`
      : stage === 'failed'
        ? `failed: ${note}`
        : stage === 'waits'
          ? 'waits'
          : last
            ? last.step < last.steps
              ? `${Math.round((100 * last.step) / last.steps)} %, ${duration(last.etaSeconds)} left`
              : 'predicts'
            : 'starts';
  return [
    system,
    ...(folds ? [`fold ${fold}`] : []),
    `seed ${seed}`,
    how,
    last ? `loss ${last.loss.toFixed(3)}` : '',
    typeof dice === 'number' ? `pseudo-DSC ${dice.toFixed(3)}` : '',
  ];
}

/** The loss over the steps, a word high. */
function spark(lines: readonly ProgressLine[]): string {
  const points = lines.filter((l) => Number.isFinite(l.loss));
  if (points.length < 2) return '';
  const [width, height] = [120, 18];
  const losses = points.map((l) => l.loss);
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const at = ({ step, steps, loss }: ProgressLine) =>
    `${((step / steps) * width).toFixed(1)},${(1 + (1 - (loss - low) / (high - low || 1)) * (height - 2)).toFixed(1)}`;
  return `<svg width="${width}" height="${height}" role="img" aria-label="loss over the steps"><polyline points="${points.map(at).join(' ')}" fill="none" stroke="#1f77b4" stroke-width="1.2"/></svg>`;
}
