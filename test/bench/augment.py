"""The peer of augment.ts: batchgeneratorsv2 applying what was drawn, on one core.

usage: augment.py <settings.json>   prints one JSON line {wall: [...], cpu: [...]}, seconds a sample of the best round
"""
import json
import sys
import time

import numpy as np
import torch
from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
from batchgeneratorsv2.transforms.intensity.contrast import ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform, _convert_my_grid_to_grid_sample_grid
from batchgeneratorsv2.transforms.utils.remove_label import RemoveLabelTansform

torch.set_num_threads(1)
settings = json.load(open(sys.argv[1]))
patch, initial, channels = settings["patch"], settings["initial"], settings["channels"]
image = torch.from_numpy(np.fromfile(settings["image"], dtype=np.float32).reshape(*initial, channels)).permute(3, 0, 1, 2).contiguous()
seg = torch.from_numpy(np.fromfile(settings["seg"], dtype=np.int16).reshape(1, *initial))

spatial = SpatialTransform(patch, 0, False, border_mode_seg="constant", padding_value_seg=-1)
noise = GaussianNoiseTransform((0, 0.1), 1, True)
blur = GaussianBlurTransform((0.5, 1.0), False, False, 0.5, benchmark=True)
multiply = MultiplicativeBrightnessTransform((0.75, 1.25), False, 1)
contrast = ContrastTransform((0.75, 1.25), True, False, 1)
low_resolution = SimulateLowResolutionTransform((0.5, 1), False, True, None, None, 0.5)
gamma = GammaTransform((0.7, 1.5), 1, False, 1, 1)
mirror = MirrorTransform((0, 1, 2))
remove = RemoveLabelTansform(-1, 0)


def given(values):
    """Channels that something was drawn for, and what."""
    index = [c for c, v in enumerate(values) if v is not None]
    return torch.tensor(index, dtype=torch.long), [values[c] for c in index]


def apply(step, data):
    name = step["transform"]
    if name == "spatial":
        grid = None
        if step["affine"] is not None:
            grid = spatial._get_base_grid_clone()
            grid = torch.matmul(grid, torch.tensor(step["affine"], dtype=torch.float64).reshape(3, 3).T.float())
            grid = _convert_my_grid_to_grid_sample_grid(grid, initial)
        return spatial.apply(data, grid=grid, center_location_in_pixels=[n / 2 for n in initial], affine=step["affine"])
    if name == "noise":
        every = torch.ones(channels, dtype=torch.bool)
        return noise.apply(data, apply_mask=every, apply_idx=every.nonzero().flatten(), num_apply=channels, sigmas=step["sd"])
    if name == "blur":
        _, sigmas = given(step["sigmas"])
        return blur.apply(data, apply_to_channel=torch.tensor([s is not None for s in step["sigmas"]]), sigmas=sigmas)
    if name == "multiply":
        index, values = given(step["values"])
        return multiply.apply(data, apply_to_channel=index, multipliers=torch.tensor(values))
    if name == "contrast":
        index, values = given(step["factors"])
        return contrast.apply(data, apply_to_channel=index, multipliers=torch.tensor(values))
    if name == "lowResolution":
        index, values = given(step["scales"])
        return low_resolution.apply(data, apply_to_channel=index, scales=torch.tensor([[v] * 3 for v in values]))
    if name == "gamma":
        index, values = given(step["gammas"])
        every = torch.ones(len(values), dtype=torch.bool)
        return gamma.apply(
            data, apply_to_channel=index, retain_stats=every, invert_image=every & step["inverted"], gamma=torch.tensor(values)
        )
    return mirror.apply(data, axes=step["axes"])


wall, cpu = [], []
for _ in range(settings["rounds"]):
    for i, draw in enumerate(settings["draws"]):
        data = {"image": image.clone(), "segmentation": seg.clone()}
        begin, used = time.perf_counter(), time.process_time()
        for step in draw:
            data = apply(step, data)
        data = remove.apply(data)
        data["image"] = data["image"].contiguous()
        took = time.perf_counter() - begin, time.process_time() - used
        if i == len(wall):
            wall.append(took[0]), cpu.append(took[1])
        else:
            wall[i], cpu[i] = min(wall[i], took[0]), min(cpu[i], took[1])
        if settings.get("out"):
            data["image"].numpy().tofile(f"{settings['out']}-{i}.f32")
            data["segmentation"].to(torch.int16).numpy().tofile(f"{settings['out']}-{i}.i16")
print(json.dumps({"wall": wall, "cpu": cpu}))
