// The modules that hold the rows of the matrix, in its order.
import { fileURLToPath } from 'node:url';

export const modules = ['images', 'weights', 'json', 'text', 'processes', 'disk', 'flips', 'native', 'training'].map((name) =>
  fileURLToPath(new URL(`./${name}.ts`, import.meta.url)),
);
