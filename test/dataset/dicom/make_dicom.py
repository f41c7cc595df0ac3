"""Series and contours as pydicom writes them, SEG as highdicom writes it, and what SimpleITK (GDCM) reads of the series.

    python make_dicom.py          # in an environment with pydicom, highdicom, SimpleITK, matplotlib; writes beside this file

Generated voxels, seed 3; the patient's name, id and birth date in them are made up, for the test that they do not get out.
Names of files are shuffled: only positions say the order. `expected.json`: shape (depth, height, width), spacing, origin, direction
(SimpleITK's x, y, z, LPS) and SHA-256 of the values as float32; of the SEG the SHA-256 of the label map as uint8.
"""
import hashlib
import json
import shutil
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, PositronEmissionTomographyImageStorage

here = Path(__file__).resolve().parent
ROOT = "1.2.826.0.1.3680043.8.498."


def series(name, number, *, size, spacing, iop, origin, syntax=ExplicitVRLittleEndian, modality="CT", signed=True, slopes=(1.0,), intercept=-1024.0, stored=16):
    """`size` (width, height, depth), `spacing` (x, y, z) in mm."""
    rng = np.random.default_rng(3 + number)
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    row, column = np.array(iop[:3]), np.array(iop[3:])
    normal = np.cross(row, column)
    order = rng.permutation(size[2])
    low, high = (-(2 ** (stored - 1)), 2 ** (stored - 1)) if signed else (0, 2**stored)
    made = []
    for k in range(size[2]):
        y, x = np.mgrid[: size[1], : size[0]]
        pixels = (x * 7 + y * 13 + k * 31 + rng.integers(0, 5, (size[1], size[0]))) % 900
        pixels[0, 0], pixels[-1, -1] = low, high - 1
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage if modality == "CT" else PositronEmissionTomographyImageStorage
        meta.MediaStorageSOPInstanceUID = f"{ROOT}{number}.2.{k + 1}"
        meta.TransferSyntaxUID = syntax
        d = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        d.SOPClassUID, d.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = f"{ROOT}{number}.9", f"{ROOT}{number}.1", f"{ROOT}{number}.8"
        d.PatientName, d.PatientID, d.PatientBirthDate, d.PatientSex = "Mustermann^Erika", "PID-4711", "19640812", "F"
        d.StudyID, d.AccessionNumber, d.ReferringPhysicianName = "77", "ACC-99", "House^Gregory"
        d.StudyDate, d.StudyTime, d.Modality, d.Manufacturer = "20200102", "101500", modality, "generated"
        d.SeriesNumber, d.InstanceNumber, d.SeriesDescription = number, int(order[k]) + 1, "generated"
        d.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        d.ImageOrientationPatient = [float(f"{v:.10g}") for v in iop]
        d.ImagePositionPatient = [float(f"{v:.10g}") for v in np.array(origin) + normal * spacing[2] * k]
        d.PixelSpacing = [spacing[1], spacing[0]]
        d.SliceThickness = spacing[2]
        d.Rows, d.Columns, d.SamplesPerPixel, d.PhotometricInterpretation = size[1], size[0], 1, "MONOCHROME2"
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, stored, stored - 1, int(signed)
        d.RescaleSlope, d.RescaleIntercept = slopes[k % len(slopes)], intercept
        d.PixelData = pixels.astype("<i2" if signed else "<u2").tobytes()
        d.save_as(folder / f"IM{order[k]:04d}", enforce_file_format=True)
        made.append(d)
    return folder, made


def read(folder):
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files)
    reader.SetOutputPixelType(sitk.sitkFloat32)
    image = reader.Execute()
    array = np.ascontiguousarray(sitk.GetArrayFromImage(image).astype("<f4"))
    return {"shape": list(array.shape), "spacing": image.GetSpacing(), "origin": image.GetOrigin(), "direction": image.GetDirection(),
            "sha256": hashlib.sha256(array.tobytes()).hexdigest()}


def segmentation(slices, file):
    depth, height, width = len(slices), slices[0].Rows, slices[0].Columns
    z, y, x = np.mgrid[:depth, :height, :width]
    label = np.where((x - 4) ** 2 + (y - 5) ** 2 + (z - 3) ** 2 < 6, 1, 0)
    label = np.where((x - 9) ** 2 + (y - 7) ** 2 + (z - 4) ** 2 < 5, 2, label).astype(np.uint8)
    algorithm = hd.AlgorithmIdentificationSequence(name="generated", version="1", family=codes.DCM.MorphologicalOperations)
    segments = [hd.seg.SegmentDescription(segment_number=i + 1, segment_label=name, segmented_property_category=codes.SCT.Organ, segmented_property_type=codes.SCT.Liver,
                                          algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC, algorithm_identification=algorithm) for i, name in enumerate(["liver", "lesion"])]
    seg = hd.seg.Segmentation(source_images=slices, pixel_array=label, segmentation_type=hd.seg.SegmentationTypeValues.BINARY, segment_descriptions=segments,
                              series_instance_uid=f"{ROOT}77.1", series_number=77, sop_instance_uid=f"{ROOT}77.2", instance_number=1, manufacturer="generated",
                              manufacturer_model_name="generated", software_versions="1", device_serial_number="1", omit_empty_frames=True)
    seg.save_as(file)
    return hashlib.sha256(label.tobytes()).hexdigest()


