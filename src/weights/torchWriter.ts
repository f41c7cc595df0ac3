// PyTorch's checkpoint file, the zip form of torch ≥ 1.6, of plain data: torch.load takes it with weights_only=True.
import { atomicWrite } from '../base/atomicWrite.js';
import type { TensorData } from '../base/safetensors.js';
import { pickle } from './pickleWriter.js';
import { type ZipEntryToWrite, zipParts } from './zipWriter.js';

/** By the kind of array. */
const storageTypes: Record<string, string> = {
  Float32Array: 'FloatStorage',
  Float64Array: 'DoubleStorage',
  BigInt64Array: 'LongStorage',
  Int32Array: 'IntStorage',
  Uint8Array: 'ByteStorage',
};

/** Bytes on which PyTorch lays the storages of a file. */
const alignment = 64;

/**
 * Writes a value as `torch.save` does. Tensors over the same array share one storage.
 * @param value plain data, see `pickle`; tensors as `StoredTensor`
 */
export function writeTorch(file: string, value: unknown): void {
  const storages = new Map<TensorData, string>();
  const main = pickle(value, (data) => {
    const type = storageTypes[data.constructor.name];
    if (!type) throw new TypeError(`no storage for ${data.constructor.name}`);
    const key = storages.get(data) ?? String(storages.size);
    storages.set(data, key);
    return { type, key };
  });
  const text = (name: string, content: string): ZipEntryToWrite => ({ name: `archive/${name}`, data: Buffer.from(content) });
  const entries: ZipEntryToWrite[] = [
    { name: 'archive/data.pkl', data: main },
    text('byteorder', 'little'),
    ...[...storages].map(([data, key]) => ({
      name: `archive/data/${key}`,
      data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    })),
    text('version', '3\n'),
  ];
  atomicWrite(file, zipParts(entries, alignment));
}
