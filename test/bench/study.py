"""The peer of study.ts: a network in PyTorch, trained on nnunetv2's loader (Blosc2) and batchgeneratorsv2, on the CPU.

usage: study.py <settings.json>   prints one JSON line
"""
import json
import os
import sys
import time
from importlib.metadata import version

SETTINGS = json.load(open(sys.argv[1]))
os.environ["nnUNet_raw"] = SETTINGS["raw"]
os.environ["nnUNet_preprocessed"] = SETTINGS["peer"]
os.environ["nnUNet_results"] = SETTINGS["peer"]
FOLDER = os.path.join(SETTINGS["peer"], SETTINGS["folder"])
EXPERIMENT, THREADS = SETTINGS["experiment"], SETTINGS["threads"]

import numpy as np
import torch
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from peer import MedNeXt, Plain


def network(spec, channels, classes):
    if spec["network"] == "plain-conv-unet":
        return Plain(channels, classes, deep=True)
    blocks = spec.get("blocks", [2])[0]
    return MedNeXt(spec["size"], spec["kernel"], channels, classes, spec.get("width", 32), blocks, deep=True)


def optimiser(settings, parameters):
    rate, decay = settings["learningRate"], settings["weightDecay"]
    if settings["kind"] == "sgd":
        return torch.optim.SGD(parameters, rate, settings["momentum"], weight_decay=decay, nesterov=True, fused=True)
    betas = (settings["beta1"], settings["beta2"])
    return torch.optim.AdamW(parameters, rate, betas, settings["epsilon"], decay, fused=True)


def feed(scales):
    """As nnUNetTrainer.get_dataloaders makes it, with a worker a core; three batches ahead, for memory's sake."""
    plans = PlansManager(os.path.join(FOLDER, "nnUNetPlans.json"))
    configuration = plans.get_configuration("3d_fullres")
    json_ = json.load(open(os.path.join(FOLDER, "dataset.json")))
    labels = plans.get_label_manager(json_)
    data = nnUNetDatasetBlosc2(os.path.join(FOLDER, configuration.data_identifier), SETTINGS["ids"])
    patch = configuration.patch_size
    rotation = (-30.0 / 360 * 2.0 * np.pi, 30.0 / 360 * 2.0 * np.pi)
    initial = get_patch_size(patch, rotation, rotation, rotation, (0.85, 1.25))
    transforms = nnUNetTrainer.get_training_transforms(
        patch, rotation, scales, (0, 1, 2), False, use_mask_for_norm=configuration.use_mask_for_norm
    )
    loader = nnUNetDataLoader(
        data, configuration.batch_size, initial, patch, labels, oversample_foreground_percent=0.33, transforms=transforms
    )
    batches = NonDetMultiThreadedAugmenter(loader, None, THREADS, num_cached=3, seeds=None, pin_memory=False, wait_time=0.002)
    return batches, len(json_["channel_names"]), labels.num_segmentation_heads


def main():
    torch.manual_seed(0)
    weights = SETTINGS["weights"]
    batches, channels, classes = feed([[0.5**i] * 3 for i in range(len(weights))])
    batch = next(batches)
    torch.set_num_threads(THREADS)
    model = network(EXPERIMENT["model"], channels, classes)
    layout = torch.channels_last_3d if SETTINGS["side"] == "channels_last" else torch.contiguous_format
    model = model.to(memory_format=layout)
    run = torch.compile(model) if SETTINGS["side"] == "compile" else model
    parameters = list(model.parameters())
    update = optimiser(EXPERIMENT["recipe"]["optimiser"], parameters)
    loss_of = DeepSupervisionWrapper(
        DC_and_CE_loss(
            {"batch_dice": False, "smooth": 1e-5, "do_bg": False, "ddp": False}, {}, dice_class=MemoryEfficientSoftDiceLoss
        ),
        weights,
    )
    begin, ends, losses, waited = time.time(), [], [], 0
    for step in range(EXPERIMENT["recipe"]["iterationsPerEpoch"]):
        asked = time.time()
        batch = batch if step == 0 else next(batches)
        waited += time.time() - asked
        update.zero_grad(set_to_none=True)
        loss = loss_of(run(batch["data"].to(memory_format=layout)), batch["target"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, EXPERIMENT["recipe"]["gradientClip"])
        update.step()
        losses.append(loss.item())
        ends.append(time.time())
        if step == 0:
            shapes = list(batch["data"].shape), [list(t.shape[2:]) for t in batch["target"]]
    print(
        json.dumps(
            {
                **{"begin": begin, "ends": ends, "losses": losses, "parameters": sum(p.numel() for p in parameters)},
                **{"batch": shapes[0], "outputs": shapes[1], "waitingShare": waited / (ends[-1] - begin)},
                "version": ", ".join(f"{name} {version(name)}" for name in ("torch", "nnunetv2", "batchgeneratorsv2", "blosc2")),
            }
        ),
        flush=True,
    )
    batches._finish()


if __name__ == "__main__":
    main()
