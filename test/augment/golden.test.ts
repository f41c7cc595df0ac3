import { cases } from '../parity/nnunet/augmentation.js';
import { goldenTests } from '../parity/nnunet/goldenTests.js';

describe("nnU-Net's own augmentation", () => goldenTests(cases));
