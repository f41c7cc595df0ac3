import type { GoldenCase } from '../case.js';

export const owns: string[] = [];
export const cases = (_root: string): GoldenCase[] => [];
