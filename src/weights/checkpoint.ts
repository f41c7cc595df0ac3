// Any official checkpoint → arrays under the network's own names, whatever wrapped them.
import { VoxelbookError } from '../base/errors.js';
import { readSafetensors, type StoredTensor } from '../base/safetensors.js';
import { readTorch } from './pth.js';

export interface Checkpoint {
  /** In the file's order, names without wrapper prefixes, PyTorch's layout. */
  tensors: Record<string, StoredTensor>;
  /** What was unwrapped to get there: `network_weights`, `prefix module.`, … */
  unwrapped: string[];
}

/** Keys under which trainers keep the weights: nnU-Net v2, nnU-Net v1 and MONAI, VMamba and timm, others. */
const wrappers = ['network_weights', 'state_dict', 'model_state_dict', 'model'];
/** Prefixes of DataParallel and torch.compile, in the order they nest. */
const prefixes = ['module.', '_orig_mod.'];

const isTensor = (v: unknown): v is StoredTensor =>
  typeof v === 'object' && v !== null && 'dtype' in v && 'shape' in v && 'data' in v;

/**
 * Reads `.safetensors`, or a PyTorch file (`.pth`, `.pt`, `.model`, `.ckpt`, `.bin`) without running anything in it.
 * nnU-Net v1 (`state_dict`), nnU-Net v2 (`network_weights`), MONAI, and `module.` / `_orig_mod.` prefixes are recognised.
 * @throws VoxelbookError when the file is damaged, holds Python objects that are no data (each named), or holds no tensors
 */
export function readCheckpoint(file: string): Checkpoint {
  const unwrapped: string[] = [];
  let value: unknown = file.endsWith('.safetensors') ? new Map(Object.entries(readSafetensors(file).tensors)) : readTorch(file);
  while (value instanceof Map) {
    const map: Map<unknown, unknown> = value;
    const key = wrappers.find((w) => map.get(w) instanceof Map);
    if (!key) break;
    unwrapped.push(key);
    value = map.get(key);
  }
  const entries =
    value instanceof Map ? [...value].filter((e): e is [string, StoredTensor] => typeof e[0] === 'string' && isTensor(e[1])) : [];
  if (entries.length === 0)
    throw new VoxelbookError(`${file} holds no weights`, {
      code: 'no-tensors',
      path: 'checkpoint',
      given:
        value instanceof Map ? `a dict with keys ${[...value.keys()].slice(0, 8).map(String).join(', ')}` : `a ${typeof value}`,
      expected: `tensors by name, or a dict with one of ${wrappers.join(', ')}`,
      fix: 'Save the state_dict of the model: torch.save(model.state_dict(), …).',
    });
  let list = entries;
  for (let found = true; found; ) {
    found = false;
    for (const prefix of prefixes) {
      if (!list.every(([name]) => name.startsWith(prefix))) continue;
      list = list.map(([name, tensor]) => [name.slice(prefix.length), tensor]);
      unwrapped.push(`prefix ${prefix}`);
      found = true;
    }
  }
  const tensors: Record<string, StoredTensor> = Object.create(null);
  for (const [name, tensor] of list) tensors[name] = tensor;
  return { tensors, unwrapped };
}
