// How the predictions of an experiment are scored: what counts as a class, by which definition, at which tolerance.
import { type Dataset, type Labels, readAs } from '../dataset/index.js';
import { type DefinitionName, definitions, scoreWith } from '../score/index.js';
import type { ClassScore, Experiment, RunScores } from '../train/index.js';
import type { Volume } from '../volume/index.js';

export interface Scorer {
  /** What scores.json says of NSD; a tolerance per class is NaN there. */
  nsd: RunScores['nsd'];
  /** Scores of each class; both maps have the reference's geometry. */
  score(reference: Volume<Uint8Array>, answer: Volume<Uint8Array>): Record<string, ClassScore>;
}

/** The scorer of an experiment's `scoring`: by default the data set's labels or regions, and the score room's own definition. */
export function scorerOf(scoring: Experiment['scoring'], labels: Labels): Scorer {
  const definition = scoring?.definition as DefinitionName | undefined;
  const entries = labels.regions ?? labels.foreground;
  const classes = scoring?.classes ?? Object.fromEntries(labels.names.map((name, i) => [name, [entries[i]].flat()]));
  const options = {
    classes,
    definition,
    nsdToleranceMm: scoring?.nsdToleranceMm,
    ignoreLabel: labels.ignoreLabel ?? undefined,
  };
  return {
    nsd: nsdOf(definition, scoring?.nsdToleranceMm),
    score: (reference, answer) => scoreWith(scoring?.metrics ?? [], reference, answer, options),
  };
}

/** The `nsd` entry of scores.json. */
export function nsdOf(name: DefinitionName = 'default', given?: number | Record<string, number>): RunScores['nsd'] {
  const definition = definitions[name];
  const tolerance = given ?? ('toleranceMm' in definition ? definition.toleranceMm : 1);
  return { toleranceMm: typeof tolerance === 'number' ? tolerance : Number.NaN, definition: definition.label };
}

/** The files of a case. */
export const caseOf = (dataset: Pick<Dataset, 'cases'>, id: string) => dataset.cases.find((c) => c.id === id)!;

/** The reference labels of a case, as its reader gives them. */
export function referenceOf(dataset: Pick<Dataset, 'cases'>, id: string): Volume<Uint8Array> {
  const { label, reader } = caseOf(dataset, id);
  return readAs(label!, reader, { onWarning: () => {} }) as Volume<Uint8Array>;
}
