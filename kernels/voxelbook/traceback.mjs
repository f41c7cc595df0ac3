// Errors as a reader of the notebook wants them: positions in cells and sources, no frames of the kernel.
import { SourceMap } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ownFolder = path.dirname(fileURLToPath(import.meta.url));
const hidden = [ownFolder, '(node:', ' node:', 'at new Script', 'at Script.runInThisContext'];

export function tracebacks() {
  const maps = new Map();

  /** Position in the JavaScript that ran → position in the cell or source file. */
  function original(label, line, column) {
    const { map, inserted } = maps.get(label);
    const entry = map.findEntry(line - 1, column - 1);
    if (entry.originalLine === undefined) return undefined;
    // A cell's module has one header line, and text inserted at the edges of statements.
    let at = entry.originalColumn;
    const cellLine = inserted ? entry.originalLine : entry.originalLine + 1;
    for (const i of inserted ?? []) if (i.line === cellLine && at > i.column) at = Math.max(i.column, at - i.length);
    return cellLine < 1 ? undefined : `${label}:${cellLine}:${at + 1}`;
  }

  function frame(text) {
    for (const label of maps.keys()) {
      const at = text.indexOf(`${label}:`);
      if (at < 0) continue;
      const match = text.slice(at + label.length).match(/^:(\d+):(\d+)/);
      const place = match && original(label, Number(match[1]), Number(match[2]));
      if (place) return text.slice(0, at) + place + text.slice(at + label.length + match[0].length);
    }
    return text;
  }

  const describe = (error, depth = 0) => {
    if (!(error instanceof Error) && typeof error?.stack !== 'string') return [`Uncaught value: ${safeString(error)}`];
    const stack = String(error.stack ?? error);
    const split = stack.search(/\n\s+at /);
    const head = split < 0 ? stack : stack.slice(0, split);
    const frames = (split < 0 ? '' : stack.slice(split + 1)).split('\n').filter((f) => f.trim());
    const lines = [...head.split('\n'), ...frames.filter((f) => !hidden.some((h) => f.includes(h))).map(frame)];
    if (depth > 4) return lines;
    for (const inner of error.errors ?? []) lines.push(...describe(inner, depth + 1).map((l) => `  ${l}`));
    if (error.cause !== undefined) {
      const [first, ...rest] = describe(error.cause, depth + 1);
      lines.push(`Caused by: ${first}`, ...rest);
    }
    return lines;
  };

  return {
    /** `map` of the code that runs under the file name `label`; `inserted` for a cell. */
    add: (label, map, inserted) => void maps.set(label, { map: new SourceMap(map), inserted }),
    describe,
    /** The content of Jupyter's `error` message. */
    content(error) {
      const isError = error instanceof Error || typeof error?.stack === 'string';
      return {
        ename: isError ? String(error.name || error.constructor?.name || 'Error') : 'Error',
        evalue: isError ? String(error.message) : safeString(error),
        traceback: describe(error),
      };
    },
  };
}

function safeString(value) {
  try {
    return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  } catch {
    return Object.prototype.toString.call(value);
  }
}
