// A process that saves checkpoints without end and says so after each; checkpoint.test.ts kills it. Arguments: run folder.
import { Random } from '../../src/base/random.js';
import { initialise } from '../../src/model/network.js';
import { tf } from '../../src/tensor/tf.js';
import { CheckpointFolder, startPosition } from '../../src/train/checkpoint.js';
import { tinyNetwork } from './tiny.js';

const network = tinyNetwork(1, 3, 64);
const checkpoints = new CheckpointFolder(process.argv[2], 'saved', network);
const found = checkpoints.load();
const params = found?.params ?? initialise(network, new Random(1));
const position = found?.position ?? startPosition(1);
process.stdout.write('saving\n');
for (;;) {
  position.step++;
  position.done++;
  // Every value of the bias is the step, so that a reader can tell a mixture from a whole.
  tf.dispose(params['first.bias']);
  params['first.bias'] = tf.fill([64], position.step);
  checkpoints.save({ params, optimiser: { step: position.step, steps: {}, slots: {} }, position });
  process.stdout.write('saved\n');
}
