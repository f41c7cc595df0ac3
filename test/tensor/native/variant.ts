// A process that loads the kernels and prints which, or what went wrong: variants.test.ts.
import { nativeVariant } from '../../../src/tensor/native/load.js';

try {
  process.stdout.write(`${nativeVariant()}`);
} catch (error) {
  process.stdout.write((error as Error).message);
}
