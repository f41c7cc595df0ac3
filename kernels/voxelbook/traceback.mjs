// Errors as a reader of the notebook wants them: positions in cells and sources, no frames of the kernel; and whatever is
// thrown, something that can be read of it.
import { SourceMap } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { textOf } from './send.mjs';

const ownFolder = path.dirname(fileURLToPath(import.meta.url));
const hidden = [ownFolder, pathToFileURL(ownFolder).href, 'node:internal/', 'node:vm'];
const isHidden = (text) => hidden.some((h) => text.includes(h));
const mostErrors = 20;

/** A property of a thrown thing, which may be a trap. */
function read(error, name) {
  try {
    return error[name];
  } catch {
    return undefined;
  }
}

export function tracebacks() {
  const maps = new Map();

  /** Position in the JavaScript that ran → position in the cell or source file. */
  function original(label, line, column) {
    const { map, header } = maps.get(label);
    const entry = map.findEntry(line - 1, column - 1);
    if (entry.originalLine === undefined) return undefined;
    const sourceLine = entry.originalLine + 1 - header;
    return sourceLine < 1 ? undefined : `${label}:${sourceLine}:${entry.originalColumn + 1}`;
  }

  function lineOf(site) {
    const text = String(site);
    const label = site.getFileName();
    if (!maps.has(label)) return text;
    const [line, column] = [site.getLineNumber(), site.getColumnNumber()];
    const place = original(label, line, column);
    return place ? text.replace(`${label}:${line}:${column}`, () => place) : text;
  }

  // Every stack that anybody reads is made here, so e.stack, console.trace and loggers show the same lines.
  Error.prepareStackTrace = (error, sites) => {
    const lines = sites.filter((site) => !isHidden(site.getFileName() ?? '')).map((site) => `\n    at ${lineOf(site)}`);
    return headOf(error) + lines.join('');
  };

  const describe = (error, depth = 0, met = new Set()) => {
    const stack = isObject(error) ? read(error, 'stack') : undefined;
    if (typeof stack !== 'string') return [isError(error) ? headOf(error) : `Uncaught value: ${shown(error)}`];
    met.add(error);
    const lines = textOf(stack)
      .split('\n')
      .filter((line) => !(/^\s+at /.test(line) && isHidden(line)));
    if (depth > 4) return lines;
    const errors = read(error, 'errors');
    if (Array.isArray(errors)) {
      for (const inner of errors.slice(0, mostErrors))
        if (!met.has(inner)) lines.push(...describe(inner, depth + 1, met).map((l) => `  ${l}`));
      if (errors.length > mostErrors) lines.push(`  and ${errors.length - mostErrors} more errors`);
    } else if (errors !== undefined && errors !== null) lines.push(...`errors: ${shown(errors)}`.split('\n'));
    const cause = read(error, 'cause');
    if (cause !== undefined && !met.has(cause)) {
      const [first, ...rest] = describe(cause, depth + 1, met);
      lines.push(`Caused by: ${first}`, ...rest);
    }
    return lines;
  };

  return {
    /** `map` of the code that runs under the file name `label`; `header` lines stand before a cell. */
    add: (label, map, header) => void maps.set(label, { map: new SourceMap(map), header }),
    /** Lines for a reader; whatever is given, it does not throw. */
    describe(error) {
      try {
        return describe(error);
      } catch {
        return ['an error that cannot be read'];
      }
    },
    /** The content of Jupyter's `error` message. */
    content(error) {
      const name = isError(error) ? read(error, 'name') || read(read(error, 'constructor'), 'name') : undefined;
      const message = isError(error) ? read(error, 'message') : undefined;
      return {
        ename: name === undefined ? 'Error' : textOf(name),
        evalue: isError(error) ? textOf(message ?? '') : shown(error),
        traceback: this.describe(error),
      };
    },
  };
}

const isObject = (value) => value !== null && (typeof value === 'object' || typeof value === 'function');
function isError(value) {
  try {
    return value instanceof Error || (isObject(value) && typeof value.stack === 'string');
  } catch {
    return false;
  }
}

/** `RangeError: text`, with Node's code where there is one. */
function headOf(error) {
  const name = textOf(read(error, 'name') || 'Error');
  const code = read(error, 'code');
  const message = textOf(read(error, 'message') ?? '');
  const full = typeof code === 'string' && code.startsWith('ERR_') && !name.includes(code) ? `${name} [${code}]` : name;
  return message ? `${full}: ${message}` : full;
}

/** A thrown value that is no error, as text. */
function shown(value) {
  try {
    return textOf(typeof value === 'string' ? value : inspect(value, { depth: 3, maxArrayLength: 50, maxStringLength: 10_000 }));
  } catch {
    return 'a value that cannot be read';
  }
}
