// JSON as no program would write it: values changed in place, and text that is hardly JSON any more.
import type { Random } from '../../src/base/random.js';

const deep = (n: number) => JSON.parse(`${'['.repeat(n)}${']'.repeat(n)}`);
const odd = (random: Random): unknown =>
  random.choice([
    ...[null, 'text', '', -1, 0, 0.5, 1e9, 2 ** 53, -1e300, 1e300, true, false, [], {}, [[]], [null], { length: 3 }],
    ...[
      '__proto__',
      'constructor',
      '../../x',
      '/etc/passwd',
      '$JUPYTER_TOKEN',
      '.',
      'a\nb',
      'a\0b',
      '\x1b[2J',
      '\u202egnp',
      '=1+1',
      '\ud800',
    ],
    ...[Array(1000).fill(1), 'x'.repeat(5000), deep(70), { __proto__: null, constructor: { prototype: 1 } }],
  ]);

/** One change somewhere in a JSON value: delete, retype, ±1, swap, NaN, huge, a further key. @returns what was done */
export function mutate(random: Random, root: any): string {
  const places: [any, string | number, string][] = [];
  const walk = (node: any, at: string) => {
    for (const key of Object.keys(node)) {
      places.push([node, key, `${at}.${key}`]);
      if (node[key] !== null && typeof node[key] === 'object') walk(node[key], `${at}.${key}`);
    }
  };
  walk(root, '');
  if (places.length === 0) return 'nothing';
  const [node, key, at] = random.choice(places);
  const [other, otherKey] = random.choice(places);
  const changes: Record<string, () => void> = {
    delete: () => (Array.isArray(node) ? node.splice(Number(key), 1) : delete node[key]),
    retype: () => {
      node[key] = odd(random);
    },
    step: () => {
      if (typeof node[key] === 'number') node[key] += random.chance(0.5) ? 1 : -1;
    },
    swap: () => {
      const held = structuredClone(other[otherKey]);
      other[otherKey] = structuredClone(node[key]);
      node[key] = held;
    },
    nan: () => {
      node[key] = random.choice([Number.NaN, Number.POSITIVE_INFINITY]);
    },
    huge: () => {
      node[key] = random.choice([1e300, 2 ** 40, Array(1000).fill(1)]);
    },
    further: () => {
      if (Array.isArray(node)) return void node.push(odd(random));
      const name = random.choice(['__proto__', 'constructor', 'toString', 'x', '', 'a.b', 'length', '\x1b[1m', 'name']);
      Object.defineProperty(node, name, { value: odd(random), enumerable: true, configurable: true, writable: true });
    },
  };
  const change = random.choice(Object.keys(changes));
  changes[change]();
  return `${change} ${at}`;
}

/** The bytes of a file with a mutated value; sometimes bytes that are hardly JSON. */
export function mutatedJson(random: Random, value: unknown): Buffer {
  const root = [structuredClone(value)];
  for (let i = random.int(1, 4); i > 0; i--) mutate(random, root);
  const text = JSON.stringify(root[0]) ?? 'null';
  const kind = random.int(0, 40);
  if (kind === 0) return Buffer.from(text.slice(0, random.int(0, text.length + 1)));
  if (kind === 1) return Buffer.from(`\ufeff${text}`);
  if (kind === 2) return Buffer.from(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
  if (kind === 3) return Buffer.from(`${text}${text}`);
  if (kind === 4) return Buffer.from(text.replace('{', `{"__proto__":{"polluted":1},`));
  if (kind === 5) return Buffer.from(text.replace(/\d+/, '1e999'));
  if (kind === 6) return Buffer.from(`{"a":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`);
  if (kind === 7) return Buffer.alloc(random.int(0, 40));
  const bytes = Buffer.from(text);
  if (kind < 14 && bytes.length > 0)
    for (let i = random.int(1, 4); i > 0; i--) bytes[random.int(0, bytes.length)] ^= 1 << random.int(0, 8);
  return bytes;
}
