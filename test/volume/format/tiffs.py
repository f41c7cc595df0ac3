# Writes tiffs/ and tiffs.json: small TIFF files of tifffile 2026.3.3 with imagecodecs 2026.3.6, each of which tifffile reads back as it was.
# python tiffs.py test/volume
import json, os, sys
import numpy as np, tifffile

folder = os.path.join(sys.argv[1], 'tiffs')
os.makedirs(folder, exist_ok=True)
out = []


def noise(kind, shape):
    """The sequence that tiff.test.ts makes again: upper bits of a linear congruential generator."""
    x, values = 1, []
    for _ in range(int(np.prod(shape))):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        values.append(x >> 16)
    values = np.array(values).reshape(shape)
    if kind == np.bool_:
        return values % 2 == 1
    if np.dtype(kind).kind == 'f':
        return (values / 16).astype(kind)
    if np.dtype(kind).kind == 'i':
        return (values % 200 - 100).astype(kind)
    return (values % 256).astype(kind)


def write(name, kind, pages, height, width, channels, **options):
    shape = [n for n in (pages if pages > 1 else 0, height, width, channels if channels > 1 else 0) if n]
    stored = noise(kind, shape)
    data = np.moveaxis(stored, -1, -3) if options.get('planarconfig') == 'separate' else stored
    file = os.path.join(folder, name)
    tifffile.imwrite(file, data, metadata=None, photometric=options.pop('photometric', 'rgb' if channels == 3 else 'minisblack'), **options)
    assert np.array_equal(tifffile.imread(file), data), name
    out.append({'file': name, 'type': np.dtype(kind).name, 'shape': [pages, height, width], 'channels': channels})


for kind in [np.bool_, np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float32, np.float64]:
    write(f'{np.dtype(kind).name}.tif', kind, 1, 7, 11, 1)
write('big-endian.tif', np.uint16, 1, 7, 11, 1, byteorder='>')
write('white-is-zero.tif', np.uint8, 1, 7, 11, 1, photometric='miniswhite')
write('lzw.tif', np.uint8, 1, 96, 100, 1, compression='lzw', rowsperstrip=96)
write('lzw-strips.tif', np.uint8, 1, 20, 30, 3, compression='lzw', rowsperstrip=7, predictor=True)
write('lzw-16.tif', np.uint16, 1, 20, 30, 1, compression='lzw', predictor=True, byteorder='>')
write('deflate.tif', np.int32, 1, 20, 30, 1, compression='zlib', predictor=True, rowsperstrip=7)
write('deflate-stack.tif', np.uint16, 3, 9, 10, 1, compression='zlib')
write('packbits.tif', np.uint8, 1, 20, 30, 1, compression='packbits')
write('stack.tif', np.int16, 3, 9, 10, 1)
write('tiles.tif', np.uint8, 1, 20, 37, 1, tile=(16, 16))
write('tiles-colours.tif', np.uint8, 1, 20, 37, 3, tile=(16, 16), compression='lzw', predictor=True)
write('tiles-bits.tif', np.bool_, 1, 20, 37, 1, tile=(16, 16))
write('planar.tif', np.uint8, 1, 9, 10, 3, planarconfig='separate')
write('planar-tiles.tif', np.uint16, 1, 20, 37, 3, planarconfig='separate', tile=(16, 16), compression='zlib', predictor=True)
write('four.tif', np.uint8, 1, 7, 11, 4, photometric='rgb', extrasamples=['unassalpha'])

with open(os.path.join(sys.argv[1], 'tiffs.json'), 'w') as f:
    f.write('[\n' + ',\n'.join(json.dumps(e, separators=(',', ':')) for e in out) + '\n]\n')
print(len(out))
