"""nnU-Net's DA5 transforms on fixed parameters, and its pipeline as the trainer builds it. Run with nnunetv2 2.8.1, batchgeneratorsv2 0.3.6:

    python test/augment/da5.py

Writes da5.json beside it: for each case the parameters and the image (and labels) that come out, and for patches of several shapes what
each transform of the trainer is made with.
"""

import json
import os
from importlib.metadata import version

import numpy as np
import torch
from batchgeneratorsv2.transforms.intensity.brightness import BrightnessAdditiveTransform
from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.local.brightness_gradient import BrightnessGradientAdditiveTransform
from batchgeneratorsv2.transforms.local.local_gamma import LocalGammaTransform
from batchgeneratorsv2.transforms.noise.blank_rectangle import BlankRectangleTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.noise.median_filter import MedianFilterTransform
from batchgeneratorsv2.transforms.noise.sharpen import SharpeningTransform
from batchgeneratorsv2.transforms.spatial.rot90 import Rot90Transform
from batchgeneratorsv2.transforms.spatial.transpose import TransposeAxesTransform
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerDA5 import nnUNetTrainerDA5

here = os.path.dirname(os.path.abspath(__file__))
generator = np.random.default_rng(5)
images = {name: np.round(generator.normal(1, 2, shape), 3).astype(np.float32) for name, shape in {"3": (6, 7, 8), "2": (9, 10), "cube": (5, 6, 5)}.items()}
cases = []


def flat(array):
    return [float(f"{v:.9g}") for v in np.asarray(array).ravel().tolist()]


def add(kind, source, transform, drawn, **ours):
    image = torch.from_numpy(images[source].copy())[None]
    out = transform.apply({"image": image}, **drawn)["image"][0].numpy()
    cases.append({"kind": kind, "source": source, **ours, "out": flat(out)})


for source in ("3", "2"):
    for size in (2, 3, 4, 7):
        add("median", source, MedianFilterTransform(size), {"apply_channel": [True], "filter_sizes": [size]}, size=size)
    for sigma in (0.3, 0.77, 1.5) if source == "3" else (1.1,):
        sigmas = [[sigma] * images[source].ndim]
        add("blur", source, GaussianBlurTransform(sigma, synchronize_axes=True), {"apply_to_channel": torch.tensor([True]), "sigmas": sigmas}, sigma=sigma)
    for strength in (0.1, 0.85):
        drawn = {"apply_channel": [True], "strengths": [strength], "clamp_intensities": [False]}
        add("sharpen", source, SharpeningTransform((0.1, 1.0)), drawn, strength=strength)
    boxes = [([1, 2, 3], [4, 4, 8]), ([0, 1, 2], [2, 7, 5])] if source == "3" else [([1, 2], [5, 9]), ([3, 0], [9, 4])]
    add("blankRectangles", source, BlankRectangleTransform(1, torch.mean, 1), {"apply_channel": [True], "rectangles": [boxes]}, boxes=boxes)
    shape = images[source].shape
    for place, sd, strength, gamma in (([-0.4, 0.6, 1.4], [1.3, 4.2, 7.7], 3.3, 0.05), ([0.5, 1.5, -0.5], [6.0, 1.2, 2.5], -4.2, 3.6)):
        place, sd = place[: len(shape)], sd[: len(shape)]
        fixed = {"scale": lambda _, d: sd[d], "loc": lambda _, d: place[d], "same_for_all_channels": False}
        ours = {"centre": [p * s for p, s in zip(place, shape)], "sd": sd}
        image = torch.from_numpy(images[source])[None]
        added = BrightnessGradientAdditiveTransform(max_strength=strength, mean_centered=False, **fixed)
        add("brightnessGradient", source, added, added.get_parameters(image=image), strength=strength, **ours)
        powered = LocalGammaTransform(gamma=gamma, **fixed)
        add("localGamma", source, powered, powered.get_parameters(image=image), gamma=gamma, **ours)
    one = torch.tensor([0])
    add("shift", source, BrightnessAdditiveTransform(0, 0.5, False), {"apply_to_channel": one, "shift": torch.tensor([-0.37])}, value=-0.37)
    for kept in (True, False):
        contrast = ContrastTransform(BGContrast((0.5, 2)), kept, False)
        add("contrast", source, contrast, {"apply_to_channel": one, "multipliers": torch.tensor([1.7])}, factor=1.7, preserveRange=kept)
    drawn = {"apply_to_channel": one, "retain_stats": torch.tensor([True]), "invert_image": torch.tensor([True]), "gamma": torch.tensor([0.72])}
    add("gamma", source, GammaTransform(BGContrast((0.7, 1.5)), 1, False, 1, 1), drawn, gamma=0.72)
