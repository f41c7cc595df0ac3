// JSON that this library wrote for itself, in run folders and caches. What is not there, not whole, or not of the shape that was written
// counts as not there: it is made again, or said to be missing where it is needed.
import fs from 'node:fs';
import { z } from 'zod';
import { isDeeperThan } from './json.js';

/** Whether a value has the shape; unknown keys do not matter. */
export const hasShape = <T>(shape: z.ZodType, value: unknown): value is T =>
  !isDeeperThan(value) && shape.safeParse(value).success;

/** The content of a file; undefined when there is none of this shape. */
export function storedJson<T>(file: string, shape: z.ZodType): T | undefined {
  try {
    const value: unknown = JSON.parse(fs.readFileSync(file, 'utf8'));
    return hasShape<T>(shape, value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const text = z.string();

/** Shapes that several files have in common. */
export const faultShape = z.looseObject({ code: text, path: text, given: text, expected: text, fix: text });
export const tableShape = (value: z.ZodType) => z.record(text, value);
