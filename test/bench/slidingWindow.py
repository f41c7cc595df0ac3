"""The peer of slidingWindow.ts: nnunetv2's own sliding window around a 1x1x1 convolution, on the CPU.

usage: slidingWindow.py <settings.json>   prints one JSON line {seconds, peakBytes, baseBytes}
"""
import json
import resource
import sys
import time
from types import SimpleNamespace

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

settings = json.load(open(sys.argv[1]))
torch.set_num_threads(settings["threads"])
image = np.fromfile(settings["image"], dtype=np.float32).reshape(1, *settings["shape"])

network = torch.nn.Conv3d(1, settings["heads"], 1, bias=False)
with torch.no_grad():
    network.weight.copy_(torch.tensor(settings["weights"]).reshape(network.weight.shape))

predictor = nnUNetPredictor(
    tile_step_size=0.5, use_gaussian=True, use_mirroring=True, perform_everything_on_device=False,
    device=torch.device("cpu"), verbose=False, allow_tqdm=False,
)
predictor.network = network
predictor.configuration_manager = SimpleNamespace(patch_size=settings["patchSize"])
predictor.label_manager = SimpleNamespace(num_segmentation_heads=settings["heads"])
predictor.allowed_mirroring_axes = (0, 1, 2)

base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
start = time.perf_counter()
with torch.inference_mode():
    logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(image))
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
logits.numpy().argmax(0).astype(np.uint8).tofile(settings["peerLabels"])
print(json.dumps({"seconds": seconds, "peakBytes": peak, "baseBytes": base}))