for turns in range(4):
    for axes in ([0, 2], [1, 2]) if turns == 1 else ([0, 2],):
        drawn = {"num_rot_per_combination": [turns], "axis_combinations": [[a + 1 for a in axes]]}
        add("quarterTurns", "cube", Rot90Transform(1, (0, 1, 2, 3)), drawn, turns=turns, axes=axes)
for order in ([2, 1, 0], [1, 2, 0]):
    add("exchangeAxes", "cube", TransposeAxesTransform({0, 1, 2}), {"axis_order": [0] + [o + 1 for o in order]}, order=order)


def made(transform):
    """Name and numbers of a transform, and of those inside it."""
    inner = {"transform": made(transform.transform)} if hasattr(transform, "transform") else {}
    if hasattr(transform, "list_of_transforms"):
        inner = {"of": [made(t) for t in transform.list_of_transforms]}
    keep = {}
    for key, value in vars(transform).items():
        value = list(value.contrast_range) if isinstance(value, BGContrast) else sorted(value) if isinstance(value, set) else value
        if key in ("list_of_transforms", "transform"):
            continue
        if not callable(value) and key != "any_of_these" and not key.startswith("_"):
            keep[key] = json.loads(json.dumps(value, default=lambda v: v.tolist() if hasattr(v, "tolist") else str(v)))
    return {"name": type(transform).__name__, **keep, **inner}


pipelines = []
for patch in ([96, 112, 96], [64, 64, 64], [20, 160, 128], [24, 192, 192], [192, 160], [128, 128]):
    rules = nnUNetTrainerDA5.configure_rotation_dummyDA_mirroring_and_inital_patch_size
    trainer = type("Trainer", (), {"print_to_log_file": lambda *_: None, "configuration_manager": type("Manager", (), {"patch_size": patch})})()
    rotation, flat2d, initial, mirrored = rules(trainer)
    # The size the loader cuts is an array of numpy for every patch.
    transforms = nnUNetTrainerDA5.get_training_transforms(
        np.array(patch), rotation, None, mirrored, flat2d, is_cascaded=True, foreground_labels=[1, 2]
    )
    built = [made(t) for t in transforms.transforms]
    inner = {t["transform"]["name"]: t["transform"] for t in built if "transform" in t}
    axes = inner.get("Rot90Transform", {}).get("allowed_axes", [])
    edges = inner["BlankRectangleTransform"]["rectangle_size"]
    pipelines.append({"patch": patch, "initial": [int(i) for i in initial], "equalAxes": axes, "edges": edges})
    if len(pipelines) == 1:
        trainer_transforms = built

versions = {name: version(name) for name in ("nnunetv2", "batchgeneratorsv2", "torch", "scipy", "numpy")}
inputs = {name: {"shape": list(array.shape), "values": flat(array)} for name, array in images.items()}
with open(os.path.join(here, "da5.json"), "w") as file:
    json.dump({"versions": versions, "inputs": inputs, "cases": cases, "pipelines": pipelines, "transforms": trainer_transforms}, file)
    file.write("\n")
