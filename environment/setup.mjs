// npm run setup, npx voxelbook setup: what `npm start` and `npm test` do first; of an installed package, what it needs beside itself.
//
//   … --download <folder>   collects all that is fetched, for a machine without a network
//   … --from <folder>       sets up from such a folder
//   … --without-jupyter     leaves JupyterLab out, for which alone Python is needed; --with-jupyter takes that back
import { parseArgs } from 'node:util';
import { download, setup } from './steps.mjs';

try {
  const flag = { type: 'boolean' };
  const { values } = parseArgs({
    options: { download: { type: 'string' }, from: { type: 'string' }, 'without-jupyter': flag, 'with-jupyter': flag },
  });
  if (values.download && values.from) throw new Error('Give --download or --from, not both.');
  const jupyter = values['without-jupyter'] ? false : values['with-jupyter'];
  await (values.download ? download(values.download) : setup({ from: values.from, jupyter }));
} catch (error) {
  console.error(`\n${error.message}`);
  process.exit(1);
}
