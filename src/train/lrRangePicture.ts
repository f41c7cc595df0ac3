// The picture of a learning-rate range test: loss over the logarithm of the rate, as SVG without script.
import { escapeText } from '../base/text.js';

const [width, height, left, right, top, bottom] = [560, 260, 56, 20, 34, 40];

interface Curves {
  rates: readonly number[];
  losses: readonly number[];
  smoothed: readonly number[];
  /** Marked by a line. */
  steepest: number | null;
}

export function lrRangePicture({ rates, losses, smoothed, steepest }: Curves, title: string): string {
  const finite = [...losses, ...smoothed].filter(Number.isFinite);
  const low = Math.min(...finite);
  const high = Math.max(...finite, low + 1e-6);
  const [first, last] = [Math.log10(rates[0] ?? 1), Math.log10(rates.at(-1) ?? 10)];
  const x = (rate: number) => left + ((Math.log10(rate) - first) / Math.max(last - first, 1e-6)) * (width - left - right);
  const y = (loss: number) => top + ((high - loss) / (high - low)) * (height - top - bottom);
  const at = (values: readonly number[]) => values.map((v, i) => `${x(rates[i]).toFixed(1)},${y(v).toFixed(1)}`);
  const label = (px: number, py: number, text: string, anchor: string) =>
    `<text x="${px.toFixed(1)}" y="${py.toFixed(1)}" font-size="11" font-family="sans-serif" fill="#444" text-anchor="${anchor}">${escapeText(text)}</text>`;
  const powers = Array.from({ length: Math.max(0, Math.floor(last) - Math.ceil(first) + 1) }, (_, i) => Math.ceil(first) + i);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escapeText(title)}</title><rect width="100%" height="100%" fill="white"/>`,
    `<path d="M${left} ${top}V${height - bottom}H${width - right}" fill="none" stroke="#bbb"/>`,
    ...at(losses).map((point) => `<circle cx="${point.split(',')[0]}" cy="${point.split(',')[1]}" r="1.5" fill="#9bc"/>`),
    `<polyline points="${at(smoothed).join(' ')}" fill="none" stroke="#1f77b4" stroke-width="2"/>`,
    steepest ? `<path d="M${x(steepest).toFixed(1)} ${top}V${height - bottom}" stroke="#d95f02" stroke-dasharray="4 3"/>` : '',
    ...powers.map((p) => label(x(10 ** p), height - bottom + 16, `1e${p}`, 'middle')),
    label((left + width - right) / 2, height - 6, 'learning rate', 'middle'),
    label(left - 6, top + 4, high.toFixed(2), 'end'),
    label(left - 6, height - bottom, low.toFixed(2), 'end'),
    label(left, 16, title, 'start'),
    '</svg>',
  ].join('');
}
