// The name a person meant.

/** Of `names` the one most like `given`: the same letters, an abbreviation (`lr`), or few letters apart; undefined when none is. */
export function nearest(given: string, names: readonly string[]): string | undefined {
  const wanted = plain(given);
  if (wanted === '') return undefined;
  let best: { name: string; score: number } | undefined;
  for (const name of names) {
    const score = distance(wanted, plain(name.split('.').at(-1)!));
    if (score !== undefined && (!best || score < best.score)) best = { name, score };
  }
  return best?.name;
}

const plain = (name: string) =>
  name
    .slice(0, 100)
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '');

/** Edits from one name to the other; undefined when they have little in common. */
function distance(a: string, b: string): number | undefined {
  if (a === b) return 0;
  const edits = levenshtein(a, b);
  if (edits <= Math.max(1, Math.floor(Math.max(a.length, b.length) / 3))) return edits;
  // `lr` for learningRate, `weight_dec` for weightDecay: the letters in order, the first one the same.
  const short = a.length >= 2 && a[0] === b[0] && isSubsequence(a, b);
  return short ? a.length + 1 : undefined;
}

function isSubsequence(a: string, b: string): boolean {
  let at = 0;
  for (const letter of b) if (letter === a[at]) at++;
  return at === a.length;
}

function levenshtein(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}
