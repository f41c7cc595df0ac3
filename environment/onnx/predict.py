#!/usr/bin/env python3
"""Segments NIfTI images with the bundle that this file lies in.

    pip install numpy scipy onnxruntime nibabel        (Python 3.11 or newer)
    python predict.py <folder of images> <folder for labels>

Images are named <case>_0000.nii.gz, <case>_0001.nii.gz, ..., one file for each channel of bundle.json, as nnU-Net
names them; for each case <case>.nii.gz is written on the grid of its images. Nothing is read but the bundle and the images.
"""

import argparse, hashlib, itertools, json, re, sys, time
from pathlib import Path

import nibabel as nib
import numpy as np
import onnxruntime as ort
from scipy import ndimage

class Refused(Exception):
    """An input that cannot be used: what was found, what was expected."""

def read_bundle(folder):
    """bundle.json, after its form and the checksum of every graph were checked."""
    folder = Path(folder)
    try:
        bundle = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(f"{folder} is no bundle: {error}") from error
    found = tuple(bundle.get(key) for key in ("format", "version")) if isinstance(bundle, dict) else "none"
    if found != ("voxelbook-onnx", 1):
        raise Refused(f"bundle.json: found form {found}, expected ('voxelbook-onnx', 1); export the model again")
    for part in [p for graph in bundle["graphs"] for p in (graph, graph.get("data")) if p]:
        file = folder / Path(part["file"]).name
        if not file.is_file():
            raise Refused(f"{file}: found no such file, expected {part['bytes']} bytes")
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != part["sha256"]:
            raise Refused(f"{file}: found checksum {digest}, expected {part['sha256']}; copy the bundle again")
    return bundle

def open_graphs(folder, bundle, threads=0):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    files = [str(Path(folder) / Path(graph["file"]).name) for graph in bundle["graphs"]]
    return [ort.InferenceSession(file, options, providers=ort.get_available_providers()) for file in files]

# --- Images ---
def read_case(files, bundle):
    """Channels [channel, depth, height, width] in float32, voxel sizes (mm, same order) and the first image as it is stored."""
    channels, first = [], None
    for file, about in zip(files, bundle["channels"]):
        stored = nib.load(file)
        image = nib.as_closest_canonical(stored) if bundle["reader"] == "ras" else stored
        if len(image.shape) != 3:
            raise Refused(f"{file}: found shape {image.shape}, expected one volume of three axes for {about['name']}")
        data = image.get_fdata(dtype=np.float32).transpose(2, 1, 0)
        if not np.isfinite(data).all():
            raise Refused(f"{file}: found NaN or infinite values, expected finite numbers")
        first = first or (stored, image)
        if data.shape != first[1].shape[::-1]:
            raise Refused(f"{file}: found shape {image.shape}, expected {first[1].shape} as the first channel has")
        channels.append(data)
    spacing = [float(s) for s in first[1].header.get_zooms()[:3]][::-1]
    return np.stack(channels), spacing, first[0]

def write_labels(file, labels, stored, bundle):
    """Labels [depth, height, width] on the grid of the image as it is stored."""
    data = labels.transpose(2, 1, 0)
    if bundle["reader"] == "ras":
        turn = nib.orientations.ornt_transform(nib.io_orientation(np.eye(4)), nib.io_orientation(stored.affine))
        data = nib.orientations.apply_orientation(data, turn)
    nib.save(nib.Nifti1Image(np.ascontiguousarray(data), stored.affine, stored.header, dtype=data.dtype), file)

# --- Preprocessing (nnU-Net v2) ---
def nonzero_box(data):
    """Mask of what is not zero in some channel, holes filled, and its bounding box; the whole image where all is zero."""
    mask = ndimage.binary_fill_holes((data != 0).any(0))
    whole = tuple(slice(0, n) for n in mask.shape)
    return mask, ndimage.find_objects(mask.astype(np.uint8))[0] if mask.any() else whole

def normalise(channel, how, mask):
    kind = how["kind"]
    if kind == "CTNormalization":
        low, high, mean, std = (np.float32(how[key]) for key in ("low", "high", "mean", "std"))
        return (np.clip(channel, low, high) - mean) / max(std, np.float32(1e-8))
    if kind == "ZScoreNormalization":
        counted = channel[mask] if how["useMask"] else channel
        if counted.size == 0:
            return channel
        normed = (channel - counted.mean()) / max(counted.std(), np.float32(1e-8))
        return np.where(mask, normed, channel) if how["useMask"] else normed
    if kind == "RescaleTo01Normalization":
        return (channel - channel.min()) / max(channel.max() - channel.min(), np.float32(1e-8))
    if kind == "RGBTo01Normalization":
        if channel.min() < 0 or channel.max() > 255:
            raise Refused(f"found values from {channel.min()} to {channel.max()}, expected 0 to 255")
        return channel / np.float32(255)
    if kind == "NoNormalization":
        return channel
    raise Refused(f"found normalisation {kind}, expected one that this file knows")

