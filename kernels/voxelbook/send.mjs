// Any value → text that can be sent and saved: written on the thread and in the call where the value is shown.

/** Lists longer than this are cut in an error's text. */
const most = 100_000;

/** JSON without half characters: no file in UTF-8 could hold them. Cut texts leave `\ud83d` behind; it becomes U+FFFD. */
export const wellFormed = (json) =>
  json.includes('\\ud') ? json.replace(/(?<!\\)((?:\\\\)*)\\ud[89a-f][0-9a-f]{2}/g, '$1\\ufffd') : json;

const whole = (n) => (n >= Number.MIN_SAFE_INTEGER && n <= Number.MAX_SAFE_INTEGER ? Number(n) : String(n));

/** What JSON has no form for, in the nearest that it has. `this` holds the value as it was before `toJSON`. */
function replaced(key, value) {
  const held = this[key];
  if (ArrayBuffer.isView(held) && !(held instanceof DataView))
    return Array.from(held, (n) => (typeof n === 'bigint' ? whole(n) : n));
  if (typeof value === 'bigint') return whole(value);
  if (value instanceof Map) return Object.fromEntries([...value].map(([k, v]) => [String(k), v]));
  if (value instanceof Set) return [...value];
  return value;
}
const { stringify } = JSON;

/** A value as JSON text: numbers of typed arrays as lists, big integers by their digits. Throws where it refers to itself. */
export function toJson(value, what = 'what is shown') {
  try {
    return wellFormed(stringify(value, replaced));
  } catch (error) {
    throw new TypeError(`${what} cannot be sent to the page as JSON: ${textOf(error?.message ?? error)}`, { cause: error });
  }
}

const isJson = (mime) => /^application\/(.*\+)?json$/.test(mime);
const isText = (mime) => mime.startsWith('text/') || /^application\/(javascript|xml|.*\+xml)$|^image\/svg\+xml$/.test(mime);

/** A mime bundle whose every entry may stand in a notebook file: text under everything that is not JSON. */
export function bundleEntries(bundle) {
  const data = {};
  for (const [mime, content] of Object.entries(bundle ?? {})) {
    if (content === undefined || content === null || typeof content === 'function') continue;
    if (content instanceof ArrayBuffer || ArrayBuffer.isView(content)) {
      const bytes =
        content instanceof ArrayBuffer
          ? Buffer.from(content)
          : Buffer.from(content.buffer, content.byteOffset, content.byteLength);
      data[mime] = isJson(mime) ? content : bytes.toString(isText(mime) ? 'utf8' : 'base64');
    } else if (isJson(mime) || typeof content === 'string') data[mime] = content;
    else if (Array.isArray(content) && content.every((line) => typeof line === 'string')) data[mime] = content.join('');
    else if (typeof content !== 'object') data[mime] = String(content);
    else if (content instanceof String) data[mime] = String(content);
    else
      throw new TypeError(
        `'${mime}' takes text${isText(mime) ? '' : ' or bytes'}, not an object; give JSON under 'application/json'`,
      );
  }
  return data;
}

/** A text in any case, whole characters only, of a bearable length. */
export function textOf(value) {
  let text;
  try {
    text = typeof value === 'symbol' ? value.toString() : String(value);
  } catch {
    text = Object.prototype.toString.call(null);
  }
  return text.length > most ? `${text.slice(0, most).toWellFormed()} … (${text.length} characters)` : text.toWellFormed();
}