def structures(slices, file):
    """Contours with vertices between pixel centres; the second one inside the first is a hole. Masks by matplotlib, even-odd."""
    from matplotlib.path import Path as Polygon
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = "1.2.840.10008.5.1.4.1.1.481.3", f"{ROOT}78.2", ExplicitVRLittleEndian
    d = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    d.SOPClassUID, d.SOPInstanceUID, d.Modality = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, "RTSTRUCT"
    d.StudyInstanceUID, d.SeriesInstanceUID = slices[0].StudyInstanceUID, f"{ROOT}78.1"
    d.PatientName, d.PatientID = slices[0].PatientName, slices[0].PatientID
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = slices[0].SeriesInstanceUID
    study.RTReferencedSeriesSequence = Sequence([series])
    frame.RTReferencedStudySequence = Sequence([study])
    d.ReferencedFrameOfReferenceSequence = Sequence([frame])
    row, column = np.array(slices[0].ImageOrientationPatient[:3], float), np.array(slices[0].ImageOrientationPatient[3:], float)
    label = np.zeros((len(slices), slices[0].Rows, slices[0].Columns), np.uint8)
    y, x = np.mgrid[: slices[0].Rows, : slices[0].Columns]
    centres = np.stack([x.ravel(), y.ravel()], 1)
    shapes = {1: {2: [[(1.37, 1.21), (7.61, 1.83), (8.13, 8.29), (2.77, 9.41)], [(3.31, 3.47), (5.63, 3.19), (4.87, 6.11)]], 3: [[(2.13, 2.39), (6.71, 2.17), (4.43, 8.83)]]},
              4: {2: [[(9.17, 1.29), (13.9, 0.7), (12.3, 5.6), (10.6, 3.3), (9.3, 5.1)]]}}
    rois, contours = [], []
    for n, planes in shapes.items():
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = n, {1: "organ", 4: "lesion"}[n]
        drawn.ReferencedROINumber, drawn.ContourSequence = n, Sequence()
        for k, polygons in planes.items():
            origin = np.array(slices[k].ImagePositionPatient, float)
            inside = np.zeros(label.shape[1:], bool)
            for polygon in polygons:
                inside ^= Polygon(polygon).contains_points(centres).reshape(inside.shape)
                c = Dataset()
                points = [origin + row * float(slices[k].PixelSpacing[1]) * px + column * float(slices[k].PixelSpacing[0]) * py for px, py in polygon]
                c.ContourGeometricType, c.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
                c.ContourData = [float(f"{v:.6f}") for p in points for v in p]
                drawn.ContourSequence.append(c)
            label[k][inside] = {1: 1, 4: 2}[n]
        rois.append(roi)
        contours.append(drawn)
    d.StructureSetROISequence, d.ROIContourSequence = Sequence(rois), Sequence(contours)
    d.save_as(file, enforce_file_format=True)
    return hashlib.sha256(label.tobytes()).hexdigest()


def main():
    a, b = np.deg2rad(20), np.deg2rad(-35)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    oblique = [*turn[:, 0], *turn[:, 1]]
    expected = {}
    folder, slices = series("oblique", 1, size=(14, 12, 8), spacing=(0.7, 0.9, 3.0), iop=oblique, origin=(-31.5, 12.25, 100.0))
    expected["oblique"] = read(folder)
    shutil.rmtree(here / "seg", ignore_errors=True)
    (here / "seg").mkdir()
    expected["seg"] = segmentation(slices, here / "seg" / "seg.dcm")
    shutil.rmtree(here / "rtstruct", ignore_errors=True)
    (here / "rtstruct").mkdir()
    expected["rtstruct"] = structures(slices, here / "rtstruct" / "rs.dcm")
    folder, _ = series("stored12", 2, size=(11, 9, 6), spacing=(1, 1, 1), iop=(1, 0, 0, 0, 1, 0), origin=(0, 0, 0), syntax=ImplicitVRLittleEndian, signed=False, stored=12, slopes=(2.0,), intercept=-50.0)
    expected["stored12"] = read(folder)
    folder, _ = series("pet", 3, size=(9, 9, 5), spacing=(4.0, 4.0, 2.5), iop=(-1, 0, 0, 0, -1, 0), origin=(50, 60, -700), modality="PT", slopes=(0.37, 1.91, 0.004), intercept=0.0)
    expected["pet"] = read(folder)
    (here / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
