/** The product of all numbers; 1 of none. Of a shape: how many values it holds. */
export const product = (numbers: readonly number[]): number => numbers.reduce((a, b) => a * b, 1);
