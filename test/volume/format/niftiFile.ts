// NIfTI files written field by field, for tests: every version, byte order and number type, right or wrong on purpose.

export const types = [
  { code: 2, bytes: 1, name: 'uint8' },
  { code: 4, bytes: 2, name: 'int16' },
  { code: 8, bytes: 4, name: 'int32' },
  { code: 16, bytes: 4, name: 'float32' },
  { code: 64, bytes: 8, name: 'float64' },
  { code: 256, bytes: 1, name: 'int8' },
  { code: 512, bytes: 2, name: 'uint16' },
  { code: 768, bytes: 4, name: 'uint32' },
  { code: 1024, bytes: 8, name: 'int64' },
  { code: 1280, bytes: 8, name: 'uint64' },
] as const;

export interface Fields {
  version?: 1 | 2;
  littleEndian?: boolean;
  dim?: number[];
  datatype?: number;
  bitpix?: number;
  pixdim?: number[];
  voxOffset?: number;
  slope?: number;
  intercept?: number;
  units?: number;
  qform?: number;
  sform?: number;
  quatern?: number[];
  qoffset?: number[];
  srow?: number[];
  magic?: string;
  extension?: Buffer;
  /** Voxel values in file order; default 0, 1, 2, … */
  values?: number[];
}

/** The bytes of a file. */
export function niftiFile(f: Fields = {}): Buffer {
  const version = f.version ?? 1;
  const le = f.littleEndian ?? true;
  const dim = f.dim ?? [3, 3, 2, 2, 1, 1, 1, 1];
  const code = f.datatype ?? 4;
  const type = types.find((t) => t.code === code) ?? { bytes: 1, name: 'uint8' };
  const length = version === 1 ? 348 : 540;
  const extension = f.extension ?? Buffer.alloc(0);
  const offset = length + 4 + extension.length;
  const count = dim.slice(1, dim[0] + 1).reduce((a, b) => a * b, 1);
  const out = Buffer.alloc(offset + Math.max(0, Math.min(count, 4096)) * type.bytes);
  const view = new DataView(out.buffer, out.byteOffset, out.length);
  const one = version === 1;
  view.setInt32(0, length, le);
  const real = (at1: number, at2: number, v: number) => (one ? view.setFloat32(at1, v, le) : view.setFloat64(at2, v, le));
  const step = one ? 4 : 8;
  dim.forEach((n, i) => {
    if (one) view.setInt16(40 + 2 * i, n, le);
    else view.setBigInt64(16 + 8 * i, BigInt(n), le);
  });
  view.setInt16(one ? 70 : 12, code, le);
  view.setInt16(one ? 72 : 14, f.bitpix ?? type.bytes * 8, le);
  (f.pixdim ?? [1, 1, 1, 1, 1, 1, 1, 1]).forEach((v, i) => {
    real(76 + step * i, 104 + step * i, v);
  });
  if (one) view.setFloat32(108, f.voxOffset ?? offset, le);
  else view.setBigInt64(168, BigInt(f.voxOffset ?? offset), le);
  real(112, 176, f.slope ?? 1);
  real(116, 184, f.intercept ?? 0);
  if (one) view.setUint8(123, f.units ?? 2);
  else view.setInt32(500, f.units ?? 2, le);
  if (one) {
    view.setInt16(252, f.qform ?? 0, le);
    view.setInt16(254, f.sform ?? 0, le);
  } else {
    view.setInt32(344, f.qform ?? 0, le);
    view.setInt32(348, f.sform ?? 0, le);
  }
  (f.quatern ?? [0, 0, 0]).forEach((v, i) => {
    real(256 + step * i, 352 + step * i, v);
  });
  (f.qoffset ?? [0, 0, 0]).forEach((v, i) => {
    real(268 + step * i, 376 + step * i, v);
  });
  (f.srow ?? [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]).forEach((v, i) => {
    real(280 + step * i, 400 + step * i, v);
  });
  const magic = f.magic ?? `n+${version}`;
  out.write(magic, one ? 344 : 4, 'latin1');
  if (!one) out.write('\r\n\x1a\n', 8, 'latin1');
  if (extension.length > 0) out[length] = 1;
  extension.copy(out, length + 4);
  const body = out.subarray(offset);
  for (let i = 0; i * type.bytes < body.length; i++)
    setValue(new DataView(body.buffer, body.byteOffset, body.length), i * type.bytes, type.name, f.values?.[i] ?? i % 100, le);
  return out;
}

function setValue(view: DataView, at: number, type: string, v: number, le: boolean): void {
  if (type === 'uint8') view.setUint8(at, v);
  else if (type === 'int8') view.setInt8(at, v);
  else if (type === 'int16') view.setInt16(at, v, le);
  else if (type === 'uint16') view.setUint16(at, v, le);
  else if (type === 'int32') view.setInt32(at, v, le);
  else if (type === 'uint32') view.setUint32(at, v, le);
  else if (type === 'float32') view.setFloat32(at, v, le);
  else if (type === 'float64') view.setFloat64(at, v, le);
  else if (type === 'int64') view.setBigInt64(at, BigInt(v), le);
  else view.setBigUint64(at, BigInt(v), le);
}
