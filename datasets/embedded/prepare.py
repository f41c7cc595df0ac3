"""Makes the embedded volumes from their published packages: one hemisphere each, cropped, uint8.

    pip download --no-deps nilearn==0.14.1     (unpack the wheel into a folder: NILEARN)
    apt-get download mricron-data              (unpack with dpkg -x into a folder: MRICRON)
    pip install nibabel
    python prepare.py NILEARN MRICRON

ICBM152 is exactly left-right symmetric, so one hemisphere holds all of it; the other is its mirror image.
"""

import sys

import nibabel as nib
import numpy as np


def save(name, array, image, start):
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array(start)
    out = nib.Nifti1Image(array, affine)
    out.header.set_xyzt_units("mm")
    nib.save(out, name)
    print(name, array.shape, array.dtype, int(array.max()))


nilearn, mricron = sys.argv[1:]
box = (slice(25, 99), slice(26, 210), slice(0, 157))  # x up to and with the midline plane 98
for part in ("t1", "gm", "wm"):
    image = nib.load(f"{nilearn}/nilearn/datasets/data/mni_icbm152_{part}_tal_nlin_sym_09a_converted.nii.gz")
    array = np.ascontiguousarray(np.asarray(image.dataobj)[box])
    save(f"icbm152-{part}.nii.gz", array, image, [s.start for s in box])

t1 = nib.load(f"{mricron}/usr/share/mricron/templates/inia19-t1-brain.nii.gz")
labels = nib.load(f"{mricron}/usr/share/mricron/templates/inia19-NeuroMaps.nii.gz")
values = np.asarray(t1.dataobj)[:84]
parcels = np.asarray(labels.dataobj)[:84]
occupied = [np.where((values > 0).any(axis=tuple(a for a in range(3) if a != axis)))[0] for axis in range(3)]
box = tuple(slice(int(o[0]), int(o[-1]) + 1) for o in occupied)
start = [s.start for s in box]
save("inia19-t1.nii.gz", np.clip(np.round(values[box] * (255 / 384)), 0, 255).astype(np.uint8), t1, start)
save("inia19-parcels.nii.gz", parcels[box].astype(np.int16), labels, start)
