"""Models as nnunetv2 2.8.1's own trainer saves them, with the labels its own predictor gives; small enough to lie in a repository.

    python make_roundtrip.py <output folder>

Every folder below the output is one model: plans.json, dataset.json, fold_*/checkpoint_final.pth, images/, and labels/ by nnU-Net.
"""
import copy
import json
import os
import shutil
import sys
import tempfile

scratch = tempfile.mkdtemp()
for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ[name] = os.path.join(scratch, name)
    os.makedirs(os.environ[name])
os.environ["nnUNet_compile"] = "f"

import nibabel as nib
import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels

torch.set_num_threads(1)
torch.backends.mkldnn.enabled = False
output = sys.argv[1]
spline = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
linear = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}


def architecture(kind, dim, strides, features):
    stages = len(strides)
    blocks = (
        {"n_conv_per_stage": [2] * stages, "n_conv_per_stage_decoder": [2] * (stages - 1)}
        if kind == "PlainConvUNet"
        else {"n_blocks_per_stage": [1, 2, 2][:stages], "n_conv_per_stage_decoder": [1] * (stages - 1)}
    )
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{kind}",
        "arch_kwargs": {
            "n_stages": stages, "features_per_stage": features, "conv_op": f"torch.nn.modules.conv.Conv{dim}d",
            "kernel_sizes": [[3] * dim] * stages, "strides": strides, **blocks, "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dim}d", "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None, "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def old_form(configuration):
    """As nnU-Net 2.0 to 2.3 wrote it."""
    a = configuration.pop("architecture")
    k = a["arch_kwargs"]
    configuration.update(
        UNet_class_name=a["network_class_name"].rsplit(".", 1)[1], UNet_base_num_features=k["features_per_stage"][0],
        unet_max_num_features=k["features_per_stage"][-1],
        n_conv_per_stage_encoder=k.get("n_conv_per_stage", k.get("n_blocks_per_stage")),
        n_conv_per_stage_decoder=k["n_conv_per_stage_decoder"], num_pool_per_axis=[2, 2, 2], pool_op_kernel_sizes=k["strides"],
        conv_kernel_sizes=k["kernel_sizes"])


def plans(configuration, name, reader="SimpleITKIO", transpose=(0, 1, 2)):
    statistics = {"max": 40.0, "mean": 14.0, "median": 14.0, "min": 2.0, "percentile_00_5": 6.0, "percentile_99_5": 24.0, "std": 4.0}
    return {
        "dataset_name": "Dataset043_Round", "plans_name": "nnUNetPlans", "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
        "original_median_shape_after_transp": [20, 20, 20], "image_reader_writer": reader, "transpose_forward": list(transpose),
        "transpose_backward": [list(transpose).index(i) for i in range(3)], "configurations": {name: configuration},
        "experiment_planner_used": "ExperimentPlanner", "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": statistics},
    }


def configuration(kind, spacing, patch, strides, scheme="ZScoreNormalization"):
    return {
        "data_identifier": "nnUNetPlans_x", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2, "patch_size": patch,
        "median_image_size_in_voxels": [20] * len(patch), "spacing": spacing, "normalization_schemes": [scheme],
        "use_mask_for_norm": [False], "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape", "resampling_fn_data_kwargs": dict(spline),
        "resampling_fn_seg_kwargs": {**linear, "is_seg": True}, "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": dict(linear),
        "architecture": architecture(kind, len(patch), strides, [4, 8, 12][: len(strides)]), "batch_dice": False,
    }


