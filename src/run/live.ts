// The live view of a run: loss and pseudo-Dice as one static picture with a line of text, redrawn as the log grows.
import { duration, escapeText, plainText } from '../base/text.js';
import { services } from '../report/kernel.js';
import type { ProgressLine } from '../train/index.js';

export type MimeBundle = Record<string, string>;

/** Shows a bundle and gives back how to replace it. */
export type Display = (bundle: MimeBundle) => { update(bundle: MimeBundle): void };

const redrawMs = 1000;

/** A picture that is drawn again as things go on, when nothing more urgent is asked at most once a second. */
export class Redrawn {
  private shown: ReturnType<Display> | undefined;
  private drawn = 0;

  /** @param display how to show; absent: the kernel's own; null: not at all */
  constructor(
    private readonly bundle: () => MimeBundle,
    private readonly display: Display | null | undefined = services()?.displayBundle,
  ) {}

  /** Whether anybody sees it. */
  get isShown(): boolean {
    return Boolean(this.display);
  }

  /** Draws if the last picture is a second old. */
  soon(): void {
    if (performance.now() - this.drawn >= redrawMs) this.now();
  }

  now(): void {
    if (!this.display) return;
    this.drawn = performance.now();
    const bundle = this.bundle();
    if (this.shown) this.shown.update(bundle);
    else this.shown = this.display(bundle);
  }
}

/** The picture of one run. */
export class LiveView {
  private lines: ProgressLine[] = [];
  private readonly view: Redrawn;

  /** @param display as of `Redrawn` */
  constructor(name: string, note: string, display?: Display | null) {
    this.view = new Redrawn(() => picture(name, this.lines, note), display);
  }

  update(lines: ProgressLine[]): void {
    this.lines = lines;
    this.view.soon();
  }

  end(): void {
    if (this.lines.length > 0) this.view.now();
  }
}

/** `epoch 3/10 · step 120/400 · loss 0.812 · pseudo-DSC 0.654 · 2 min 10 s left · 1.2 GB`. */
export function statusLine(lines: readonly ProgressLine[]): string {
  const last = lines.at(-1);
  if (!last) return 'starting';
  const dice = lines.findLast((l) => l.pseudoDsc !== null)?.pseudoDsc;
  return [
    `epoch ${Math.min(last.epoch + 1, last.epochs)}/${last.epochs}`,
    `step ${last.step}/${last.steps}`,
    `loss ${last.loss.toFixed(3)}`,
    dice === undefined || dice === null ? '' : `pseudo-DSC ${dice.toFixed(3)}`,
    last.stoppedEarly
      ? `stopped early after ${duration(last.seconds)}`
      : last.step < last.steps
        ? `${duration(last.etaSeconds)} left`
        : `trained in ${duration(last.seconds)}`,
    `${(last.rssBytes / 2 ** 30).toFixed(1)} GB`,
  ]
    .filter(Boolean)
    .join(' · ');
}

/** Loss (left axis) and pseudo-Dice (right axis, 0 to 1) over steps, as text and as SVG without script. */
export function picture(name: string, lines: readonly ProgressLine[], note = ''): MimeBundle {
  const text = `${plainText(name)}: ${statusLine(lines)}${note ? `\n${plainText(note)}` : ''}`;
  const [width, height, left, right, top, bottom] = [640, 220, 46, 40, 28, 30];
  const loss = lines.filter((l) => Number.isFinite(l.loss)).map((l) => [l.step, l.loss] as const);
  const dice = lines.flatMap((l) => (l.pseudoDsc === null ? [] : [[l.step, l.pseudoDsc] as const]));
  const steps = lines.at(-1)?.steps ?? 1;
  const low = Math.min(...loss.map(([, v]) => v), 0);
  const high = Math.max(...loss.map(([, v]) => v), low + 1e-6);
  const x = (step: number) => left + (step / steps) * (width - left - right);
  const y = (v: number, a: number, b: number) => top + (1 - (v - a) / (b - a)) * (height - top - bottom);
  const path = (points: readonly (readonly [number, number])[], a: number, b: number) =>
    points.map(([s, v]) => `${x(s).toFixed(1)},${y(v, a, b).toFixed(1)}`).join(' ');
  const label = (px: number, py: number, t: string, anchor = 'start', colour = '#555') =>
    `<text x="${px}" y="${py}" font-size="11" font-family="sans-serif" fill="${colour}" text-anchor="${anchor}">${escapeText(t)}</text>`;
  const svg = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escapeText(text)}</title><rect width="100%" height="100%" fill="white"/>`,
    `<path d="M${left} ${top}V${height - bottom}H${width - right}V${top}" fill="none" stroke="#bbb"/>`,
    `<polyline points="${path(loss, low, high)}" fill="none" stroke="#1f77b4" stroke-width="1.5"/>`,
    `<polyline points="${path(dice, 0, 1)}" fill="none" stroke="#d95f02" stroke-width="1.5"/>`,
    ...dice.map(([s, v]) => `<circle cx="${x(s).toFixed(1)}" cy="${y(v, 0, 1).toFixed(1)}" r="2" fill="#d95f02"/>`),
    label(left - 6, top + 4, high.toFixed(2), 'end', '#1f77b4'),
    label(left - 6, height - bottom, low.toFixed(2), 'end', '#1f77b4'),
    label(width - right + 6, top + 4, '1', 'start', '#d95f02'),
    label(width - right + 6, height - bottom, '0', 'start', '#d95f02'),
    label(left, height - 12, 'loss', 'start', '#1f77b4'),
    label(left + 40, height - 12, 'pseudo-Dice', 'start', '#d95f02'),
    label(width - right, height - 12, `${steps} steps`, 'end'),
    label(left, 16, `${name} — ${statusLine(lines)}`, 'start', '#222'),
    '</svg>',
  ].join('');
  return { 'text/plain': text, 'image/svg+xml': svg };
}