def separate_axis(current, wanted, rule):
    """The axis that is resampled on its own, or None."""
    anisotropic = lambda mm: max(mm) / min(mm) > 3
    coarsest = lambda mm: [i for i, s in enumerate(mm) if max(mm) / s == 1]
    if rule == "never":
        return None
    near = rule == "always" or anisotropic(current)
    axes = coarsest(current) if near else coarsest(wanted) if anisotropic(wanted) else []
    return axes[0] if len(axes) == 1 else None

def zoom(data, shape, order, clip=True):
    """Half-pixel centres, borders repeated; a cubic is cut to the range of its input."""
    if data.shape == tuple(shape):
        return data
    out = ndimage.zoom(data, [b / a for a, b in zip(data.shape, shape)], order=order, mode="nearest", grid_mode=True)
    return np.clip(out, data.min(), data.max()) if clip and order == 3 else out

def resample(data, shape, rule, axis):
    """One channel to another shape; along `axis` (if any) by itself."""
    if data.shape == tuple(shape):
        return data
    data = data.astype(np.float64)
    if axis is None:
        return zoom(data, shape, rule["order"]).astype(np.float32)
    flat = [n for i, n in enumerate(shape) if i != axis]
    slices = [zoom(one, flat, rule["order"]) for one in np.moveaxis(data, axis, 0)]
    data = np.moveaxis(np.stack(slices).astype(np.float32), 0, axis)
    n, wanted = data.shape[axis], shape[axis]
    if n == wanted:
        return data
    if rule["orderZ"] == 0:
        places = np.clip((np.arange(wanted) + 0.5) * (n / wanted) - 0.5, 0, n - 1)
        return np.take(data, np.floor(places + 0.5).astype(int), axis)
    return zoom(data.astype(np.float64), shape, rule["orderZ"], clip=False).astype(np.float32)

def preprocess(data, spacing, bundle):
    """What the network sees, and what is needed on the way back."""
    order = bundle["transposeForward"]
    data = data.transpose([0] + [axis + 1 for axis in order])
    spacing = [spacing[axis] for axis in order]
    mask, box = nonzero_box(data)
    cropped, inside = data[(slice(None), *box)], mask[box]
    target = bundle["spacingMm"] if len(bundle["spacingMm"]) == 3 else [spacing[0], *bundle["spacingMm"]]
    shape = cropped.shape[1:]
    if not bundle["resampling"]["skip"]:
        shape = tuple(round(s / t * n) for s, t, n in zip(spacing, target, cropped.shape[1:]))
    if min(shape) < 1:
        raise Refused(f"{cropped.shape[1:]} voxels of {spacing} mm become {shape}, expected at least one along every axis")
    rule = bundle["resampling"]["image"]
    axis = separate_axis(spacing, target, rule["separateAxis"])
    normed = (normalise(c, about["normalisation"], inside) for c, about in zip(cropped, bundle["channels"]))
    image = np.stack([resample(c, shape, rule, axis) for c in normed]).astype(np.float32)
    return image, {"before": data.shape[1:], "box": box, "shape": cropped.shape[1:], "spacing": spacing, "target": target}

