// What a recording of a desk study stands on: analysis, experiments, voxels of its data, and what its metrics answer. Digests of each, so
// that a change of any of them is noticed in a second, without a run.
import { sha256 } from '../base/checksum.js';
import { embeddedNames, generatorOf } from '../demo/index.js';
import type { DeskStudy } from '../paper/index.js';
import { volume } from '../score/index.js';
import { initOf } from '../train/dependencies.js';
import { runHash } from '../train/identity.js';
import { canonicalJson, type Experiment } from '../train/index.js';
import { identityDirection, type LabelMap } from '../volume/volume.js';

export interface DeskIdentity {
  plan: string;
  /** System → digits of its experiment, whichever its folds and seeds. */
  experiments: Record<string, string>;
  /** Embedded set → digits of its voxels. */
  data: Record<string, string>;
  /** Scoring settings, and what they give for two known label maps. */
  rule: string;
}

const digest = (value: unknown) => sha256(canonicalJson(value)).slice(0, 12);

/** The digits of a study as the library is now. */
export function identityOf({ plan, experiments }: DeskStudy): DeskIdentity {
  const sets = [...new Set(experiments.flatMap(datasetsOf))].filter((name) => embeddedNames.includes(name));
  return {
    plan: digest(plan),
    experiments: Object.fromEntries(experiments.map((e) => [e.name, digest([runHash(e, 0, 0), e.folds, e.seeds])])),
    data: Object.fromEntries(sets.map((name) => [name, generatorOf(name)])),
    rule: digest(experiments.map(({ scoring }) => [scoring, knownAnswer(scoring)])),
  };
}

/** Of an experiment and of those whose weights it starts from. */
function datasetsOf(experiment: Experiment): string[] {
  const before = initOf(experiment);
  return [experiment.dataset, ...(before ? datasetsOf(before) : [])];
}

/** What changed from a recorded identity to that of the study now, in words; nothing where it still holds. */
export function identityChanges(recorded: DeskIdentity, study: DeskStudy): string[] {
  const now = identityOf(study);
  const differing = (before: Record<string, string>, after: Record<string, string>) =>
    [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((name) => before[name] !== after[name]);
  return [
    ...(recorded.plan === now.plan ? [] : ['the analysis changed']),
    ...differing(recorded.experiments, now.experiments).map((name) => `the experiment "${name}" changed`),
    ...differing(recorded.data, now.data).map((name) => `the voxels of ${name} changed`),
    ...(recorded.rule === now.rule ? [] : ['the scoring or a metric changed']),
  ];
}

/** Scores of a ball in a ball against the same, moved and grown, at 3 mm; to nine digits, beyond which processors differ. */
function knownAnswer(scoring: Experiment['scoring']): unknown {
  const { classes = { inner: [2], outer: [1] }, definition, nsdToleranceMm } = scoring ?? {};
  const options = { classes, definition: definition as undefined, nsdToleranceMm };
  const scores = volume(balls(0, 0), balls(1, 1), options);
  return JSON.parse(JSON.stringify(scores, (_, v) => (typeof v === 'number' ? Number(v.toPrecision(9)) : v)));
}

function balls(shift: number, more: number): LabelMap {
  const n = 20;
  const data = Uint8Array.from({ length: n ** 3 }, (_, i) => {
    const at = [Math.floor(i / n ** 2), Math.floor(i / n) % n, i % n];
    const r = Math.hypot(at[0] - 9 - shift, at[1] - 10, at[2] - 9.5);
    return r < 3 + more ? 3 : r < 5 ? 1 : r < 7 ? 2 : 0;
  });
  return { data, shape: [n, n, n], channels: 1, spacingMm: [3, 3, 3], originMm: [0, 0, 0], direction: [...identityDirection] };
}
