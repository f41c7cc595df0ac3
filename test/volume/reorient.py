# Writes reorient.json: what nnU-Net's NibabelIOWithReorient makes of NIfTI headers with nibabel 5.4.2 (voxels, affine, voxel size after
# turning), and how its labels lie after export. The 48 orientations, oblique and sheared ones, and headers whose sform is not pixdim.
# python reorient.py test/volume/reorient.json
import itertools, json, sys
import numpy as np, nibabel as nib
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

shape = (2, 3, 4)
zooms = np.array([0.75, 1.25, 3.0])
origin = np.array([-11.5, 7.25, 30.0])
rng = np.random.default_rng(3)


def rotations():
    for perm in itertools.permutations(range(3)):
        for signs in itertools.product([1, -1], repeat=3):
            R = np.zeros((3, 3))
            for axis, (p, s) in enumerate(zip(perm, signs)):
                R[p, axis] = s
            yield R
    for _ in range(12):
        yield np.linalg.qr(rng.normal(size=(3, 3)))[0]
    for _ in range(6):
        M = rng.normal(size=(3, 3)) + 1.5 * np.eye(3)[rng.permutation(3)]
        yield M / np.linalg.norm(M, axis=0)


out = []
for n, R in enumerate(rotations()):
    for steps in [zooms, np.ones(3)] if n % 5 == 0 else [zooms]:
        header = nib.Nifti1Header()
        header.set_data_shape(shape)
        header.set_data_dtype(np.uint8)
        header['pixdim'][1:4] = zooms
        header['sform_code'] = 2
        affine = np.column_stack([R * steps, origin])
        for row, name in zip(affine, ['srow_x', 'srow_y', 'srow_z']):
            header[name] = row
        image = nib.Nifti1Image(np.arange(24, dtype=np.uint8).reshape(shape, order='F'), None, header)
        image = nib.Nifti1Image.from_bytes(image.to_bytes())
        turned = image.as_reoriented(io_orientation(image.affine))
        seg = nib.Nifti1Image(np.asarray(turned.dataobj), affine=turned.affine)
        back = seg.as_reoriented(ornt_transform(axcodes2ornt('RAS'), io_orientation(image.affine)))
        assert np.allclose(back.affine, image.affine, atol=1e-4) and np.array_equal(back.dataobj, image.dataobj)
        out.append({
            'srow': [float(v) for v in image.affine[:3].ravel()],
            'shape': list(turned.shape[::-1]),
            'spacing': [float(v) for v in turned.header.get_zooms()[::-1]],
            'affine': [float(v) for v in turned.affine[:3].ravel()],
            'values': np.asarray(turned.dataobj).ravel(order='F').tolist(),
        })
with open(sys.argv[1], 'w') as f:
    f.write('[\n' + ',\n'.join(json.dumps(e, separators=(',', ':')) for e in out) + '\n]\n')
print(len(out))
