// Which cell does the code that runs now belong to? What it prints goes there, and Stop ends it and nothing else.
//
// Code of cells says so itself at every `await`, `for await` and `.then` (emit.mjs puts the calls there); timers carry
// their cell along. AsyncLocalStorage would follow calls everywhere, but before Node 24 it makes the hard stop end the process.
import { AsyncLocalStorage } from 'node:async_hooks';
import { ChildProcess } from 'node:child_process';
import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers';
import timersPromises from 'node:timers/promises';
import { promisify, types } from 'node:util';

const then = Promise.prototype.then;
const never = () => new Promise(() => {});
const original = { setTimeout, setInterval, setImmediate, clearInterval };
/** A loop that catches what Stop throws sees it this many times; then it waits forever. */
const mostThrows = 100;

/** A cell's run: 'live', 'stopping' while its code tidies up after Stop, 'dead' once it has ended stopped. */
const newContext = (id) => ({ id, state: 'live', reason: undefined, throws: 0, waiting: new Set() });

/** @param onChild called with ({ pid, id, detached, command }) for each child process, and ({ pid, ended: true }) */
export function contexts(onChild) {
  const follow = Number(process.versions.node.split('.')[0]) >= 24 ? new AsyncLocalStorage() : undefined;
  const between = newContext(undefined);
  let main = between;
  let current;
  let resetPlanned = false;

  const now = () => (follow ? follow.getStore() : current) ?? main;

  /** Callbacks of timers begin here; what follows in promises belongs to the same cell, until the loop has turned. */
  function arrive(context) {
    current = context;
    if (resetPlanned || follow) return;
    resetPlanned = true;
    original.setImmediate(() => {
      resetPlanned = false;
      current = undefined;
    });
  }

  function within(context, work) {
    if (follow) return follow.run(context, work);
    const before = current;
    current = context;
    try {
      return work();
    } finally {
      current = before;
    }
  }

  /** A promise that stays silent once its cell is dead. */
  const guarded = (context, promise) =>
    new Promise((resolve, reject) => {
      const pass = (settle) => (value) => {
        if (context.state === 'dead') return;
        arrive(context);
        settle(value);
      };
      then.call(promise, pass(resolve), pass(reject));
    });

  function live({ context, tidy: late }, tidy) {
    if (context.state === 'live') return undefined;
    if (context.state === 'dead') return never();
    if (tidy || late) return undefined;
    if (context.throws++ < mostThrows) throw context.reason;
    return never();
  }

  function hold(run, value, tidy) {
    if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return value;
    const { context } = run;
    const promise = types.isPromise(value) ? value : new Promise((resolve) => resolve(value));
    if (context.state === 'dead' || (context.state === 'stopping' && (tidy || run.tidy))) return promise;
    return new Promise((resolve, reject) => {
      run.reject = reject;
      context.waiting.add(run);
      // Its own `resolve` handed on: V8 follows that for the "at async …" lines of stacks.
      then.call(promise, resolve, (error) => {
        context.waiting.delete(run);
        reject(error);
      });
    });
  }

  function back({ context }) {
    current = context;
  }

  /** What code of cells calls; see emit.mjs. */
  const calls = {
    enter() {
      const context = now();
      if (context.state === 'dead') throw context.reason;
      return { context, tidy: context.state === 'stopping' };
    },
    live,
    hold,
    take(run, value) {
      const { context } = run;
      context.waiting.delete(run);
      back(run);
      if (context.state === 'dead') throw context.reason;
      return value;
    },
    back(run) {
      run.context.waiting.delete(run);
      back(run);
    },
    each(run, iterable, tidy) {
      const asynchronous = iterable[Symbol.asyncIterator];
      if (!asynchronous && !iterable[Symbol.iterator]) throw new TypeError('what stands behind `of` cannot be iterated');
      const iterator = (asynchronous ?? iterable[Symbol.iterator]).call(iterable);
      const close = () => {
        try {
          const closing = iterator.return?.();
          if (types.isPromise(closing)) then.call(closing, undefined, () => {});
        } catch {}
      };
      const step = () => {
        const turn = iterator.next();
        if (asynchronous || turn.done) return turn;
        return then.call(Promise.resolve(turn.value), (value) => ({ value, done: false }));
      };
      return {
        [Symbol.asyncIterator]() {
          return this;
        },
        next() {
          try {
            const turn = hold(run, live(run, tidy) ?? step(), tidy);
            if (types.isPromise(turn))
              then.call(turn, undefined, (error) => {
                if (error === run.context.reason) close();
              });
            return turn;
          } catch (error) {
            if (error === run.context.reason) close();
            throw error;
          }
        },
        return: async (value) => (iterator.return ? iterator.return(value) : { value, done: true }),
      };
    },
    chain(receiver, name, ...handlers) {
      if (!types.isPromise(receiver)) return receiver[name](...handlers);
      const context = now();
      const bound = handlers.map((handler) =>
        typeof handler !== 'function'
          ? handler
          : (value) => (context.state === 'dead' ? never() : within(context, () => handler(value))),
      );
      return receiver[name](...bound);
    },
  };

  wrapTimers({ now, arrive, guarded });
  watchChildren({ now, onChild });

  return {
    calls,
    now,
    within,
    original,
    /** Begins a cell: code without a better owner is its. */
    begin(id) {
      main = newContext(id);
      current = follow ? undefined : main;
      return main;
    },
    /** Stop: every pause of the cell's code throws; catch and finally may still run. */
    stop(context, reason) {
      context.state = 'stopping';
      context.reason = reason;
      current = context;
      for (const run of context.waiting) run.reject(reason);
      context.waiting.clear();
    },
    /** Its end: nothing of it goes on. */
    kill(context) {
      context.state = 'dead';
      context.waiting.clear();
      if (current === context) current = undefined;
    },
    /** A finished cell leaves its id behind, for what comes late from nowhere. */
    end(context) {
      if (main === context) main = newContext(context.id);
      if (current === context) current = undefined;
    },
  };
}

