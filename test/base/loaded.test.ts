// What is not needed is not loaded: TensorFlow costs half a second and a hundred megabytes in every thread.
import assert from 'node:assert/strict';
import { loadedBy } from '../loaded.js';

describe('what is loaded', () => {
  for (const worker of ['train/feed/feedWorker', 'preprocess/worker', 'plan/fingerprintWorker', 'score/worker'])
    it(`${worker}: a thread that works on arrays loads no TensorFlow`, () => {
      const modules = loadedBy(`${worker}.js`);
      assert.ok(modules.size > 5);
      assert.deepEqual(
        [...modules].filter((name) => name.startsWith('tensor/') || name.startsWith('@tensorflow')),
        [],
      );
    });

  it('a run’s own process loads no paper, no report and no table', () => {
    const modules = loadedBy('run/child.js');
    assert.ok(modules.has('tensor/tf.js'));
    assert.deepEqual(
      [...modules].filter((name) => /^(paper|report)\/|^arquero$/.test(name)),
      [],
    );
  });

  it('help loads no room and no package: what a command needs is loaded when it works', () => {
    const modules = loadedBy('run/cli.js');
    assert.ok(modules.has('run/commands/train.js'));
    const light =
      /^(run\/commands\/\w+|run\/cli|base\/(native\/load|\w+)|train\/experiment)\.js$|^\.\.\/environment\/places\.mjs$/;
    assert.deepEqual(
      [...modules].filter((name) => !light.test(name)),
      [],
    );
  });
});
