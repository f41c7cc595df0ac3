"""The peer of scale.ts: nnunetv2's own check, fingerprint, preprocessing, loader and prediction around a network, on the CPU.

usage: scale.py STEP <settings.json>   prints one JSON line
"""
import json
import os
import sys
import time

STEP, SETTINGS = sys.argv[1], json.load(open(sys.argv[2]))
os.environ["nnUNet_raw"] = SETTINGS["raw"]
os.environ["nnUNet_preprocessed"] = SETTINGS["peer"]
os.environ["nnUNet_results"] = SETTINGS["peer"]
os.environ["OMP_NUM_THREADS"] = "1" if STEP != "predict" else str(SETTINGS["threads"])
THREADS = SETTINGS["threads"]
FOLDER = SETTINGS["folder"]
OUT = os.path.join(SETTINGS["peer"], FOLDER)


def timed(work):
    begin = time.perf_counter()
    value = work()
    return time.perf_counter() - begin, value


def main():
    if STEP == "evict":
        for base, _, names in os.walk(SETTINGS["evict"]):
            for name in names:
                handle = os.open(os.path.join(base, name), os.O_RDONLY)
                os.fsync(handle)
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(handle)
        return {}
    if STEP == "check":
        from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

        seconds, _ = timed(lambda: verify_dataset_integrity(os.path.join(SETTINGS["raw"], FOLDER), THREADS))
        return {"seconds": seconds}
    if STEP == "fingerprint":
        from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor

        os.makedirs(OUT, exist_ok=True)
        extractor = DatasetFingerprintExtractor(FOLDER, THREADS)
        seconds, found = timed(lambda: extractor.run(overwrite_existing=True))
        properties = found["foreground_intensity_properties_per_channel"]
        return {"seconds": seconds, "intensities": {str(k): v for k, v in properties.items()}}
    if STEP == "preprocess":
        from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

        preprocessor = DefaultPreprocessor(verbose=False)
        seconds, _ = timed(lambda: preprocessor.run(FOLDER, "3d_fullres", "nnUNetPlans", THREADS))
        return {"seconds": seconds}
    if STEP == "load":
        return load()
    return predict()


def load():
    import numpy as np
    from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
    from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
    from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(os.path.join(OUT, "nnUNetPlans.json"))
    configuration = plans.get_configuration("3d_fullres")
    labels = plans.get_label_manager(json.load(open(os.path.join(OUT, "dataset.json"))))
    data = nnUNetDatasetBlosc2(os.path.join(OUT, configuration.data_identifier))
    patch = configuration.patch_size
    transforms, initial = None, patch
    if SETTINGS["augment"]:
        rotation = (-30.0 / 360 * 2.0 * np.pi, 30.0 / 360 * 2.0 * np.pi)
        initial = get_patch_size(patch, rotation, rotation, rotation, (0.85, 1.25))
        transforms = nnUNetTrainer.get_training_transforms(patch, rotation, None, (0, 1, 2), False, use_mask_for_norm=configuration.use_mask_for_norm)
    loader = nnUNetDataLoader(data, 2, initial, patch, labels, oversample_foreground_percent=0.33, transforms=transforms)
    feed = NonDetMultiThreadedAugmenter(loader, None, THREADS, num_cached=3, seeds=None, pin_memory=False, wait_time=0.002)
    next(feed)
    begin = time.perf_counter()
    for _ in range(SETTINGS["batches"]):
        batch = next(feed)
    seconds = time.perf_counter() - begin
    assert tuple(batch["data"].shape[2:]) == tuple(patch)
    feed._finish()
    return {"seconds": seconds, "patches": 2 * SETTINGS["batches"]}


def predict():
    from types import SimpleNamespace

    import numpy as np
    import torch
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    torch.set_num_threads(THREADS)
    plans = PlansManager(SETTINGS["plan"])
    configuration = plans.get_configuration("3d_fullres")
    shape, heads = SETTINGS["shape"], SETTINGS["heads"]
    image = np.fromfile(SETTINGS["image"], dtype=np.float32).reshape(1, *shape)
    network = torch.nn.Conv3d(1, heads, 1, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor(SETTINGS["weights"]).reshape(network.weight.shape))
    predictor = nnUNetPredictor(
        tile_step_size=0.5, use_gaussian=True, use_mirroring=False, perform_everything_on_device=False,
        device=torch.device("cpu"), verbose=False, allow_tqdm=False,
    )
    predictor.network = network
    predictor.configuration_manager = configuration
    predictor.label_manager = plans.get_label_manager(SETTINGS["dataset"])
    properties = {
        "spacing": configuration.spacing,
        "shape_before_cropping": shape,
        "bbox_used_for_cropping": [[0, n] for n in shape],
        "shape_after_cropping_and_before_resampling": shape,
    }

    def work():
        with torch.inference_mode():
            logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(image))
            return convert_predicted_logits_to_segmentation_with_correct_shape(
                logits, plans, configuration, predictor.label_manager, properties, num_threads_torch=THREADS
            )

    seconds, found = timed(work)
    np.asarray(found, dtype=np.uint8).tofile(SETTINGS["peerLabels"])
    return {"seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(main(), default=float))
