import assert from 'node:assert/strict';
import { z } from 'zod';
import { nearest } from '../../src/base/nearest.js';
import {
  above,
  either,
  faultsOf,
  key,
  line,
  list,
  object,
  one,
  optional,
  record,
  whole,
  withDefaults,
  withoutDefaults,
} from '../../src/base/schema.js';

const optimiser = z.discriminatedUnion(
  'kind',
  [
    object({ kind: z.literal('sgd'), learningRate: above(0, 10) }),
    object({ kind: z.literal('adamw'), learningRate: above(0, 10), beta1: optional(above(0, 1), 'decay', { default: 0.9 }) }),
  ],
  { error: 'one of sgd, adamw' },
);
const schema = object({
  patch: list(whole(1, 4096), 2, 3, 'edges'),
  optimiser,
  mode: one('fast', 'exact'),
  start: either(
    [object({ from: line() }), object({ weights: line(), partial: z.boolean().optional() })],
    'from or weights',
  ).optional(),
});
const good = { patch: [32, 32], optimiser: { kind: 'sgd', learningRate: 0.1 }, mode: 'fast' };
const texts = (value: unknown) => faultsOf(schema, value).map((f) => `${f.path}: ${f.given}; ${f.expected}. ${f.fix}`);

describe('schemas', () => {
  it('a right value has no fault', () => assert.deepEqual(faultsOf(schema, good), []));

  it('every fault at once, with path, found, expected and fix', () => {
    assert.deepEqual(texts({ patch: [32, 5000], optimiser: { kind: 'adamw', lr: 0.1 }, mode: 'fsat', learning_rate: 3 }), [
      'patch[1]: 5000; a whole number from 1 to 4096. Correct the value.',
      'optimiser.learningRate: missing; a number above 0, at most 10. Add it.',
      'optimiser.lr: an unknown key, 0.1; one of kind, learningRate, beta1. Did you mean learningRate?',
      'mode: "fsat"; one of fast, exact. Did you mean fast?',
      'learning_rate: an unknown key, 3; one of patch, optimiser, mode, start. Did you mean optimiser.learningRate?',
    ]);
  });

  it('a wrong name of a part is answered with the nearest', () => {
    const [text] = texts({ ...good, optimiser: { kind: 'adam', learningRate: 0.1 } });
    assert.equal(text, 'optimiser.kind: "adam"; one of sgd, adamw. Did you mean adamw?');
  });

  it('of several forms the one that was meant names its fault', () => {
    assert.deepEqual(texts({ ...good, start: { weights: 'a.pth', partail: true } }), [
      'start.partail: an unknown key, true; one of weights, partial. Did you mean partial?',
    ]);
    assert.deepEqual(texts({ ...good, start: 7 }), ['start: 7; from or weights. Correct the value.']);
  });

  it('deep nesting, prototypes and control characters are faults', () => {
    const deep = JSON.parse(`${'['.repeat(20_000)}${']'.repeat(20_000)}`);
    assert.equal(faultsOf(schema, deep)[0].code, 'too-deep');
    assert.equal(faultsOf(schema, { ...good, mode: deep })[0].code, 'too-deep');
    assert.match(texts(JSON.parse('{"__proto__":{"mode":"fast"},"constructor":1}')).join('\n'), /constructor: an unknown key/);
    const named = object({ name: line() });
    for (const bad of ['a\nb', 'a\u001b[2J', 'a\u2028b', '']) assert.equal(faultsOf(named, { name: bad }).length, 1);
    assert.deepEqual(faultsOf(named, { name: 'Über-Größe 3×3' }), []);
    assert.equal(faultsOf(record(whole(0)), { 'a\nb': 1 }).length, 1);
  });

  it('constant defaults are filled in, and left out again', () => {
    const s = object({ width: optional(whole(1), 'channels', { default: 32 }), kernel: key(whole(1), 'edge') });
    assert.deepEqual(withDefaults(s, { kernel: 3 } as object), { kernel: 3, width: 32 });
    assert.deepEqual(withoutDefaults(s, { kernel: 3, width: 32 }), { kernel: 3 });
    assert.deepEqual(withoutDefaults(s, { kernel: 3, width: 16 }), { kernel: 3, width: 16 });
  });
});

describe('the nearest name', () => {
  const names = ['learningRate', 'momentum', 'weightDecay', 'epochs'];
  for (const [given, found] of [
    ['lr', 'learningRate'],
    ['learning_rate', 'learningRate'],
    ['momentun', 'momentum'],
    ['epoch', 'epochs'],
    ['weight_dec', 'weightDecay'],
    ['colour', undefined],
    ['', undefined],
  ] as const)
    it(`${given || 'nothing'} → ${found ?? 'nothing'}`, () => assert.equal(nearest(given, names), found));
});
