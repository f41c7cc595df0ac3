import { cases } from '../parity/nnunet/evaluation.js';
import { goldenTests } from '../parity/nnunet/goldenTests.js';

describe("nnU-Net's own evaluation", () => goldenTests(cases));
