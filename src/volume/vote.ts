// Which of several labels a place has, by their scores.

/** The label of the highest of the first `count` scores; null when several share it. */
export function winner(labels: ArrayLike<number>, scores: ArrayLike<number>, count: number): number | null {
  let best = 0;
  let tied = false;
  for (let j = 1; j < count; j++)
    if (scores[j] > scores[best]) {
      best = j;
      tied = false;
    } else if (scores[j] === scores[best]) tied = true;
  return tied ? null : labels[best];
}

/** A tie: `nearest` if it is among the labels that share the highest score, else the smallest of them. */
export function settled(labels: ArrayLike<number>, scores: ArrayLike<number>, count: number, nearest: number): number {
  let best = Number.NEGATIVE_INFINITY;
  for (let j = 0; j < count; j++) best = Math.max(best, scores[j]);
  let label = Number.POSITIVE_INFINITY;
  for (let j = 0; j < count; j++)
    if (scores[j] === best) {
      if (labels[j] === nearest) return nearest;
      label = Math.min(label, labels[j]);
    }
  return label;
}
