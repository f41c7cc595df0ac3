// One forward pass of a patch without gradients, ours against PyTorch in two layouts and compiled, OpenVINO and ONNX Runtime.
//
//   npx tsx test/bench/predict.ts [--only TEXT] [--rounds 5] [--repetitions 2] [--load 0.3] [--out FOLDER]
//
// How it is measured: compare.ts.
import { prediction } from './cases.js';
import { compare } from './compare.js';

const sides = ['ours', 'default', 'channels_last', 'compile', 'openvino', 'onnxruntime'] as const;
await compare({ name: 'predict', cases: prediction, sides: [...sides], title: 'One patch predicted' });
