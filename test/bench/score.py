"""Peers of the scoring bench: reads a peer's name per line, answers with seconds and values as JSON.

Needs numpy, scipy, surface-distance and, for MONAI, torch and monai.
"""
import gzip, json, resource, struct, sys, time
import numpy as np

np.Inf = np.inf  # surface-distance 0.1 was written for numpy 1


def read(path):
    raw = gzip.open(path).read()
    n = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + n])
    return {
        k: np.frombuffer(raw, np.uint8, offset=8 + n + v["data_offsets"][0], count=int(np.prod(v["shape"]))).reshape(v["shape"])
        for k, v in header.items()
        if k != "__metadata__"
    }


maps = read(sys.argv[1])
ref, pred = maps["ref"].copy(), maps["pred"].copy()
spacing, tolerance, labels = (1.5, 0.8, 0.8), 2.0, range(1, 14)


def surface_distance():
    import surface_distance as sd

    out = []
    for label in labels:
        a, b = ref == label, pred == label
        d = sd.compute_surface_distances(a, b, spacing)
        out.append([sd.compute_dice_coefficient(a, b), sd.compute_surface_dice_at_tolerance(d, tolerance), sd.compute_robust_hausdorff(d, 95)])
    return out


one_hot = {}


def monai():
    import torch
    from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice
    from monai.networks.utils import one_hot as encode

    if not one_hot:  # given, not timed
        for name, m in (("ref", ref), ("pred", pred)):
            one_hot[name] = encode(torch.from_numpy(m)[None, None], 14)
    start = time.perf_counter()
    a, b = one_hot["pred"], one_hot["ref"]
    dice = compute_dice(a, b, include_background=False)[0]
    nsd = compute_surface_dice(a, b, [tolerance] * 13, include_background=False, spacing=spacing, use_subvoxels=True)[0]
    hd = compute_hausdorff_distance(a, b, include_background=False, percentile=95, spacing=spacing)[0]
    return torch.stack([dice.double(), nsd.double(), hd.double()], 1).tolist(), time.perf_counter() - start


for line in sys.stdin:
    name = line.strip()
    start = time.perf_counter()
    try:
        values = {"surface-distance": surface_distance, "monai": monai}[name]()
        seconds = time.perf_counter() - start
        if isinstance(values, tuple):
            values, seconds = values
        answer = {"seconds": seconds, "values": values}
    except ImportError as error:
        answer = {"error": str(error)}
    answer["peakMiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(answer), flush=True)
