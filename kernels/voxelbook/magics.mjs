// Small conveniences of a day at the notebook: `%time`, `%timeit`, `%whos` and `!command`.
import { spawn } from 'node:child_process';
import { inspect } from 'node:util';

const seconds = (ms) => {
  if (ms < 1e-3) return `${(ms * 1e6).toPrecision(3)} ns`;
  if (ms < 1) return `${(ms * 1e3).toPrecision(3)} µs`;
  return ms < 1000 ? `${ms.toPrecision(3)} ms` : `${(ms / 1000).toPrecision(3)} s`;
};

/**
 * @param names () => [name, value] of everything the cells declared
 * @param show called with a mime bundle
 */
export function magics({ names, show }) {
  let begun;
  return {
    time() {
      begun = { wall: performance.now(), cpu: process.cpuUsage() };
    },
    timed(value) {
      const wall = performance.now() - begun.wall;
      const { user, system } = process.cpuUsage(begun.cpu);
      console.log(`wall time ${seconds(wall)}, processor time ${seconds((user + system) / 1000)}`);
      return value;
    },
    /** Seven rounds of as many calls as take a fifth of a second, as IPython does. */
    async timeit(work) {
      let calls = 1;
      const round = async () => {
        const begin = performance.now();
        for (let i = 0; i < calls; i++) {
          const value = work();
          if (value instanceof Promise) await value;
        }
        return performance.now() - begin;
      };
      for (let ms = await round(); ms < 200 && calls < 1e8; ms = await round())
        calls = Math.max(calls * 2, Math.min(calls * 10, Math.ceil((calls * 250) / Math.max(ms, 0.01))));
      const rounds = [];
      for (let i = 0; i < 7; i++) rounds.push((await round()) / calls);
      const mean = rounds.reduce((a, b) => a + b) / rounds.length;
      const deviation = Math.sqrt(rounds.reduce((sum, r) => sum + (r - mean) ** 2, 0) / rounds.length);
      console.log(`${seconds(mean)} ± ${seconds(deviation)} a call (mean ± standard deviation of 7 rounds of ${calls})`);
    },
    whos() {
      const rows = names().map(([name, value]) => [name, ...described(value)]);
      const head = ['name', 'type', 'shape', 'bytes', 'value'];
      const widths = head.map((title, i) => Math.max(title.length, ...rows.map((r) => r[i].length)));
      const plain = [head, ...rows]
        .map((r) =>
          r
            .map((cell, i) => cell.padEnd(widths[i]))
            .join('  ')
            .trimEnd(),
        )
        .join('\n');
      const safe = (t) => t.replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c]);
      const html = [head, ...rows].map(
        (r, i) => `<tr>${r.map((cell) => (i ? `<td>${safe(cell)}</td>` : `<th>${cell}</th>`)).join('')}</tr>`,
      );
      show({ 'text/plain': rows.length ? plain : 'no names yet', 'text/html': `<table>${html.join('')}</table>` });
    },
    /** Runs a line in the shell; what it prints is the cell's. */
    shell(command) {
      return new Promise((resolve, reject) => {
        const child = spawn(command, { shell: true, stdio: ['ignore', 'pipe', 'pipe'] });
        child.stdout.on('data', (chunk) => process.stdout.write(chunk));
        child.stderr.on('data', (chunk) => process.stderr.write(chunk));
        child.on('error', reject);
        child.on('close', (code, signal) => {
          if (code !== 0) process.stderr.write(`${command}: ${signal ? `ended by ${signal}` : `exit code ${code}`}\n`);
          resolve();
        });
      });
    },
  };
}

/** Type, shape, bytes and a short text of a value, which may be a trap. */
function described(value) {
  try {
    const kind = value === null ? 'null' : typeof value !== 'object' ? typeof value : (value.constructor?.name ?? 'object');
    const isTable = typeof value?.numRows === 'function' && typeof value.numCols === 'function';
    const shape = isTable ? [value.numRows(), value.numCols()] : Array.isArray(value?.shape) ? value.shape : sizeOf(value);
    const brief = inspect(value, { depth: 0, maxArrayLength: 4, maxStringLength: 40, breakLength: Infinity }).split('\n')[0];
    return [kind, shape ? shape.join(' × ') : '', bytesOf(value)?.toLocaleString('en') ?? '', brief.slice(0, 60)];
  } catch {
    return ['unreadable', '', '', ''];
  }
}
function sizeOf(value) {
  if (Array.isArray(value) || (ArrayBuffer.isView(value) && 'length' in value)) return [value.length];
  return value instanceof Map || value instanceof Set ? [value.size] : undefined;
}
function bytesOf(value) {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength;
  if (value?.dataId !== undefined && Array.isArray(value.shape)) {
    const bytes = { float32: 4, int32: 4, bool: 1, complex64: 8 }[value.dtype];
    return bytes && value.shape.reduce((a, b) => a * b, bytes);
  }
  return ArrayBuffer.isView(value?.data) ? value.data.byteLength : undefined;
}
