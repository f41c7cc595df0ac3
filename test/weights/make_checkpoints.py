"""Real checkpoints in every wrapping we read, and hostile ones. Run with torch, numpy and safetensors installed:

    python test/weights/make_checkpoints.py

Writes test/weights/checkpoints/ and test/hostile/checkpoints/. The hostile files try to create ./canary when run by a reader
that executes pickles.
"""

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import torch
from safetensors.torch import save_file

here = os.path.dirname(os.path.abspath(__file__))
good = os.path.join(here, "checkpoints")
bad = os.path.join(here, "..", "hostile", "checkpoints")
for folder in (good, bad):
    os.makedirs(folder, exist_ok=True)

torch.manual_seed(7)
net = torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.BatchNorm3d(4), torch.nn.Conv3d(4, 2, 1))
x = torch.randn(1, 1, 5, 6, 7)
with torch.no_grad():
    net.train()
    net(x)
    net.eval()
    y = net(x)
state = net.state_dict()
at = lambda name: os.path.join(good, name)
save_file({"x": x, "y": y, **{f"w.{k}": v.contiguous() for k, v in state.items()}}, at("expected.safetensors"))
torch.save(state, at("plain.pth"))
torch.save(state, at("legacy.pth"), _use_new_zipfile_serialization=False)
torch.save({"state_dict": state, "epoch": 3, "optimizer_state_dict": {"state": {}, "param_groups": [{"lr": 0.01}]}}, at("nnunetv1.model"))
torch.save(
    {
        "network_weights": OrderedDict((f"_orig_mod.{k}", v) for k, v in state.items()),
        "optimizer_state": {"param_groups": [{"lr": np.float64(0.01), "momentum": 0.99, "nesterov": True}]},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float32(0.5)], "ema_fg_dice": [np.float64(0.4)], "dice_per_class_or_region": [[np.float64(0.25)]]},
        "_best_ema": np.float64(0.4),
        "current_epoch": 5,
        "init_args": {"plans": {"patch_size": [32, 32, 32]}, "configuration": "3d_fullres", "fold": 0, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    },
    at("nnunetv2.pth"),
)
torch.save({"model": OrderedDict((f"module.{k}", v) for k, v in state.items())}, at("parallel.pt"))
torch.save({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, at("half.pth"))
torch.save({k: v.bfloat16() if v.is_floating_point() else v for k, v in state.items()}, at("bfloat16.pth"))
torch.save(torch.nn.ParameterDict({"a": torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))}).state_dict(), at("parameter.pth"))
base = torch.arange(24.0).reshape(2, 3, 4)
torch.save({"transposed": base.permute(2, 0, 1), "slice": base[1:, ::2], "scalar": torch.tensor(3, dtype=torch.int64), "flags": torch.tensor([True, False])}, at("views.pth"))


# ---- hostile -------------------------------------------------------------------------------------------------------
def keep(name, data):
    with open(os.path.join(bad, name), "wb") as f:
        f.write(data)


def archive(pickled, extra=(), folder="archive", storages=True):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        z.writestr(f"{folder}/data.pkl", pickled)
        z.writestr(f"{folder}/version", "3\n")
        if storages:
            z.writestr(f"{folder}/data/0", np.arange(4, dtype="<f4").tobytes())
        for name, data in extra:
            z.writestr(name, data)
    return out.getvalue()


class Call:
    def __init__(self, function, *arguments):
        self.of = (function, arguments)

    def __reduce__(self):
        return self.of