# --- Sliding window ---
def gaussian(patch):
    """Weights of a tile's voxels, 10 in the middle."""
    weights = np.ones(())
    for side in patch:
        impulse = np.zeros(side)
        impulse[side // 2] = 1
        weights = weights[..., None] * ndimage.gaussian_filter1d(impulse, side / 8, mode="constant")
    weights = (weights / (weights.max() / 10)).astype(np.float32)
    weights[weights == 0] = weights[weights > 0].min()
    return weights

def starts(size, side, step):
    last = size - side
    count = int(np.ceil(last / (side * step))) + 1
    return [0] if count == 1 else [int(np.round(last / (count - 1) * i)) for i in range(count)]

def activated(logits, bundle):
    if bundle["activation"] == "sigmoid":
        return 1 / (1 + np.exp(-logits))
    e = np.exp(logits - logits.max(0))
    return e / e.sum(0)

def outputs(image, graphs, bundle, progress=None):
    """Mean logits (or probabilities) [head, depth, height, width] of an image [channel, depth, height, width]."""
    flat = len(bundle["patch"]) == 2
    patch = [1, *bundle["patch"]] if flat else bundle["patch"]
    missing = [max(p - n, 0) for p, n in zip(patch, image.shape[1:])]
    padded = np.pad(image, [(0, 0)] + [(m // 2, m - m // 2) for m in missing])
    weights = (gaussian(bundle["patch"]) if bundle["gaussian"] else np.ones(bundle["patch"], np.float32)).reshape(patch)
    total = np.zeros((bundle["heads"], *padded.shape[1:]), np.float32)
    weight = np.zeros(padded.shape[1:], np.float32)
    places = [starts(n, p, bundle["stepSize"]) for n, p in zip(padded.shape[1:], patch)]
    if flat:
        places[0] = list(range(padded.shape[1]))
    axes = bundle["mirrorAxes"]
    flips = [f for n in range(len(axes) + 1) for f in itertools.combinations(axes, n)]
    tiles = list(itertools.product(*places))
    for done, corner in enumerate(tiles):
        where = tuple(slice(c, c + p) for c, p in zip(corner, patch))
        tile = padded[(slice(None), *where)].reshape(-1, *bundle["patch"])
        for graph in graphs:
            mean = 0
            for flip in flips:
                turned = [axis + 1 for axis in flip]
                logits = graph.run(["logits"], {"image": np.ascontiguousarray(np.flip(tile, turned))[None]})[0][0]
                mean = mean + np.flip(logits if bundle["average"] == "logits" else activated(logits, bundle), turned)
            total[(slice(None), *where)] += (mean / len(flips)).reshape(-1, *patch) * weights
        weight[where] += weights
        if progress:
            progress(done + 1, len(tiles))
    total /= weight * len(graphs)
    inside = tuple(slice(m // 2, m // 2 + n) for m, n in zip(missing, image.shape[1:]))
    return total[(slice(None), *inside)]

# --- Back to the image ---
def restore(values, about, bundle):
    """Labels [depth, height, width] in the file's axes; one output at a time is held at the image's size."""
    rule = bundle["resampling"]["outputs"]
    axis = separate_axis(about["target"], about["spacing"], rule["separateAxis"])
    order = bundle.get("regionsClassOrder")
    kind = np.uint8 if (len(order) if order else bundle["heads"] - 1) < 255 else np.uint16
    labels, best = np.zeros(about["shape"], kind), None
    for head, value in enumerate(values):
        value = resample(value, about["shape"], rule, axis)
        if order:
            labels[(value if bundle["average"] == "probabilities" else activated(value, bundle)) > 0.5] = order[head]
        elif best is None:
            best = value.copy()
        else:
            labels[value > best] = head
            best = np.maximum(best, value)
    whole = np.zeros(about["before"], kind)
    whole[about["box"]] = labels
    return whole.transpose(bundle["transposeBackward"])

def flat(labels):
    return [one for label in labels for one in flat(label)] if isinstance(labels, list) else [labels]

def postprocess(labels, spacing, steps):
    for step in steps:
        if step["kind"] == "remove_all_but_largest_component_from_segmentation":
            mask = np.isin(labels, flat(step["labels_or_regions"]))
            found, _ = ndimage.label(mask, np.ones((3, 3, 3)))
            sizes = np.bincount(found.ravel())[1:]
            if sizes.size:
                labels = np.where(mask & (np.append(0, sizes)[found] != sizes.max()), 0, labels).astype(labels.dtype)
        elif step["kind"] == "replace_if_small":
            mask = labels == step["label"]
            if mask.sum() < step["belowMm3"] / np.prod(spacing):
                labels = np.where(mask, step["by"], labels).astype(labels.dtype)
        else:
            raise Refused(f"found post-processing {step['kind']}, expected one that this file knows")
    return labels

def predict(files, graphs, bundle, progress=None):
    """Labels [depth, height, width] of a case, and its first image."""
    data, spacing, stored = read_case(files, bundle)
    image, about = preprocess(data, spacing, bundle)
    labels = restore(outputs(image, graphs, bundle, progress), about, bundle)
    return postprocess(labels, spacing, bundle["postprocessing"]), stored

def cases_in(folder, bundle):
    """Files of each case, in the order of the channels."""
    cases = {}
    for file in sorted(Path(folder).iterdir()):
        if match := re.fullmatch(r"(.+)_(\d{4})(\.nii(?:\.gz)?)", file.name):
            cases.setdefault(match[1], {})[int(match[2])] = file
    names = [c["name"] for c in bundle["channels"]]
    wanted = list(range(len(names)))
    expected = f"expected {wanted} ({', '.join(names)})"
    faults = [f"{id}: found channels {sorted(c)}, {expected}" for id, c in cases.items() if sorted(c) != wanted]
    if faults or not cases:
        raise Refused("\n  ".join(faults) or f"{folder}: found no <case>_0000.nii.gz, {expected}")
    return {id: [found[i] for i in wanted] for id, found in cases.items()}

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images")
    parser.add_argument("labels")
    parser.add_argument("--bundle", default=Path(__file__).parent, help="default: the folder of this file")
    parser.add_argument("--threads", type=int, default=0, help="default: all cores")
    args = parser.parse_args()
    bundle = read_bundle(args.bundle)
    cases = cases_in(args.images, bundle)
    graphs = open_graphs(args.bundle, bundle, args.threads)
    Path(args.labels).mkdir(parents=True, exist_ok=True)
    for number, (id, files) in enumerate(cases.items()):
        begin = time.monotonic()

        def progress(done, total):
            left = (time.monotonic() - begin) / done * (total - done)
            print(f"\r{id} ({number + 1} of {len(cases)}): tile {done} of {total}, {left:.0f} s left  ", end="", file=sys.stderr)

        write_labels(Path(args.labels) / f"{id}.nii.gz", *predict(files, graphs, bundle, progress), bundle)
        print(file=sys.stderr)

if __name__ == "__main__":
    try:
        main()
    except Refused as error:
        sys.exit(f"cannot predict\n  {error}")
