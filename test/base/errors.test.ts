import assert from 'node:assert/strict';
import { type Fault, VoxelbookError } from '../../src/base/errors.js';

const fault = (part: Partial<Fault> = {}): Fault => ({
  code: 'a',
  path: 'here',
  given: '1',
  expected: '2',
  fix: 'Do it.',
  ...part,
});

describe('errors', () => {
  it('thousands of faults are all in the data, and a screenful in the message', () => {
    const error = new VoxelbookError(
      'wrong',
      Array.from({ length: 3000 }, (_, i) => fault({ path: `at ${i}` })),
    );
    assert.equal(error.faults.length, 3000);
    const lines = error.message.split('\n');
    assert.equal(lines.length, 42);
    assert.deepEqual(lines.slice(-2), ['  at 39: 1; expected 2. Do it.', '  … and 2960 more faults']);
  });

  it('a very long text is shown by its ends', () => {
    const { message } = new VoxelbookError('wrong', fault({ given: 'x'.repeat(100_000) }));
    assert.ok(message.length < 2100);
    assert.match(message, /^wrong\n {2}here: x+ … x+; expected 2\. Do it\.$/);
  });

  it('an empty text is named', () => {
    assert.equal(new VoxelbookError('wrong', fault({ given: ' ' })).message, 'wrong\n  here: nothing; expected 2. Do it.');
  });
});
