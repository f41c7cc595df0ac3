# Writes formats/ and formats.json: tiny .nrrd, .mha, .mhd and .gipl files, and what SimpleITK 2.5.7 and nnU-Net v2's SimpleITKIO read from them.
# python formats.py test/volume
import gzip, json, os, struct, sys
import nibabel as nib, numpy as np, SimpleITK as sitk

folder = os.path.join(sys.argv[1], 'formats')
os.makedirs(folder, exist_ok=True)
sitk.ProcessObject.SetGlobalWarningDisplay(False)
out = []


def nnunet(image):
    """Spacing as nnU-Net v2's SimpleITKIO gives it to the planner, and voxels as (z, y, x, channel)."""
    array = sitk.GetArrayFromImage(image)
    spacing = np.abs(np.array(image.GetSpacing()))
    if image.GetDimension() == 2:
        spacing = [spacing.max() * 999, *spacing[::-1]]
        array = array[None]
    elif image.GetDimension() == 3:
        spacing = list(spacing[::-1])
    else:
        spacing = list(spacing[::-1][1:])
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3:
        array = array[..., None]
    return spacing, array


def affine(image):
    """What SimpleITK's conversion to NIfTI says: voxel (x, y, z) to mm RAS+; of a 4-D image its first volume."""
    if image.GetDimension() == 4:
        image = image[:, :, :, 0]
    file = os.path.join(folder, 'x.nii')
    sitk.WriteImage(image, file)
    rows = nib.load(file).affine[:3].ravel()
    os.remove(file)
    return [float(v) for v in rows]


def expect(name):
    image = sitk.ReadImage(os.path.join(folder, name))
    spacing, array = nnunet(image)
    out.append({
        'file': name, 'type': str(array.dtype), 'shape': list(array.shape[:3]), 'channels': int(array.shape[3]),
        'spacing': [float(s) for s in spacing], 'affine': affine(image), 'values': array.ravel().tolist(),
    })


def turned(about_z, about_x):
    c, s, d, t = np.cos(about_z), np.sin(about_z), np.cos(about_x), np.sin(about_x)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, d, -t], [0, t, d]])


def volume(kind, direction=np.eye(3), spacing=(0.5, 0.7, 2.25), origin=(-11.5, 7.3, 30.1), shape=(2, 3, 4)):
    n = int(np.prod(shape))
    values = (np.arange(n) * 37) % 101
    if kind not in (np.uint8, np.uint16, np.uint32, np.uint64):
        values = values - 50
    if kind in (np.float32, np.float64):
        values = values / 8
    image = sitk.GetImageFromArray(values.reshape(shape).astype(kind))
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(np.asarray(direction, float).ravel().tolist())
    return image


kinds = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64]
for ending in ['nrrd', 'mha', 'gipl']:
    for i, kind in enumerate(kinds):
        if ending == 'gipl' and kind not in (np.int8, np.uint8, np.int16, np.uint16, np.float32, np.float64):
            continue  # ITK does not write the others
        name = f'{kind.__name__}.{ending}'
        direction = np.eye(3) if ending == 'gipl' else turned(0.3 * i, 0.2)
        sitk.WriteImage(volume(kind, direction), os.path.join(folder, name), i % 2 == 1 and ending != 'gipl')
        expect(name)

mirrored = np.array([[0, 0, 1], [-1, 0, 0], [0, 1, 0.0]])
flat = sitk.GetImageFromArray((np.arange(12, dtype=np.uint8) * 7 % 13).reshape(3, 4))
flat.SetSpacing((0.5, 0.7)); flat.SetOrigin((1.5, -2.25)); flat.SetDirection((0.6, -0.8, 0.8, 0.6))
one = volume(np.int16, turned(1, 0.2))
for ending in ['nrrd', 'mha']:
    for name, image in [
        ('mirrored', volume(np.int16, mirrored)),
        ('flat', flat),
        ('frames', sitk.JoinSeries([one, one * 2, one * 3])),
        ('channels', sitk.Compose([one, one * 2, one * 3])),
        ('flat-channels', sitk.Compose([flat, flat * 2])),
    ]:
        sitk.WriteImage(image, os.path.join(folder, f'{name}.{ending}'), True)
        expect(f'{name}.{ending}')
sitk.WriteImage(sitk.JoinSeries([volume(np.int16), volume(np.int16) * 2]), os.path.join(folder, 'frames.gipl'))
expect('frames.gipl')
with open(os.path.join(folder, 'flat.gipl'), 'wb') as f:
    head = bytearray(256)
    struct.pack_into('>4H', head, 0, 4, 3, 0, 0)
    struct.pack_into('>H4f', head, 8, 8, 0.5, 0.75, 1, 1)
    struct.pack_into('>3d', head, 204, 1.5, -2.25, 0)
    struct.pack_into('>I', head, 252, 0x2AE389B8)
    f.write(bytes(head) + bytes(range(12)))
expect('flat.gipl')
sitk.WriteImage(volume(np.int16, turned(1, 0.2)), os.path.join(folder, 'beside.mhd'))
expect('beside.mhd')
sitk.WriteImage(volume(np.int16, turned(1, 0.2)), os.path.join(folder, 'packed.mhd'), True)
expect('packed.mhd')

# What SimpleITK reads and does not write.
little = np.arange(24, dtype='<i2').tobytes()
big = np.arange(24, dtype='>i2').tobytes()
basic = ['dimension: 3', 'sizes: 4 3 2', 'encoding: raw']
vectors = 'space directions: (0.3,0.4,0) (-0.56,0.42,0) (0,0,2)'
origin = 'space origin: (1,2,3)'


