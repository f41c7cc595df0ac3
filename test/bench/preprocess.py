"""The peer of preprocess.ts: nnunetv2's own preprocessing of one case, and its own way of bringing logits back, on the CPU.

usage: preprocess.py <settings.json> preprocess|restore   prints one JSON line {seconds, peakBytes, baseBytes}
"""
import json
import os
import resource
import sys
import time

os.environ.setdefault("nnUNet_raw", "/nonexistent")
os.environ.setdefault("nnUNet_preprocessed", "/nonexistent")
os.environ.setdefault("nnUNet_results", "/nonexistent")
import numpy as np
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

settings = json.load(open(sys.argv[1]))
torch.set_num_threads(settings["threads"])
plans = PlansManager(settings["plan"])
configuration = plans.get_configuration("3d_fullres")
dataset_json = settings["dataset"]
shape = settings["shape"]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

if sys.argv[2] == "preprocess":
    image = np.fromfile(settings["image"], dtype=np.float32).reshape(1, *shape)
    seg = np.fromfile(settings["label"], dtype=np.int16).reshape(1, *shape).astype(np.float32)
    properties = {"spacing": settings["spacing"]}
    base = peak()
    start = time.perf_counter()
    data, seg, properties = DefaultPreprocessor(verbose=False).run_case_npy(image, seg, properties, plans, configuration, dataset_json)
    seconds = time.perf_counter() - start
    top = peak()
    data.astype(np.float32).tofile(settings["peer"])
    seg.astype(np.int16).tofile(settings["peer"] + ".seg")
else:
    n, (d, h, w) = settings["heads"], settings["resampled"]
    logits = np.empty((n, d, h, w), dtype=np.float16)
    for c in range(n):
        i = np.arange(d * h * w, dtype=np.uint32) * np.uint32(2654435761) + np.uint32((c * 97531 + 1) & 0xFFFFFFFF)
        logits[c] = (((i >> np.uint32(8)) % np.uint32(4096)).astype(np.float32) / 256 - 8).reshape(d, h, w)
    properties = {
        "spacing": settings["spacing"],
        "shape_before_cropping": shape,
        "bbox_used_for_cropping": [[0, s] for s in shape],
        "shape_after_cropping_and_before_resampling": shape,
    }
    logits = torch.from_numpy(logits)
    base = peak()
    start = time.perf_counter()
    labels = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits, plans, configuration, plans.get_label_manager(dataset_json), properties, num_threads_torch=settings["threads"]
    )
    seconds = time.perf_counter() - start
    top = peak()
    labels.astype(np.uint8).tofile(settings["peer"] + ".labels")
print(json.dumps({"seconds": seconds, "peakBytes": top, "baseBytes": base}))
