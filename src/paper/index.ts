// The papers: experiments and published tables, as data.
export { claims, type PaperName, type PublishedPaper, type PublishedTable, published, rowName } from './claims.js';
export * as mednext from './mednext/index.js';
export { table } from './publishedTable.js';
export * as recipes from './recipes.js';
