// npm run setup: what `npm start` and `npm test` do first.
//
//   npm run setup
//   npm run setup -- --download <folder>   collects all that is fetched, for a machine without a network
//   npm run setup -- --from <folder>       sets up from such a folder
import { parseArgs } from 'node:util';
import { download, setup } from './steps.mjs';

try {
  const { values } = parseArgs({ options: { download: { type: 'string' }, from: { type: 'string' } } });
  if (values.download && values.from) throw new Error('Give --download or --from, not both.');
  await (values.download ? download(values.download) : setup({ from: values.from }));
} catch (error) {
  console.error(`\n${error.message}`);
  process.exit(1);
}
