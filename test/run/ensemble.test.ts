// Ensembles of finished runs.
import assert from 'node:assert/strict';
import { ensemble, study } from '../../src/run/index.js';
import { leaveWorkplace, tinyExperiment, workplace } from './tiny.js';

describe('run.ensemble', () => {
  after(leaveWorkplace);

  it('of one run is the run; of two is computed once; the rule for small findings leaves none; strangers are named', async function () {
    this.timeout(120_000);
    const root = workplace();
    const tiny = tinyExperiment(root);
    const { runs, failures } = await study([{ ...tiny, seeds: [1, 2] }], { display: null });
    assert.deepEqual(failures, []);

    const alone = await ensemble('alone', [runs[0]]);
    assert.deepEqual(alone.cases, runs[0].scores.cases);
    assert.equal(alone.experiment, 'alone');

    const both = await ensemble('both', runs);
    const again = await ensemble('again', runs);
    assert.deepEqual(again, { ...both, experiment: 'again' });
    assert.equal(both.cost.parameters, 2 * runs[0].scores.cost.parameters);
    assert.deepEqual(
      both.cases.map((c) => c.id),
      runs[0].scores.cases.map((c) => c.id),
    );

    const ruled = await ensemble('ruled', runs, { replaceSmall: { label: 2, by: 1, belowMm3: 1e9 } });
    for (const c of ruled.cases) assert.ok(['missed', 'both-empty'].includes(Object.values(c.classes)[1].state), c.id);

    const stranger = { ...runs[1], fold: 3 };
    await assert.rejects(ensemble('x', [runs[0], stranger]), /fold 3/);
  });
});