def nrrd(name, lines, body=little, newline='\n'):
    with open(os.path.join(folder, f'{name}.nrrd'), 'wb') as f:
        f.write((newline.join(['NRRD0005', *lines, '', ''])).encode() + body)
    expect(f'{name}.nrrd')


small = ['type: int16', 'endian: little', *basic]
nrrd('plain', small)
nrrd('big', ['type: SHORT', 'endian: big', *basic], big)
nrrd('crlf', small, newline='\r\n')
nrrd('comments', ['# a comment: here', *small, 'key:=a: value', 'content: 12: 13', 'units: "mm" "mm" "mm"'])
nrrd('ras', [*small, 'space: right-anterior-superior', vectors, origin])
nrrd('las', [*small, 'space: LAS', vectors, origin])
nrrd('lps', [*small, 'space: LPS', vectors, origin, 'kinds: space space space'])
nrrd('scanner', [*small, 'space: scanner-xyz', vectors, origin])
nrrd('space-dimension', [*small, 'space dimension: 3', 'space directions: (0.3, 0.4,0)  ( -0.56,0.42 ,0) (0,0,2)', origin])
nrrd('no-origin', [*small, 'space: RAS', vectors])
nrrd('nan-origin', [*small, 'space: RAS', vectors, 'space origin: (nan,nan,nan)'])
nrrd('spacings', [*small, 'spacings: 0.5 0.7 2'])
nrrd('spacings-nan', [*small, 'spacings: 0.5 nan 2'])
nrrd('spacings-negative', [*small, 'spacings: 0.5 -0.7 2'])
nrrd('mins', [*small, 'spacings: 0.5 0.7 2', 'axis mins: 10 20 30'])
nrrd('mins-node', [*small, 'spacings: 0.5 0.7 2', 'axis mins: 10 20 30', 'centers: node node node'])
nrrd('mins-alone', [*small, 'axis mins: 10 20 30'])
nrrd('mins-negative', [*small, 'spacings: 1 -1 1', 'axis mins: 10 20 30'])
nrrd('origin-alone', [*small, 'space: RAS', origin])
nrrd('list-last', [*small, 'kinds: domain domain list'])
nrrd('list-first', [*small, 'kinds: list domain domain'])
four = ['type: int16', 'endian: little', 'dimension: 4', 'sizes: 2 3 2 2', 'encoding: raw']
nrrd('list-last-space', [*four, 'space: LPS', 'kinds: domain domain domain list', f'{vectors} none', origin])
nrrd('time', [*four, 'space: RAST', 'space directions: (0.5,0,0,0) (0,0.7,0,0) (0,0,2,0) (0,0,0,3)', 'space origin: (1,2,3,4)'])
nrrd('four', four)
nrrd('skip', [*small, 'byte skip: 5'], b'abcde' + little)
nrrd('skip-to-end', [*small, 'byte skip: -1'], b'abc' + little)
nrrd('gz', ['type: int16', 'endian: little', 'dimension: 3', 'sizes: 4 3 2', 'encoding: gz'], gzip.compress(little, mtime=0))
with open(os.path.join(folder, 'voxels.raw'), 'wb') as f:
    f.write(b'01234567' + little)
with open(os.path.join(folder, 'detached.nhdr'), 'w') as f:
    f.write('\n'.join(['NRRD0004', *small, 'byte skip: 8', 'data file: voxels.raw', '']))
expect('detached.nhdr')


def meta(name, lines, body=little, newline='\n', end='ElementDataFile = LOCAL'):
    with open(os.path.join(folder, name), 'wb') as f:
        f.write(newline.join([*lines, end, '']).encode() + body)
    expect(name)


small = ['ObjectType = Image', 'NDims = 3', 'DimSize = 4 3 2', 'ElementType = MET_SHORT']
meta('plain.mha', small)
meta('colons.mha', [line.replace(' = ', ':') for line in small], newline='\r\n')
meta('big.mha', [*small, 'BinaryData = T', 'ElementByteOrderMSB = True'], big)
meta('position.mha', [*small, 'Position = 1 2 3', 'Orientation = 0 1 0 -1 0 0 0 0 1', 'ElementSize = 0.5 0.7 2', 'Comment = a = b'])
meta('negative.mha', [*small, 'Origin = 1 2 3', 'ElementSpacing = 0.5 -0.7 2', 'AnatomicalOrientation = LPS'])
meta('long.mha', [*small[:3], 'ElementType = MET_LONG'], np.arange(24, dtype='<i4').tobytes())
meta('at-end.mha', [*small, 'HeaderSize = -1'], b'xyz' + little)
meta('skip.mhd', [*small, 'HeaderSize = 8'], b'', end='ElementDataFile = voxels.raw')
meta('at-end.mhd', [*small, 'HeaderSize = -1'], b'', end='ElementDataFile = voxels.raw')
with open(os.path.join(folder, 'uint8.gipl'), 'rb') as f:
    head = bytearray(f.read())
struct.pack_into('>f', head, 14, -0.75)
with open(os.path.join(folder, 'negative.gipl'), 'wb') as f:
    f.write(head)
expect('negative.gipl')

with open(os.path.join(sys.argv[1], 'formats.json'), 'w') as f:
    f.write('[\n' + ',\n'.join(json.dumps(e, separators=(',', ':')) for e in out) + '\n]\n')
print(len(out))
