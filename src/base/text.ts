// Text from outside (a case, a label, a path, an error) as nothing but text: in HTML, in a terminal; and times in words.

/** Characters that steer a terminal or turn the direction of writing: controls, line and paragraph separators, bidirectional marks. */
const steering = /\p{Cc}|[\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/gu;

/** Text for a terminal: no escape sequence of a name moves the cursor, and none hides what follows. */
export const plainText = (value: unknown) => String(value).replace(steering, '\ufffd');

/**
 * Text inside HTML, an attribute or SVG. Characters XML forbids become the replacement character.
 */
export function escapeText(value: unknown): string {
  return String(value)
    .replace(/(?![\n\t\r])\p{Cc}|\p{Cs}|[\ufffe\uffff]/gu, '\ufffd')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/'/g, '&#39;')
    .replace(/`/g, '&#96;');
}

/** `7.5 s`, `42 s`, `2 min 5 s`, `3 h 12 min`. */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

/** A size as a person reads it: `1.2 GB`, `340 MB`, `12 kB`. */
export function byteText(bytes: number): string {
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value < 9.95 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}
