// What was run, also in earlier sessions: one line of JSON each, in a file of the person's own.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const mostBytes = 4 * 2 ** 20;

const defaultFile = () =>
  path.join(process.env.XDG_STATE_HOME || path.join(os.homedir(), '.local/state'), 'voxelbook/history.jsonl');

/** @param file where it is kept; '' for nowhere. Where it cannot be written the session has its own history alone. */
export function history(file = process.env.VOXELBOOK_HISTORY ?? defaultFile()) {
  const id = `${Date.now().toString(36)}-${process.pid}`;
  const session = [];
  let earlier;

  /** [session counted backwards (-1 is the last one), line, code], oldest first. */
  function ofEarlierSessions() {
    if (earlier) return earlier;
    let text = '';
    try {
      if (file) text = fs.readFileSync(file, 'utf8');
    } catch {}
    const entries = text.split('\n').flatMap((line) => {
      try {
        const entry = JSON.parse(line);
        return entry.session !== id && typeof entry.code === 'string' ? [entry] : [];
      } catch {
        return [];
      }
    });
    const sessions = [...new Set(entries.map((e) => e.session))];
    const number = new Map(sessions.map((s, i) => [s, i - sessions.length]));
    earlier = entries.map((e) => [number.get(e.session), e.line, e.code]);
    return earlier;
  }

  function keep(entry) {
    if (!file) return;
    try {
      fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
      if (session.length === 1 && fs.existsSync(file) && fs.statSync(file).size > mostBytes) shorten();
      fs.appendFileSync(file, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
    } catch {
      // A home that cannot be written is no reason to stop working.
    }
  }
  function shorten() {
    const text = fs.readFileSync(file, 'utf8').slice(-mostBytes / 2);
    fs.writeFileSync(`${file}.${process.pid}.tmp`, text.slice(text.indexOf('\n') + 1), { mode: 0o600 });
    fs.renameSync(`${file}.${process.pid}.tmp`, file);
  }

  return {
    add(line, code) {
      ofEarlierSessions();
      session.push([0, line, code]);
      keep({ session: id, line, code });
    },
    /** Answers a history_request: entries [session, line, code]. */
    find({ hist_access_type: access, n, session: wanted = 0, start = 0, stop, pattern = '*', unique }) {
      const all = [...ofEarlierSessions(), ...session];
      if (access === 'range')
        return all.filter(([s, line]) => s === wanted && line >= start && (stop === undefined || stop === null || line < stop));
      let found = all;
      if (access === 'search') {
        const like = new RegExp(
          `^${pattern
            .replace(/[.+^${}()|[\]\\]/g, '\\$&')
            .replace(/\*/g, '[^]*')
            .replace(/\?/g, '[^]')}$`,
        );
        found = all.filter(([, , code]) => like.test(code));
        if (unique) found = [...new Map(found.map((h) => [h[2], h])).values()];
      }
      return n ? found.slice(-n) : found;
    },
  };
}
