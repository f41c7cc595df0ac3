"""Two small sets in the Decathlon's form, and what nnunetv2 2.8.1 makes of them: converter, fingerprint, plans.

    python make_msd.py            # in an environment with nnunetv2==2.8.1; writes beside this file

The sets are generated (numpy, seed 7): smooth blobs with noise, oblique directions, anisotropic voxels, one image a channel-last 4-D
file as the Decathlon has them, files that macOS leaves beside them, labels as uint8. `converted.json` says of every converted file shape,
geometry and SHA-256 of its values as float32 in C order; `plans` and `fingerprint` are the files as written.
"""
import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

here = Path(__file__).resolve().parent
work = Path(tempfile.mkdtemp())
for key in ("raw", "preprocessed", "results"):
    (work / key).mkdir()
    os.environ[f"nnUNet_{key}"] = str(work / key)

import numpy as np  # noqa: E402
import SimpleITK as sitk  # noqa: E402
from nnunetv2.dataset_conversion.convert_MSD_dataset import convert_msd_dataset  # noqa: E402
from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprint_dataset, plan_experiment_dataset  # noqa: E402

tasks = {
    "Task05_Prostate": dict(channels=["T2", "ADC"], labels=["background", "PZ", "TZ"], spacing=(0.6, 0.6, 3.6), size=(40, 36, 12), train=6, test=2, id="prostate_{:02d}"),
    "Task04_Hippocampus": dict(channels=["MRI"], labels=["background", "Anterior", "Posterior"], spacing=(1.0, 1.0, 1.0), size=(34, 44, 30), train=6, test=2, id="hippocampus_{:03d}"),
}


def rotation(rng):
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def case(rng, spec, size):
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in size], indexing="ij")
    r = np.sqrt(x**2 + (1.3 * y) ** 2 + (0.8 * z) ** 2)
    label = np.where(r < 0.35, 2, np.where(r < 0.6, 1, 0)).astype(np.uint8)
    images = [np.round((40 * (c + 1) * label + 12 * (1 - r) * 8) / 8 + rng.integers(0, 3, size)).astype(np.int16) for c in range(len(spec["channels"]))]
    return images, label


def save(array, file, spacing, direction, origin):
    """array (x, y, z) or (x, y, z, c)"""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T), isVector=False)
    if array.ndim == 4:
        wide = np.eye(4)
        wide[:3, :3] = direction
        image.SetSpacing((*spacing, 1.0))
        image.SetOrigin((*origin, 0.0))
        image.SetDirection(wide.ravel())
    else:
        image.SetSpacing(spacing)
        image.SetOrigin(origin)
        image.SetDirection(np.asarray(direction).ravel())
    sitk.WriteImage(image, str(file), useCompression=True)


def make(name, spec):
    sizes = np.random.default_rng(7)
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / part).mkdir(parents=True)
    training, test = [], []
    for k in range(spec["train"] + spec["test"]):
        id = spec["id"].format(k)
        size = tuple(int(n + sizes.integers(-2, 3)) for n in spec["size"])
        generator = np.random.default_rng(100 + k)
        direction = rotation(generator) if k % 2 else np.eye(3)
        origin = tuple(float(v) for v in generator.normal(size=3) * 30)
        images, label = case(generator, spec, size)
        stacked = np.stack(images, -1) if len(images) > 1 else images[0]
        part = "Tr" if k < spec["train"] else "Ts"
        save(stacked, folder / f"images{part}" / f"{id}.nii.gz", spec["spacing"], direction, origin)
        if part == "Tr":
            save(label, folder / "labelsTr" / f"{id}.nii.gz", spec["spacing"], direction, origin)
            training.append({"image": f"./imagesTr/{id}.nii.gz", "label": f"./labelsTr/{id}.nii.gz"})
        else:
            test.append(f"./imagesTs/{id}.nii.gz")
    first = Path(training[0]["image"]).name
    for part in ("imagesTr", "labelsTr"):
        (folder / part / f"._{first}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    (folder / "dataset.json").write_text(json.dumps({
        "name": name[7:].upper(), "description": "generated", "reference": "generated", "licence": "CC0", "relase": "1.0 04/05/2018",
        "tensorImageSize": "4D", "modality": {str(i): c for i, c in enumerate(spec["channels"])},
        "labels": {str(i): n for i, n in enumerate(spec["labels"])}, "numTraining": spec["train"], "numTest": spec["test"],
        "training": training, "test": test}, indent=1))
    return folder


def describe(file):
    image = sitk.ReadImage(str(file))
    array = np.ascontiguousarray(sitk.GetArrayFromImage(image).astype("<f4"))
    return {"shape": list(array.shape), "spacing": list(image.GetSpacing()), "origin": list(image.GetOrigin()), "direction": list(image.GetDirection()),
            "sha256": hashlib.sha256(array.tobytes()).hexdigest()}


def main():
    for name, spec in tasks.items():
        folder = make(name, spec)
        convert_msd_dataset(str(folder), num_processes=1)
        number = int(name[4:6])
        raw = next((work / "raw").glob(f"Dataset{number:03d}_*"))
        extract_fingerprint_dataset(number, num_processes=1, check_dataset_integrity=True)
        plan_experiment_dataset(number)
        out = folder / "nnunet"
        out.mkdir()
        files = sorted(p for p in raw.rglob("*.nii.gz"))
        (out / "converted.json").write_text(json.dumps({str(p.relative_to(raw)): describe(p) for p in files}, indent=1) + "\n")
        shutil.copy(raw / "dataset.json", out / "dataset.json")
        made = work / "preprocessed" / raw.name
        shutil.copy(made / "nnUNetPlans.json", out / "plans.json")
        shutil.copy(made / "dataset_fingerprint.json", out / "fingerprint.json")
        print(name, len(files), "files")
    shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
