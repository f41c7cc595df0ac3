"""Reads a DICOM segmentation with highdicom: python read_seg.py seg.dcm image.dcm ... (in plane order) -> JSON with the label map's SHA-256."""
import hashlib
import json
import sys

import highdicom as hd
import numpy as np
import pydicom

seg = hd.seg.segread(sys.argv[1])
uids = [pydicom.dcmread(f, stop_before_pixels=True).SOPInstanceUID for f in sys.argv[2:]]
label = seg.get_pixels_by_source_instance(source_sop_instance_uids=uids, combine_segments=True, ignore_spatial_locations=True, assert_missing_frames_are_empty=True)
label = np.ascontiguousarray(label.astype(np.uint8))
print(json.dumps({"shape": list(label.shape), "sha256": hashlib.sha256(label.tobytes()).hexdigest(), "segments": [seg.get_segment_description(i).segment_label for i in seg.segment_numbers],
                  "patient": str(seg.PatientName), "study": seg.StudyInstanceUID, "series": seg.ReferencedSeriesSequence[0].SeriesInstanceUID}))