def text_global(module, name, argument):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n" + b"(X" + struct.pack("<I", len(argument)) + argument.encode() + b"tR."


touch = "touch canary"
for i, (module, name, argument) in enumerate(
    [
        ("os", "system", touch),
        ("posix", "system", touch),
        ("subprocess", "call", touch),
        ("subprocess", "Popen", touch),
        ("builtins", "eval", "open('canary','w')"),
        ("builtins", "exec", "open('canary','w')"),
        ("__builtin__", "execfile", "canary"),
        ("builtins", "open", "canary"),
        ("builtins", "getattr", "x"),
        ("builtins", "__import__", "os"),
        ("importlib", "import_module", "os"),
        ("shutil", "rmtree", "canary"),
        ("pickle", "loads", "x"),
        ("torch", "load", "x"),
        ("torch.hub", "load", "x"),
        ("numpy", "load", "x"),
        ("torch.serialization", "load", "x"),
        ("webbrowser", "open", "canary"),
        ("runpy", "run_path", "canary"),
        ("nnunetv2.training.nnUNetTrainer", "nnUNetTrainer", "x"),
    ]
):
    keep(f"run-{i:02d}-{module}.{name}.pth", archive(b"\x80\x02" + text_global(module, name, argument)))
keep("run-stack-global.pth", archive(b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0ctouch canary\x85R."))
keep("run-inst.pth", archive(b"(S'touch canary'\nios\nsystem\n."))
keep("run-obj.pth", archive(b"(cos\nsystem\nS'touch canary'\no."))
keep("run-newobj-ex.pth", archive(b"\x80\x04cos\nsystem\n)}\x92."))
keep("run-build-setstate.pth", archive(b"\x80\x02ccollections\nOrderedDict\n)R}X\x0c\x00\x00\x00__setstate__cos\nsystem\nsb."))
keep("run-extension-registry.pth", archive(b"\x80\x02\x82\x01."))
keep("run-bare-legacy.pth", b"\x80\x02" + text_global("os", "system", touch))
keep("run-attribute-of-known.pth", archive(b"\x80\x02ccollections\nOrderedDict.__class__\n)R."))
keep("run-proto-name.pth", archive(b"\x80\x02c__proto__\nconstructor\n)R."))
plain = open(at("plain.pth"), "rb").read()
legacy = open(at("legacy.pth"), "rb").read()
keep("cut-zip.pth", plain[: len(plain) // 2])
keep("cut-legacy.pth", legacy[: len(legacy) - 40])
keep("cut-pickle.pth", archive(b"\x80\x02}q\x00X\xff\xff\xff\x7fabc"))
keep("slip.pth", archive(b"\x80\x02}.", [("../../canary", b"x")]))
keep("slip-absolute.pth", archive(b"\x80\x02}.", [("/tmp/canary", b"x")]))
bomb = io.BytesIO()
with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr("archive/data.pkl", b"\x80\x02" + b"N" * (64 << 20) + b".")
keep("bomb-deflate.pth", bomb.getvalue())
storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu%stQ"
rebuild = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"%s%s%s\x89}tR."
four = b"K\x04"
keep("tensor-outside-storage.pth", archive(rebuild % (four, b"K\x00", b"(K\x08t", b"(K\x01t")))
keep("tensor-offset-outside.pth", archive(rebuild % (four, b"K\x09", b"(K\x02t", b"(K\x01t")))
keep("tensor-negative-stride.pth", archive(rebuild % (four, b"K\x00", b"(K\x02t", b"(J\xff\xff\xff\xfft")))
keep("tensor-huge-by-stride-0.pth", archive(rebuild % (four, b"K\x00", b"(J\xff\xff\xff\x7ft", b"(K\x00t")))
keep("tensor-size-2-53.pth", archive(rebuild % (b"\x8a\x08\x00\x00\x00\x00\x00\x00\x20\x00", b"K\x00", b"(\x8a\x08\x00\x00\x00\x00\x00\x00\x20\x00t", b"(K\x01t")))
keep("storage-missing.pth", archive(rebuild % (four, b"K\x00", b"(K\x04t", b"(K\x01t"), storages=False))
keep("memo-missing.pth", archive(b"\x80\x02h\x05."))
keep("stack-empty.pth", archive(b"\x80\x02R."))
keep("nested-deep.pth", archive(b"\x80\x02" + b"]" * 100000 + b"a" * 99999 + b"."))
keep("not-a-checkpoint.pth", b"hello, this is no checkpoint at all")
keep("empty.pth", b"")
keep("no-tensors.pth", archive(b"\x80\x02}X\x05\x00\x00\x00epochK\x03s."))
print(len(os.listdir(good)), "good,", len(os.listdir(bad)), "hostile")
