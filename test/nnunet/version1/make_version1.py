"""Plans as nnU-Net v1 pickles them beside a checkpoint (`model_final_checkpoint.model.pkl`), with arrays and scalars of NumPy in them.

    python make_version1.py <output folder>
"""
import pickle
import sys
from collections import OrderedDict

import numpy as np


def plans():
    stage = {
        "batch_size": 2, "num_pool_per_axis": [4, 4, 4], "patch_size": np.array([32, 32, 32]),
        "median_patient_size_in_voxels": np.array([40, 36, 34]), "current_spacing": np.array([1.5, 1.5, 1.5]),
        "original_spacing": np.array([1.2, 1.5, 1.5]), "do_dummy_2D_data_aug": False,
        "pool_op_kernel_sizes": [[2, 2, 2]] * 4, "conv_kernel_sizes": [[3, 3, 3]] * 5,
    }
    statistics = OrderedDict(median=np.float32(12.0), mean=np.float32(13.5), sd=np.float64(4.25), mn=np.float32(1.0), mx=np.float32(40.0),
                             percentile_99_5=np.float64(26.0), percentile_00_5=np.float64(3.0))
    statistics["local_props"] = OrderedDict(case_0=OrderedDict(median=np.float32(12.0)))
    return {
        "num_stages": 1, "num_modalities": 1, "modalities": {0: "CT"}, "normalization_schemes": OrderedDict([(0, "CT")]),
        "dataset_properties": {"all_sizes": [np.array([40, 36, 34])], "all_spacings": [np.array([1.2, 1.5, 1.5])], "all_classes": [1, 2],
                               "modalities": {0: "CT"}, "intensityproperties": OrderedDict([(0, statistics)]),
                               "size_reductions": OrderedDict(case_0=np.float64(1.0))},
        "list_of_npz_files": ["case_0.npz"], "original_spacings": [np.array([1.2, 1.5, 1.5])], "original_sizes": [(40, 36, 34)],
        "preprocessed_data_folder": "preprocessed", "num_classes": 2, "all_classes": [np.int64(1), np.int64(2)], "base_num_features": 32,
        "use_mask_for_norm": OrderedDict([(0, False)]), "keep_only_largest_region": None, "min_region_size_per_class": None,
        "min_size_per_class": None, "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
        "data_identifier": "nnUNetData_plans_v2.1", "plans_per_stage": {0: stage}, "preprocessor_name": "GenericPreprocessor",
        "conv_per_stage": 2,
    }


for trainer in ("nnUNetTrainerV2_MedNeXt_S_kernel3", "STUNetTrainer_small", "nnUNetTrainerV2"):
    info = OrderedDict(init=("plans.pkl", 0, "output", "dataset", False, 0, True, False, True), name=trainer, **{"class": f"<class '{trainer}'>"})
    info["plans"] = plans()
    with open(f"{sys.argv[1]}/{trainer}.pkl", "wb") as f:
        # What Python 3.6 to 3.8 wrote by default.
        pickle.dump(info, f, protocol=3)
