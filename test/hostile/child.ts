// The process that tries the inputs of a row.
//
//   node --import tsx test/hostile/child.ts <module> <id> <first> <count> <N> <seed> <scratch folder> <python or ->
//
// Before each input its number goes to `at` in the scratch folder, and what became of it to `told`: when the process dies, hangs or is
// ended, the runner knows at which input, and goes on behind it.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { VoxelbookError } from '../../src/base/errors.js';
import { Different, Lost, type Row, type Told } from './row.js';

async function main([module, id, first, count, asked, seed, scratch, python]: string[]): Promise<void> {
  const { rows } = (await import(pathToFileURL(module).href)) as { rows: Row[] };
  const row = rows.find((r) => r.id === id)!;
  const at = fs.openSync(path.join(scratch, 'at'), 'w');
  const told = fs.openSync(path.join(scratch, 'told'), 'a');
  const tell = (...line: Told) => fs.writeSync(told, `${JSON.stringify(line)}\n`);
  const own = path.join(scratch, 'own');
  fs.mkdirSync(own);
  const tried = await row.begin({
    seed: Number(seed),
    first: Number(first),
    count: Number(count),
    asked: Number(asked),
    scratch: own,
    python: python === '-' ? undefined : python,
  });
  const { one, end } = typeof tried === 'function' ? { one: tried, end: undefined } : tried;
  const peak = () => process.resourceUsage().maxRSS / 1024;
  const limit = peak() + (row.memoryMiB ?? 400);
  for (let i = Number(first); i < Number(first) + Number(count); i++) {
    fs.writeSync(at, `${i}`.padEnd(12), 0);
    try {
      tell(i, await one(i));
    } catch (error) {
      if (error instanceof VoxelbookError) {
        const whole = error.faults.length > 0 && error.faults.every((f) => f.path && f.given && f.expected && f.fix);
        if (whole) tell(i, 'refused');
        else tell(i, 'crash', `a fault without place, found, expected or fix: ${error.message.slice(0, 300)}`);
      } else if (error instanceof Different) tell(i, 'different', error.message.slice(0, 400));
      else if (error instanceof Lost) tell(i, 'lost', error.message.slice(0, 400));
      else tell(i, 'crash', String((error as Error)?.stack ?? error).slice(0, 600));
    }
    if (peak() > limit) {
      tell(i, 'memory', `${Math.round(peak())} MiB`);
      break; // the runner begins again behind it, with a fresh peak
    }
  }
  await end?.();
  process.exit(0);
}

await main(process.argv.slice(2));
