// npm run setup: what `npm start` and `npm test` do first.
import { setup } from './steps.mjs';

try {
  await setup();
} catch (error) {
  console.error(`\n${error.message}`);
  process.exit(1);
}
