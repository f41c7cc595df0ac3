import assert from 'node:assert/strict';
import { display } from '../../src/report/display.js';
import { check } from '../../src/report/exercise.js';

describe('checks of the course', () => {
  const said = (...args: Parameters<typeof check>) => check(...args).message;

  it('an open answer is not a wrong one', () => {
    assert.equal(check('1', undefined, 27).verdict, 'open');
    assert.equal(check('1', () => undefined, 27).verdict, 'open');
  });

  it('numbers are right within the tolerance, by default a millionth', () => {
    assert.equal(check('1', 27.00001, 27).verdict, 'right');
    assert.equal(check('1', 27.1, 27).verdict, 'wrong');
    assert.equal(check('1', 27.1, 27, { tolerance: 0.2 }).verdict, 'right');
    assert.equal(check('1', 0, 0).verdict, 'right');
    assert.equal(check('1', NaN, NaN).verdict, 'right');
    assert.equal(check('1', Infinity, Infinity).verdict, 'right');
  });

  it('typed arrays, lists and texts are compared as a reader would', () => {
    assert.equal(check('1', Float32Array.of(1, 2.5), [1, 2.5]).verdict, 'right');
    assert.equal(check('1', ' ET ', 'et').verdict, 'right');
    assert.equal(check('1', true, true).verdict, 'right');
    assert.equal(check('1', [1, 2, 3], [1, 2]).verdict, 'wrong');
  });

  it('the hint of the lesson comes before the general one', () => {
    const hints = [
      [9, 'That is an area.'],
      [(v: number) => v > 100, 'That is a whole brain.'],
    ] as const;
    assert.equal(said('1', 9, 27, { hints }), '9 is not it. That is an area.');
    assert.equal(said('1', 2700, 27, { hints }), '2700 is not it. That is a whole brain.');
    assert.equal(said('1', 'text', 27, { hints }), '“text” is not it. That is a text; a number is asked for.');
  });

  it('says what kind of mistake a wrong number probably is', () => {
    const laws: [number, number, RegExp][] = [
      [27000, 27, /factor of 1,000: check the unit/],
      [0.027, 27, /factor of 1,000/],
      [-27, 27, /sign/],
      [1 / 27, 27, /upside down/],
      [0.2, 0.8, /one minus/],
      [54, 27, /factor of 2/],
      [729, 27, /power/],
      [28, 27, /off by one/],
      [1, 2, /off by one/],
      [0, 2577, /too small/],
      [27.4, 27, /rounded too early/],
      [NaN, 27, /divided by zero/],
      [35, 27, /too large/],
      [12, 27, /too small/],
      [5, 0, /too large/],
    ];
    for (const [given, expected, law] of laws) assert.match(said('1', given, expected), law, `${given} for ${expected}`);
  });

  it('says what is wrong with a list', () => {
    assert.match(said('1', [3, 2, 1], [1, 2, 3]), /order is reversed\. Axes are/);
    assert.match(said('1', [2, 1], [1, 2]), /order is reversed\.$/);
    assert.match(said('1', [2], [1, 2]), /has 1 value; 2 are/);
    assert.match(said('1', [2, 1, 3], [1, 2, 3]), /another order/);
    assert.match(said('1', [1, 2], [1, 2, 3]), /has 2 values; 3 are asked for/);
    assert.match(said('1', 4, [1, 2, 3]), /A list of 3 values/);
    assert.match(said('1', [1, 20, 3], [1, 2, 3]), /Only entry 1 .*factor of 10/);
    assert.match(said('1', [7, 9, 11], [1, 2, 3]), /No entry is right/);
  });

  it('says what is wrong with an answer of another kind', () => {
    assert.match(said('1', '27', 27), /“27” is not it\. .*leave the quotation marks away/);
    assert.match(said('1', [27], 27), /That is a list; a number is asked for/);
    assert.match(said('1', Promise.resolve(27), 27), /write await before it/);
    assert.match(said('1', Promise.resolve([27]), [27]), /write await before it/);
    assert.match(said('1', { dataSync: () => [27] }, 27), /That is a tensor.*dataSync\(\)/);
    assert.match(said('1', new Date(0), 27), /An object \(Date\) is not it\. That is an object/);
    assert.match(
      said('1', () => () => 27, 27),
      /That is a function; a number/,
    );
    assert.match(said('1', true, 27), /That is true or false; a number/);
    assert.match(said('1', 27, 'b'), /That is a number; a text/);
    assert.match(said('1', 'b because', 'b'), /One letter alone is asked for/);
    assert.match(said('1', 'e', 'b'), /one of the letters given/);
    assert.match(said('1', [1, undefined, 3], [1, 2, 3]), /\[1, undefined, 3\] is not it\. Look at entry 1 /);
    assert.match(said('1', ['64', '32'], [64, 32]), /entry 0 .*leave the quotation marks away/);
    assert.match(said('1', [[0, 1, 2]], 3), /^\[a list of 3\] is not it\./);
  });

  it('a known mistake is known with as many digits as the answer needs', () => {
    const hints = [[97.78, 'That is in per cent.']] as const;
    assert.match(said('1', 97.8, 0.9778, { tolerance: 0.0005, hints }), /in per cent/);
    assert.doesNotMatch(said('1', 98.5, 0.9778, { tolerance: 0.0005, hints }), /in per cent/);
  });

  describe('under nbgrader, which gives the points of every check that does not fail', () => {
    before(() => {
      process.env.NBGRADER_EXECUTION = 'autograde';
    });
    after(() => {
      delete process.env.NBGRADER_EXECUTION;
    });

    it('a right answer passes; a wrong or open one fails, with what is wrong', () => {
      assert.equal(check('1', 27, 27).verdict, 'right');
      assert.throws(() => check('1', 28, 27), { name: 'WrongAnswer', message: /^✗ 1: 28 is not it\. It is off by one\.$/ });
      assert.throws(() => check('1', undefined, 27), { name: 'WrongAnswer', message: /Not answered yet/ });
    });
  });

  it('never throws and never gives the answer away', () => {
    const answers: unknown[] = [null, {}, [], Symbol.iterator.toString(), new Date(0), [undefined], 'x', Infinity, -0, 1n, [[1]]];
    for (const given of answers)
      for (const expected of [123.456, [123.456, 7], 'secret', true] as const) {
        const { message } = check('1', given, expected, { hints: [[(v: any) => v.missing.deep, 'no']] });
        assert.doesNotMatch(message, /123\.456|secret/);
      }
    const failing = check('1', () => JSON.parse('{'), 1);
    assert.match(failing.message, /^Your code stopped with: /);
  });

  it('shows itself as HTML without letting an answer in as markup, and as text', () => {
    const shown = check('<b>1</b>', '<script>alert(1)</script>', 'x');
    const bundle = shown[display]();
    assert.doesNotMatch(String(bundle['text/html']), /<script|<b>1/);
    assert.match(String(bundle['text/plain']), /^✗ /);
  });
});
