"""The peer of restore.ts: nnunetv2's own way from logits to labels in the original geometry.

usage: restore.py make <settings.json>   writes seeded logits, float16 [depth, height, width, class]
       restore.py run <settings.json>    prints one JSON line {seconds, peakBytes, baseBytes}
"""
import json
import resource
import sys
import time
from types import SimpleNamespace

import numpy as np

mode, settings_file = sys.argv[1:]
settings = json.load(open(settings_file))
shape, heads = settings["shape"], settings["heads"]

if mode == "make":
    random = np.random.default_rng(1)
    with open(settings["logits"], "wb") as file:
        coarse = random.normal(0, 4, (shape[0] // 8 + 2, shape[1] // 8 + 2, shape[2] // 8 + 2, heads)).astype(np.float16)
        rows = np.arange(shape[1]) // 8
        columns = np.arange(shape[2]) // 8
        for z in range(shape[0]):
            noise = random.normal(0, 1, (shape[1], shape[2], heads)).astype(np.float16)
            file.write((coarse[z // 8][rows][:, columns] + noise).tobytes())
    sys.exit()

import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape
from nnunetv2.utilities.label_handling.label_handling import LabelManager

logits = np.fromfile(settings["logits"], dtype=np.float16).reshape(*shape, heads)
logits = torch.from_numpy(np.ascontiguousarray(logits.transpose(3, 0, 1, 2)))
labels = {"background": 0, **{f"organ {i}": i for i in range(1, heads)}}
manager = LabelManager(labels, None)
configuration = SimpleNamespace(
    spacing=[1.0, 1.0, 1.0],
    resampling_fn_probabilities=lambda data, new, current, target: resample_data_or_seg_to_shape(
        data, new, current, target, is_seg=False, order=1, order_z=0, force_separate_z=None
    ),
)
plans = SimpleNamespace(transpose_forward=[0, 1, 2], transpose_backward=[0, 1, 2])
target = settings["target"]
properties = {
    "spacing": settings["spacing"],
    "shape_before_cropping": target,
    "shape_after_cropping_and_before_resampling": target,
    "bbox_used_for_cropping": [[0, n] for n in target],
}
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
start = time.perf_counter()
out = convert_predicted_logits_to_segmentation_with_correct_shape(
    logits, plans, configuration, manager, properties, num_threads_torch=settings["threads"]
)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
np.asarray(out, dtype=np.uint8).tofile(settings["peerLabels"])
print(json.dumps({"seconds": seconds, "peakBytes": peak, "baseBytes": base}))
