// TensorFlow's library is read when it is first used, and changes to it wait for that.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';

const program = `
import fs from 'node:fs';
import { gradients, tf } from './src/tensor/index.ts';
import { run } from './src/index.ts';
const there = () => /libtensorflow/.test(fs.readFileSync('/proc/self/maps', 'utf8'));
const before = there();
const slope = gradients(() => tf.mean(tf.tensor1d([1, 2])), []).value.dataSync()[0];
const one = tf.tensor1d([3, 5]);
const [mean] = gradients(() => tf.mean(one), [one]).grads;
console.log(JSON.stringify([before, there(), slope, [...mean.dataSync()], Object.keys(tf).includes('add'), 'add' in tf, typeof run.study]));
`;

describe('tensor TensorFlow', () => {
  it('is not read by a process that computes nothing', function () {
    if (process.platform !== 'linux') this.skip();
    this.timeout(60_000);
    const said = execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], { encoding: 'utf8' });
    assert.deepEqual(JSON.parse(said.trim().split('\n').at(-1)!), [false, true, 1.5, [0.5, 0.5], true, true, 'function']);
  });
});
