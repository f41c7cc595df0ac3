// What the test cases of a run on all training cases were when they were scored: a changed test set outdates scores, not the training.
import { sha256 } from '../base/checksum.js';
import { Contents, type Dataset, open, spacingFile } from '../dataset/index.js';
import type { RunScores } from '../train/index.js';
import type { RunOrder } from './folder.js';

/** SHA-256 over the files of a test case. */
export type TestedCase = NonNullable<RunScores['tested']>[string];

/** The test cases as they are now. Files are read only where size or time changed. */
export function testedNow({ folder, testCases }: Pick<Dataset, 'folder' | 'testCases'>): Record<string, TestedCase> {
  const contents = new Contents(folder);
  const sum = (files: readonly string[]) => {
    const all = files.flatMap((file) => [file, spacingFile(file) ?? []].flat());
    return sha256(all.map((file) => contents.sha256(file)).join()).slice(0, 16);
  };
  const now = testCases.map(({ id, images, label }) => [id, { images: sum(images), label: label ? sum([label]) : 'missing' }]);
  contents.save();
  return Object.fromEntries(now);
}

/** What changed of the test set since a run was scored on it, in sentences; of a run on a fold nothing. */
export function testChanges({ experiment, fold }: RunOrder, { on, cases, unscored = [], tested = {} }: RunScores): string[] {
  if (fold !== 'all') return [];
  const now = testedNow(open(experiment.dataset));
  const ids = Object.keys(now);
  if (on !== 'test') return ids.length > 0 ? ['test cases are there now'] : [];
  if (ids.length === 0) return ['test cases are no longer there'];
  const before = [...cases.map(({ id }) => id), ...unscored];
  const named = (what: string, of: readonly string[]) =>
    of.length === 0 ? [] : [`test ${what} ${of.slice(0, 8).join(', ')}${of.length > 8 ? ` and ${of.length - 8} more` : ''}`];
  // A run of an earlier version does not say what it was scored on.
  const differs = (key: keyof TestedCase) => ids.filter((id) => tested[id] && tested[id][key] !== now[id][key]);
  return [
    ...named('labels changed of', differs('label')),
    ...named('images changed of', differs('images')),
    ...named(
      'cases new:',
      ids.filter((id) => !before.includes(id)),
    ),
    ...named(
      'cases gone:',
      before.filter((id) => !ids.includes(id)),
    ),
  ];
}