/** setTimeout and its like, from wherever they are taken, carry their cell along and are silent once it is dead. */
function wrapTimers({ now, arrive, guarded }) {
  const carrying = (name, clear) => {
    const plain = original[name];
    const wrapped = {
      [name](callback, ...rest) {
        if (typeof callback !== 'function') return plain(callback, ...rest);
        const context = now();
        const timer = plain(
          function (...args) {
            if (context.state === 'dead') return clear(timer);
            arrive(context);
            return callback.apply(this, args);
          },
          ...rest,
        );
        return timer;
      },
    }[name];
    const promised = plain[promisify.custom];
    if (promised) Object.defineProperty(wrapped, promisify.custom, { value: (...args) => guarded(now(), promised(...args)) });
    globalThis[name] = timers[name] = wrapped;
  };
  carrying('setTimeout', clearTimeout);
  carrying('setInterval', clearInterval);
  carrying('setImmediate', clearImmediate);
  for (const name of ['setTimeout', 'setImmediate']) {
    const plain = timersPromises[name];
    timersPromises[name] = (...args) => guarded(now(), plain(...args));
  }
  const every = timersPromises.setInterval;
  timersPromises.setInterval = (...args) => {
    const context = now();
    const turns = every(...args);
    const next = turns.next.bind(turns);
    turns.next = () => guarded(context, next());
    return turns;
  };
  const { scheduler } = timersPromises;
  const wait = scheduler.wait.bind(scheduler);
  Object.defineProperty(scheduler, 'wait', { value: (...args) => guarded(now(), wait(...args)), configurable: true });
  syncBuiltinESMExports();
}

function watchChildren({ now, onChild }) {
  const { spawn } = ChildProcess.prototype;
  ChildProcess.prototype.spawn = function (options) {
    const error = spawn.call(this, options);
    const { pid } = this;
    if (pid) {
      onChild({ pid, id: now().id, detached: Boolean(options.detached), command: (options.args ?? [options.file]).join(' ') });
      this.once('exit', () => onChild({ pid, ended: true }));
    }
    return error;
  };
}
