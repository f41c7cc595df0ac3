import { goldenTests } from '../parity/nnunet/goldenTests.js';
import { cases } from '../parity/nnunet/prediction.js';

describe("nnU-Net's own prediction", () => goldenTests(cases));
