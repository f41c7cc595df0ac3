// Any official checkpoint → arrays under the network's own names, whatever wrapped them.
import fs from 'node:fs';
import path from 'node:path';
import { contentChecksum } from '../base/checksum.js';
import { FaultList, VoxelbookError } from '../base/errors.js';
import { readJsonFile } from '../base/json.js';
import { openSafetensors, readSafetensors, type StoredTensor } from '../base/safetensors.js';
import { readTorch } from './pth.js';

/** The tensors of a checkpoint file, and what they were wrapped in. */
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
/** Largest index of a checkpoint in parts, bytes; 100,000 names come to some ten megabytes. */
const maxIndex = 1 << 26;

const isTensor = (v: unknown): v is StoredTensor =>
  typeof v === 'object' && v !== null && 'dtype' in v && 'shape' in v && 'data' in v;

/**
 * Reads `.safetensors`, or a PyTorch file (`.pth`, `.pt`, `.model`, `.ckpt`, `.bin`) without running anything in it, or the index of
 * one that lies in parts (`.safetensors.index.json`, `.bin.index.json`).
 * nnU-Net v1 (`state_dict`), nnU-Net v2 (`network_weights`), MONAI, and `module.` / `_orig_mod.` prefixes are recognised.
 * @throws VoxelbookError when the file is damaged (weights saved here carry a checksum, which is asked), holds Python objects that
 *   are no data (each named), or holds no tensors
 */
export const readWeights = (file: string): Checkpoint => weightsIn(file, readSafetensors);

/**
 * As `readWeights`, with the arrays of `.safetensors` read from the file when each is asked for (`openSafetensors`): to go through
 * once, without a second copy of the weights in memory.
 */
export const openWeights = (file: string): Checkpoint => weightsIn(file, openSafetensors);

function weightsIn(file: string, read: typeof openSafetensors): Checkpoint {
  const unwrapped: string[] = [];
  let value: unknown = file.endsWith('.index.json') ? readParts(file, read) : readFile(file, read);
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
        value instanceof Map ? `a dict with keys ${[...value.keys()].slice(0, 8).map(shownKey).join(', ')}` : `a ${typeof value}`,
      expected: `tensors by name, or a dict with one of ${wrappers.join(', ')}`,
      fix: 'Save the state_dict of the model: torch.save(model.state_dict(), …).',
    });
  let list = entries;
  for (let found = true; found && unwrapped.length < 16; ) {
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

const shownKey = (key: unknown) => (typeof key === 'string' ? key.slice(0, 80) : typeof key);

function readFile(file: string, read: typeof openSafetensors): unknown {
  if (!file.endsWith('.safetensors')) return readTorch(file);
  const { tensors, metadata, checked } = read(file);
  const { voxelbook: header, checksum } = metadata;
  if (!checked && header !== undefined && checksum !== contentChecksum(header, tensors))
    throw new VoxelbookError(`${file} is damaged`, {
      code: 'checksum',
      path: file,
      given: 'a checksum that does not fit the content',
      expected: 'the content as it was written',
      fix: 'Restore the file from a copy, or train again: the run goes on from its newest whole checkpoint.',
    });
  return new Map(Object.entries(tensors));
}

/** A checkpoint in parts: the index names the part of every tensor; parts lie beside it. */
function readParts(file: string, read: typeof openSafetensors): Map<string, StoredTensor> {
  const what = `${file} is not the index of a checkpoint`;
  const faults = new FaultList();
  const fix = 'Fetch the index and all its parts into one folder.';
  const size = fs.statSync(file).size;
  if (size > maxIndex) faults.add('too-large', file, `${size} bytes`, `at most ${maxIndex}`, fix);
  faults.throwIfAny(what);
  const map = (readJsonFile(file, 'this index') as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null || Array.isArray(map))
    faults.add('weight-map', 'weight_map', Array.isArray(map) ? 'a list' : typeof map, 'the part of every tensor by name', fix);
  faults.throwIfAny(what);
  const parts = new Map<string, Record<string, StoredTensor>>();
  const out = new Map<string, StoredTensor>();
  const names = [...new Set(Object.values(map as object))];
  for (const part of names) {
    const at = typeof part === 'string' ? path.join(path.dirname(file), part) : '';
    if (typeof part !== 'string' || !/^[^/\\\0]+\.(safetensors|bin|pth|pt)$/.test(part))
      faults.add(
        'part-name',
        'weight_map',
        JSON.stringify(part)?.slice(0, 80) ?? '',
        'the plain name of a file beside the index',
        fix,
      );
    else if (!fs.existsSync(at)) faults.add('part-missing', part, 'no such file', 'every part beside the index', fix);
  }
  faults.throwIfAny(`${file}: parts of the checkpoint are missing`);
  for (const part of names as string[]) parts.set(part, weightsIn(path.join(path.dirname(file), part), read).tensors);
  for (const [name, part] of Object.entries(map as Record<string, string>)) {
    const tensor = parts.get(part)![name];
    if (tensor) out.set(name, tensor);
    else faults.add('part-without-tensor', name, `not in ${part}`, 'the tensor that the index names', fix);
  }
  faults.throwIfAny(`${file} and its parts do not belong together`);
  return out;
}