def image(seed, shape, spacing, flips):
    """A smooth bright blob in noise; axes as in a NIfTI file (x, y, z)."""
    random = np.random.RandomState(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    data = 10 + 12 * np.exp(-4 * ((grid - random.uniform(-0.3, 0.3, (3, 1, 1, 1))) ** 2).sum(0)) + random.normal(0, 1, shape)
    affine = np.diag([*(s * f for s, f in zip(spacing, flips)), 1.0])
    affine[:3, 3] = [5, -3, 7]
    return nib.Nifti1Image(data.astype(np.float32), affine)


cube = [[1, 1, 1], [2, 2, 2], [2, 2, 2]]
labels = {"background": 0, "shell": 1, "core": 2}


def cases():
    yield "plain", configuration("PlainConvUNet", [1.0, 1.0, 1.0], [16, 16, 16], cube), {}, dict(folds=[0, 1])
    old = configuration("PlainConvUNet", [3.2, 1.0, 1.0], [8, 16, 16], [[1, 1, 1], [1, 2, 2], [2, 2, 2]], "CTNormalization")
    old_form(old)
    yield "old-form", old, dict(reader="NibabelIOWithReorient", transpose=(0, 2, 1)), dict(spacing=(1.2, 0.9, 4.0), flips=(-1, 1, -1), shape=(22, 19, 9))
    old = configuration("PlainConvUNet", [1.5, 1.5, 1.5], [16, 16, 16], cube, "CTNormalization")
    old_form(old)
    yield "totalsegmentator-like", old, dict(reader="NibabelIOWithReorient"), dict(spacing=(1.3, 1.6, 1.5), flips=(1, -1, 1), extra={"name": "totalsegmentator"})
    yield "resenc", configuration("ResidualEncoderUNet", [1.0, 1.0, 1.0], [16, 16, 16], cube), {}, dict(folds=["all"])
    torchres = configuration("ResidualEncoderUNet", [1.0, 1.0, 1.0], [16, 16, 16], cube)
    for kind in ("data", "seg", "probabilities"):
        torchres[f"resampling_fn_{kind}"] = "resample_torch_fornnunet"
        torchres[f"resampling_fn_{kind}_kwargs"] = {"is_seg": kind == "seg", "force_separate_z": False, "memefficient_seg_resampling": False}
    yield "torchres", torchres, {}, dict(spacing=(1.3, 0.8, 1.7))
    aniso = copy.deepcopy(torchres)
    aniso["spacing"] = [3.3, 1.0, 1.0]
    for kind in ("data", "seg", "probabilities"):
        aniso[f"resampling_fn_{kind}_kwargs"]["force_separate_z"] = None
    yield "torchres-anisotropic", aniso, {}, dict(spacing=(1.2, 0.9, 4.0), shape=(22, 19, 12))
    still = configuration("PlainConvUNet", [1.0, 1.0, 1.0], [16, 16, 16], cube)
    for kind in ("data", "seg", "probabilities"):
        still[f"resampling_fn_{kind}"] = "no_resampling_hack"
        still[f"resampling_fn_{kind}_kwargs"] = {}
    yield "no-resampling", still, {}, dict(spacing=(1.3, 0.8, 1.7))
    flat = configuration("PlainConvUNet", [1.0, 1.0], [16, 16], [[1, 1], [2, 2], [2, 2]])
    yield "2d", flat, {}, dict(spacing=(1.1, 1.1, 3.0), shape=(20, 18, 5), mirror=(0,))
    yield "regions", configuration("PlainConvUNet", [1.0, 1.0, 1.0], [16, 16, 16], cube), {}, dict(
        labels={"background": 0, "whole": [1, 2], "core": [2]}, extra={"regions_class_order": [1, 2]}, mirror=None)


def write(name, config, about, folds=(0,), spacing=(1.0, 1.0, 1.0), flips=(1, 1, 1), shape=(20, 18, 17), labels=labels, extra=None, mirror=(0, 1, 2)):
    folder = os.path.join(output, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "images"))
    key = "2d" if len(config["patch_size"]) == 2 else "3d_fullres"
    plan = plans(config, key, **about)
    dataset = {"channel_names": {"0": "CT" if "CT" in config["normalization_schemes"][0] else "MR"}, "labels": labels, "numTraining": 3,
               "file_ending": ".nii.gz", **(extra or {})}
    for file, value in (("plans.json", plan), ("dataset.json", dataset)):
        with open(os.path.join(folder, file), "w") as f:
            json.dump(value, f, indent=1)
    nib.save(image(len(name), shape, spacing, flips), os.path.join(folder, "images", "case_0000.nii.gz"))
    for fold in folds:
        torch.manual_seed(len(name) + (9 if fold == "all" else fold))
        trainer = nnUNetTrainer({**copy.deepcopy(plan), "continue_training": False}, key, fold, dataset, torch.device("cpu"))
        channels = determine_num_input_channels(trainer.plans_manager, trainer.configuration_manager, dataset)
        heads = trainer.label_manager.num_segmentation_heads
        trainer.network = trainer.build_network_architecture(trainer.plans_manager, trainer.configuration_manager, channels, heads, True)
        for head in trainer.network.decoder.seg_layers:
            # Freshly drawn heads hardly differ: spread them, so that labels are decided clearly.
            head.weight.data *= 4
        trainer.optimizer, trainer.lr_scheduler = trainer.configure_optimizers()
        trainer.inference_allowed_mirroring_axes = mirror
        trainer.logger.log("mean_fg_dice", np.mean([0.5, 0.25]), 0)
        trainer.logger.log("dice_per_class_or_region", [np.float64(0.5), np.float32(0.25)], 0)
        trainer._best_ema = np.float64(0.375)
        os.makedirs(os.path.join(folder, f"fold_{fold}"))
        trainer.save_checkpoint(os.path.join(folder, f"fold_{fold}", "checkpoint_final.pth"))
    predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(folder, use_folds=tuple(folds), checkpoint_name="checkpoint_final.pth")
    labels_folder = os.path.join(folder, "labels")
    os.makedirs(labels_folder)
    predictor.predict_from_files_sequential(os.path.join(folder, "images"), labels_folder, save_probabilities=False, overwrite=True)
    for file in os.listdir(labels_folder):
        if not file.endswith(".nii.gz"):
            os.remove(os.path.join(labels_folder, file))
    found = np.asarray(nib.load(os.path.join(labels_folder, "case.nii.gz")).dataobj)
    print(name, found.shape, np.bincount(found.ravel().astype(int)), flush=True)


for name, config, about, how in cases():
    write(name, config, about, **how)
shutil.rmtree(scratch)
