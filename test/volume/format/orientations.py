# Writes orientations.json: affines that nibabel 5.4.2 reads for the headers of orientations.test's table (48 codes x 4 forms x qfac).
import itertools, json, sys
import numpy as np, nibabel as nib
from nibabel.quaternions import mat2quat

out = []
zooms = np.array([0.75, 1.25, 3.0])
offset = np.array([-11.5, 7.25, 30.0])
for perm in itertools.permutations(range(3)):
    for signs in itertools.product([1, -1], repeat=3):
        R = np.zeros((3, 3))
        for axis, (p, s) in enumerate(zip(perm, signs)):
            R[p, axis] = s
        for forms in ['sform', 'qform', 'both', 'neither']:
            for qfac in [1, -1]:
                h = nib.Nifti1Header()
                h.set_data_shape((4, 5, 6))
                h.set_data_dtype(np.uint8)
                h['pixdim'][1:4] = zooms
                proper = R.copy()
                if np.linalg.det(proper) * qfac < 0:
                    proper[:, 2] *= -1
                P = proper.copy()
                P[:, 2] *= qfac
                q = mat2quat(P)
                h['quatern_b'], h['quatern_c'], h['quatern_d'] = q[1:]
                h['pixdim'][0] = qfac
                h['qoffset_x'], h['qoffset_y'], h['qoffset_z'] = offset
                h['qform_code'] = 1 if forms in ('qform', 'both') else 0
                h['sform_code'] = 2 if forms in ('sform', 'both') else 0
                S = R * zooms
                for r, name in enumerate(['srow_x', 'srow_y', 'srow_z']):
                    h[name] = np.append(S[r], offset[r])
                h['magic'] = b'n+1'
                h['vox_offset'] = 352
                A = h.get_best_affine()
                out.append({
                    'rotation': [int(v) for v in R.ravel()], 'forms': forms, 'qfac': qfac,
                    'quatern': [float(h['quatern_' + k]) for k in 'bcd'],
                    'affine': [float(v) for v in A.ravel()[:12]],
                })
json.dump(out, open(sys.argv[1], 'w'), separators=(',', ':'))
print(len(out))
