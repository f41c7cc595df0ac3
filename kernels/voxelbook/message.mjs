// Jupyter's wire format: identities, delimiter, signature, four JSON parts, buffers.
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { wellFormed } from './send.mjs';

const delimiter = '<IDS|MSG>';
const empty = Buffer.from('{}');
/** Content that the main thread has written already comes as text. */
const part = (value) => Buffer.from(typeof value === 'string' ? value : wellFormed(JSON.stringify(value)));

/** Signs and checks messages with the connection file's key. An empty key means unsigned, as the protocol says. */
export function messageCodec({ key, signature_scheme: scheme = 'hmac-sha256' }) {
  const session = randomUUID();
  const sign = (parts) => {
    if (!key) return '';
    const hmac = createHmac(scheme.replace(/^hmac-/, ''), key);
    for (const part of parts) hmac.update(part);
    return hmac.digest('hex');
  };

  return {
    /** Frames → message, or undefined for anything not signed with our key: nothing of it is parsed before that check. */
    decode(frames) {
      const at = frames.findIndex((f) => f.length === delimiter.length && f.toString('latin1') === delimiter);
      if (at < 0 || frames.length < at + 6) return undefined;
      const given = frames[at + 1];
      const parts = frames.slice(at + 2, at + 6);
      const expected = Buffer.from(sign(parts));
      if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
      const [header, parent, metadata, content] = parts.map((p) => JSON.parse(p.toString('utf8')));
      return { identities: frames.slice(0, at), header, parent, metadata, content, buffers: frames.slice(at + 6) };
    },

    /** Message → frames. `parent` is the message this one answers. */
    encode(type, content, { parent, identities = [], metadata = {}, buffers = [] } = {}) {
      const header = {
        msg_id: randomUUID(),
        session,
        username: 'kernel',
        date: new Date().toISOString(),
        msg_type: type,
        version: '5.4',
      };
      const parts = [part(header), parent ? part(parent.header) : empty, part(metadata), part(content)];
      return [...identities, delimiter, sign(parts), ...parts, ...buffers];
    },
  };
}
