# What the peers read from the image files of a folder, one JSON line a file: Pillow 13.0.0 (16-bit colours: imagecodecs 2026.3.6, by libpng),
# tifffile 2026.3.3, SimpleITK 2.5.7, nibabel 5.4.2. A file that the peer refuses is {"file": …}.
# python peers.py FOLDER FIRST > lines: the files of the folder from number FIRST on
import gzip, hashlib, json, os, signal, sys, warnings
import imagecodecs, nibabel as nib, numpy as np, SimpleITK as sitk, tifffile
from PIL import Image

warnings.simplefilter('ignore')
sitk.ProcessObject.SetGlobalWarningDisplay(False)
import logging
logging.disable(logging.CRITICAL)


def four(array, channels):
    """[depth, height, width, channel] of a picture or volume with or without channels."""
    if not channels:
        array = array[..., None]
    return array if array.ndim == 4 else array[None]


def png(file):
    with open(file, 'rb') as f:
        data = f.read()
    with Image.open(file) as image:
        depth, colour = data[24], data[25]
        image.load()
        if image.mode == 'P':
            image = image.convert('RGB')
        if depth == 16 and colour in (2, 4, 6):
            # imagecodecs adds a channel for a colour that means "transparent".
            array = imagecodecs.png_decode(data)[..., :{2: 3, 4: 2, 6: 4}[colour]]
        else:
            array = np.asarray(image)
            if array.ndim == 3 and colour in (0, 2):
                array = array[..., :3]
        return four(array, array.ndim == 3), {}


def bmp(file):
    with Image.open(file) as image:
        image.load()
        if image.mode == 'P':
            image = image.convert('RGB')
        array = np.asarray(image)
        return four(array, array.ndim == 3), {}


def tiff(file):
    with tifffile.TiffFile(file) as f:
        series = f.series[0]
        array, axes = series.asarray(), series.axes
    if 'S' in axes:
        array = np.moveaxis(array, axes.index('S'), -1)
    pages = array.shape[: array.ndim - (3 if 'S' in axes else 2)]
    if len(pages) > 1:
        # A stack with more than one axis of pages is no volume.
        return array, {'stack': list(array.shape)}
    return four(array, 'S' in axes), {}


def itk(file):
    image = sitk.ReadImage(file)
    if 'complex' in image.GetPixelIDTypeAsString():
        raise ValueError('complex')
    array = sitk.GetArrayFromImage(image)
    spacing, origin = list(image.GetSpacing()), list(image.GetOrigin())
    n = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(n, n)
    if n == 4:
        array = np.moveaxis(array, 0, -1)
        if array.ndim == 5:  # frames of vectors: frame by frame
            array = np.moveaxis(array, -1, 3).reshape(array.shape[:3] + (-1,))
        spacing, origin, direction = spacing[:3], origin[:3], direction[:3, :3]
    elif n == 2:
        array = array[None]
        spacing, origin = spacing + [999 * max(np.abs(spacing))], origin + [0]
        direction = np.block([[direction, np.zeros((2, 1))], [np.zeros((1, 2)), np.ones((1, 1))]])
    if array.ndim == 3:
        array = array[..., None]
    lps = np.diag([-1, -1, 1])
    return array, {'spacing': np.abs(spacing).tolist(), 'origin': (lps @ origin).tolist(), 'direction': (lps @ direction).ravel().tolist()}


def nifti(file):
    with (gzip.open if file.endswith('.gz') else open)(file, 'rb') as f:
        data = bytearray(f.read())
    # Extensions, which nibabel reads and ITK passes over, are taken away.
    at = 348 if 92 in (data[0], data[3]) else 540
    data[at:at + 4] = b'\0' * len(data[at:at + 4])
    kind = nib.Nifti1Image if at == 348 else nib.Nifti2Image
    image = kind.from_bytes(bytes(data))
    hdr = image.header
    raw = np.asanyarray(image.dataobj.get_unscaled())
    slope, inter = image.dataobj.slope, image.dataobj.inter
    if raw.dtype.names:
        raw = raw.view(np.uint8).reshape(raw.shape + (len(raw.dtype.names),))
        channels = True
    else:
        channels = False
        if not (slope in (None, 1) and inter in (None, 0)):
            values = raw.astype(np.float64) * slope + inter
            raw = values if raw.dtype == np.float64 or raw.dtype.itemsize == 8 else values.astype(np.float32)
    shape = list(image.shape) + [1] * (3 - image.ndim)
    inner = raw.shape[-1] if channels else 1
    frames = int(np.prod(shape[3:])) if len(shape) > 3 else 1
    # Frames one after another in Fortran order.
    array = raw.reshape(shape[:3] + [frames, inner], order='C' if channels else 'F')
    array = np.ascontiguousarray(np.moveaxis(array, [0, 1, 2], [2, 1, 0])).reshape(shape[2], shape[1], shape[0], frames * inner)
    zooms = [float(v) for v in hdr['pixdim'][1:4]]
    if image.ndim < 3:
        zooms = zooms[:image.ndim] + [1] * (2 - image.ndim)
        zooms = zooms[:2] + [999 * max(zooms[:2])]
    unit = {1: 1000, 3: 0.001}.get(int(hdr['xyzt_units']) & 7, 1)
    return array, {'spacing': (np.abs(zooms) * unit).tolist(), 'affine': (image.affine[:3] * unit).ravel().tolist()}


readers = {'.png': png, '.bmp': bmp, '.tif': tiff, '.nrrd': itk, '.nhdr': itk, '.mha': itk, '.mhd': itk, '.gipl': itk, '.nii': nifti, '.gz': nifti}


def answer(name):
    line = {'file': name}
    try:
        array, more = readers[os.path.splitext(name)[1]](os.path.join(folder, name))
        values = np.ascontiguousarray(array).astype('<f8')
        rounded = {k: [float(f'{n:.7g}') if np.isfinite(n) else None for n in v] for k, v in more.items()}
        line.update(shape=list(array.shape), digest=hashlib.sha256(values.tobytes()).hexdigest()[:12], **rounded)
    except Exception:
        pass
    return line


folder, first = sys.argv[1], int(sys.argv[2])
names = [name for name in os.listdir(folder) if '-' in name and name.split('-')[1].split('.')[0].isdigit()]
for name in sorted(names, key=lambda n: (n.split('-')[0], int(n.split('-')[1].split('.')[0])))[first:]:
    # Some of these files end a peer, or hold it up: then the caller goes on behind them.
    signal.alarm(20)
    print(json.dumps(answer(name), separators=(',', ':')), flush=True)
