"""The peers of compare.ts: the official architectures as plain PyTorch modules, one measurement a process, one line of JSON.

Arguments: the case as JSON, the repetitions, the side (default, channels_last, compile, openvino, onnxruntime), the threads; or
`roofline`, the threads and edges of square matrices: prints the multiply-adds per second of the fastest product.
"""

import io
import json
import math
import re
import sys
import time
from importlib import import_module

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint


def outputs(heads, levels):
    """Logits at every supervised resolution, finest first; those of a network without deep supervision alone."""
    found = [head(level) for head, level in zip(heads, levels)]
    return found if len(found) > 1 else found[0]


# MedNeXt (Roy et al. 2023): depthwise k, norm per channel, expand, GELU, compress, sum.
class Block(nn.Module):
    def __init__(self, c, out, ratio, k, kind="plain"):
        super().__init__()
        self.kind = kind
        layer = nn.ConvTranspose3d if kind == "up" else nn.Conv3d
        stride = 1 if kind == "plain" else 2
        self.conv1 = layer(c, c, k, stride, k // 2, groups=c)
        self.norm = nn.GroupNorm(c, c)
        self.conv2 = nn.Conv3d(c, ratio * c, 1)
        self.conv3 = nn.Conv3d(ratio * c, out, 1)
        self.shortcut = None if kind == "plain" else layer(c, out, 1, stride)

    def forward(self, x):
        y = self.conv3(F.gelu(self.conv2(self.norm(self.conv1(x)))))
        y = y + (x if self.shortcut is None else self.shortcut(x))
        return F.pad(y, (1, 0, 1, 0, 1, 0)) if self.kind == "up" else y


class MedNeXt(nn.Module):
    ratios = {"S": [2] * 9, "B": [2, 3, 4, 4, 4, 4, 4, 3, 2]}

    def __init__(self, size, k, channels, classes, width=32, blocks=2, deep=False):
        super().__init__()
        r = self.ratios[size]
        w = [width * 2**i for i in range(5)]
        pair = lambda c, ratio: nn.Sequential(*[Block(c, c, ratio, k) for _ in range(blocks)])
        # Takes no part; the official code has it.
        self.dummy_tensor = nn.Parameter(torch.ones(1))
        self.stem = nn.Conv3d(channels, width, 1)
        self.encoder = nn.ModuleList([pair(w[i], r[i]) for i in range(4)])
        self.down = nn.ModuleList([Block(w[i], w[i + 1], r[i + 1], k, "down") for i in range(4)])
        self.bottleneck = pair(w[4], r[4])
        self.up = nn.ModuleList([Block(w[i + 1], w[i], r[8 - i], k, "up") for i in range(4)])
        self.decoder = nn.ModuleList([pair(w[i], r[8 - i]) for i in range(4)])
        self.heads = nn.ModuleList([nn.ConvTranspose3d(w[i], classes, 1) for i in range(5 if deep else 1)])

    def forward(self, x):
        x = self.stem(x)
        skips = []
        for blocks, down in zip(self.encoder, self.down):
            x = blocks(x)
            skips.append(x)
            x = down(x)
        x = self.bottleneck(x)
        levels = [x]
        for i in (3, 2, 1, 0):
            x = self.decoder[i](skips[i] + self.up[i](x))
            levels.insert(0, x)
        return outputs(self.heads, levels)


# STU-Net-S (Huang et al. 2023).
class Residual(nn.Module):
    def __init__(self, c, out, stride=1, shortcut=False):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv3d(c, out, 3, stride, 1), nn.InstanceNorm3d(out, affine=True)
        self.conv2, self.norm2 = nn.Conv3d(out, out, 3, 1, 1), nn.InstanceNorm3d(out, affine=True)
        self.act = nn.LeakyReLU(inplace=True)
        self.shortcut = nn.Conv3d(c, out, 1, stride) if shortcut else nn.Identity()

    def forward(self, x):
        y = self.norm2(self.conv2(self.act(self.norm1(self.conv1(x)))))
        return self.act(y + self.shortcut(x))


class StuNet(nn.Module):
    def __init__(self, channels, classes, w=(16, 32, 64, 128, 256, 256)):
        super().__init__()
        self.encoder = nn.ModuleList([Residual(channels, w[0], 1, True)] + [Residual(w[i - 1], w[i], 2, True) for i in range(1, 6)])
        self.project = nn.ModuleList([nn.Conv3d(w[i + 1], w[i], 1) for i in range(5)])
        self.decoder = nn.ModuleList([Residual(2 * w[i], w[i], 1, True) for i in range(5)])
        self.head = nn.Conv3d(w[0], classes, 1)

    def forward(self, x):
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        for i in (4, 3, 2, 1, 0):
            x = self.project[i](F.interpolate(x, scale_factor=2, mode="nearest"))
            x = self.decoder[i](torch.cat((x, skips[i]), 1))
        return self.head(x)


# nnU-Net's PlainConvUNet.
def conv_norm(c, out, stride=1):
    return nn.Sequential(nn.Conv3d(c, out, 3, stride, 1), nn.InstanceNorm3d(out, affine=True), nn.LeakyReLU(inplace=True))


class Plain(nn.Module):
    def __init__(self, channels, classes, w=(32, 64, 128, 256, 320), deep=False):
        super().__init__()
        stage = lambda c, out, stride: nn.Sequential(conv_norm(c, out, stride), conv_norm(out, out))
        self.encoder = nn.ModuleList([stage(channels if i == 0 else w[i - 1], w[i], 1 if i == 0 else 2) for i in range(5)])
        self.up = nn.ModuleList([nn.ConvTranspose3d(w[i + 1], w[i], 2, 2) for i in range(4)])
        self.decoder = nn.ModuleList([stage(2 * w[i], w[i], 1) for i in range(4)])
        self.heads = nn.ModuleList([nn.Conv3d(w[i], classes, 1) for i in range(4 if deep else 1)])

    def forward(self, x):
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        levels = []
        for i in (3, 2, 1, 0):
            x = self.decoder[i](torch.cat((self.up[i](x), skips[i]), 1))
            levels.insert(0, x)
        return outputs(self.heads, levels)


# Swin-UMamba (Liu et al. 2024): VMamba's encoder with the sequential reference scan, residual CNN decoder.
def reference_scan(u, delta, A, B, C, D, bias):
    """u, delta [b, k, d, l]; A [k, d, n]; B, C [b, k, n, l]; D, bias [k, d]: one position after another.

    Positions are unbound once: the published code indexes them, and the gradient of indexing fills a whole tensor for each.
    """
    delta = F.softplus(delta + bias[None, :, :, None])
    decay = torch.exp(torch.einsum("bkdl,kdn->lbkdn", delta, A))
    drive = torch.einsum("bkdl,bknl,bkdl->lbkdn", delta, B, u)
    h = torch.zeros_like(drive[0])
    ys = []
    for a, b, c in zip(decay.unbind(0), drive.unbind(0), C.unbind(-1)):
        h = a * h + b
        ys.append(torch.einsum("bkdn,bkn->bkd", h, c))
    return torch.stack(ys, -1) + u * D[None, :, :, None]


class Ss2d(nn.Module):
    def __init__(self, dim, n=16):
        super().__init__()
        inner, self.rank, self.n = 2 * dim, math.ceil(dim / 16), n
        self.in_proj, self.out_proj = nn.Linear(dim, 2 * inner, bias=False), nn.Linear(inner, dim, bias=False)
        self.conv = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.x_proj = nn.Parameter(torch.randn(4, self.rank + 2 * n, inner) / math.sqrt(inner))
        self.dt_proj = nn.Parameter((torch.rand(4, inner, self.rank) * 2 - 1) * self.rank**-0.5)
        self.dt_bias = nn.Parameter(torch.full((4, inner), -4.6))
        self.A_log = nn.Parameter(torch.log(torch.arange(1, n + 1).float()).repeat(4, inner, 1))
        self.D = nn.Parameter(torch.ones(4, inner))
        self.norm = nn.LayerNorm(inner)

    def forward(self, x):
        b, h, w, _ = x.shape
        x, z = self.in_proj(x).chunk(2, -1)
        x = F.silu(self.conv(x.permute(0, 3, 1, 2)))
        rows, columns = x.flatten(2), x.transpose(2, 3).flatten(2)
        xs = torch.stack((rows, columns), 1)
        xs = torch.cat((xs, xs.flip(-1)), 1)
        p = torch.einsum("bkdl,kcd->bkcl", xs, self.x_proj)
        dt, B, C = p.split((self.rank, self.n, self.n), 2)
        dt = torch.einsum("bkrl,kdr->bkdl", dt, self.dt_proj)
        y = reference_scan(xs, dt, -torch.exp(self.A_log), B, C, self.D, self.dt_bias)
        back = y[:, 2:].flip(-1)
        turned = lambda v: v.reshape(b, -1, w, h).transpose(2, 3).flatten(2)
        y = y[:, 0] + back[:, 0] + turned(y[:, 1]) + turned(back[:, 1])
        y = self.norm(y.transpose(1, 2).reshape(b, h, w, -1))
        return self.out_proj(y * F.silu(z))


class Vss(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm, self.mixer = nn.LayerNorm(dim, eps=1e-6), Ss2d(dim)

    def forward(self, x):
        # Without checkpointing the reference scan keeps every state of every position: 17 GB at 512 x 512.
        branch = lambda x: self.mixer(self.norm(x))
        return x + (checkpoint(branch, x, use_reentrant=False) if x.shape[1] >= 64 and self.training else branch(x))


class Merge(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm, self.reduce = nn.LayerNorm(4 * dim), nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x):
        parts = [x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        return self.reduce(self.norm(torch.cat(parts, -1)))


class UnetRes(nn.Module):
    def __init__(self, c, out):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(c, out, 3, padding=1, bias=False), nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(c, out, 1, bias=False) if c != out else None
        self.norm = nn.InstanceNorm2d(out)

    def forward(self, x):
        y = self.norm(self.conv2(F.leaky_relu(self.norm(self.conv1(x)), 0.01)))
        return F.leaky_relu(y + (x if self.shortcut is None else self.norm(self.shortcut(x))), 0.01)


class Up(nn.Module):
    def __init__(self, c, skip, out):
        super().__init__()
        self.up, self.block = nn.ConvTranspose2d(c, out, 2, 2, bias=False), UnetRes(out + skip, out)

    def forward(self, x, skip):
        return self.block(torch.cat((self.up(x), skip), 1))


class SwinUmamba(nn.Module):
    def __init__(self, channels, classes, w=(48, 96, 192, 384, 768), depths=(2, 2, 9, 2)):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, w[0], 7, 2, 3), nn.InstanceNorm2d(w[0], affine=True))
        self.embed, self.embed_norm = nn.Conv2d(w[0], w[1], 2, 2), nn.LayerNorm(w[1])
        self.stages = nn.ModuleList([nn.Sequential(*[Vss(w[i + 1]) for _ in range(n)]) for i, n in enumerate(depths)])
        self.merges = nn.ModuleList([Merge(w[i + 1]) for i in range(3)])
        ins = (channels,) + w[:4]
        outs = w
        self.skips = nn.ModuleList([UnetRes(a, b) for a, b in zip(ins, outs)])
        self.ups = nn.ModuleList([Up(w[4], w[4], w[4])] + [Up(w[i + 1], w[i], w[i]) for i in (3, 2, 1, 0)])
        self.last, self.head = UnetRes(w[0], w[0]), nn.Conv2d(w[0], classes, 1)

    def forward(self, x):
        features = [x]
        y = self.stem(x)
        features.append(y)
        y = self.embed_norm(self.embed(y).permute(0, 2, 3, 1))
        for i, stage in enumerate(self.stages):
            y = stage(y)
            features.append(y.permute(0, 3, 1, 2))
            if i < 3:
                y = self.merges[i](y)
        y = features.pop()
        for up, skip, feature in zip(self.ups, reversed(self.skips), reversed(features)):
            y = up(y, skip(feature))
        return self.head(self.last(y))


# nnU-Net's ResidualEncoderUNet, preset M.
class BasicBlockD(nn.Module):
    def __init__(self, c, out, stride):
        super().__init__()
        self.conv1, self.conv2 = conv_norm(c, out, stride), conv_norm(out, out)[:2]
        pool = [nn.AvgPool3d(stride, stride)] if stride > 1 else []
        project = [nn.Conv3d(c, out, 1, bias=False), nn.InstanceNorm3d(out, affine=True)] if c != out else []
        self.skip, self.act = nn.Sequential(*pool, *project), nn.LeakyReLU(inplace=True)

    def forward(self, x):
        return self.act(self.conv2(self.conv1(x)) + self.skip(x))


class ResEnc(nn.Module):
    def __init__(self, channels, classes, w=(32, 64, 128, 256, 320, 320), blocks=(1, 3, 4, 6, 6, 6)):
        super().__init__()
        n = len(w)
        self.stem = conv_norm(channels, w[0])
        stage = lambda i: [BasicBlockD(w[max(i - 1, 0)], w[i], 2 if i else 1)] + [BasicBlockD(w[i], w[i], 1) for _ in range(blocks[i] - 1)]
        self.encoder = nn.ModuleList([nn.Sequential(*stage(i)) for i in range(n)])
        self.up = nn.ModuleList([nn.ConvTranspose3d(w[i + 1], w[i], 2, 2) for i in range(n - 1)])
        self.decoder = nn.ModuleList([conv_norm(2 * w[i], w[i]) for i in range(n - 1)])
        self.head = nn.Conv3d(w[0], classes, 1)

    def forward(self, x):
        x = self.stem(x)
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        for i in reversed(range(len(skips) - 1)):
            x = self.decoder[i](torch.cat((self.up[i](x), skips[i]), 1))
        return self.head(x)


# Networks that the package of their authors' framework builds.
MONAI = ("swinunetr", "segresnet", "unetr")


def network(peer, channels, classes):
    kind, *rest = peer.split("-")
    if kind == "mednext":
        return MedNeXt(rest[0], int(rest[1][1:]), channels, classes)
    if kind in MONAI:
        nets = import_module("monai.networks.nets")
        ends = {"in_channels": channels, "out_channels": classes}
        if kind == "swinunetr":
            return nets.SwinUNETR(feature_size=48, **ends)
        return nets.SegResNet(init_filters=32, **ends) if kind == "segresnet" else nets.UNETR(img_size=(64, 64, 64), feature_size=16, **ends)
    return {"stunet": StuNet, "plain": Plain, "resenc": ResEnc, "swin": SwinUmamba}[kind](channels, classes)


def loss_of(logits, labels, classes):
    """nnU-Net's cross entropy + soft Dice without background."""
    p = logits.softmax(1)[:, 1:]
    y = F.one_hot(labels, classes).movedim(-1, 1)[:, 1:].float()
    axes = tuple(range(2, p.ndim))
    dice = (2 * (p * y).sum(axes) + 1e-5) / ((p.sum(axes) + y.sum(axes) + 1e-5).clamp_min(1e-8))
    return F.cross_entropy(logits, labels) - dice.mean()


def memory(key):
    return int(re.search(key + r":\s+(\d+)", open("/proc/self/status").read())[1]) * 1024


def roofline(threads, sizes):
    torch.set_num_threads(threads)
    best = 0
    for n in sizes:
        a, b = torch.ones(n, n), torch.ones(n, n)
        for _ in range(6):
            start = time.perf_counter()
            a @ b
            best = max(best, n**3 / (time.perf_counter() - start))
    print(best)


def engine(side, model, x, threads):
    """A function without arguments that predicts x in float32, and the engine's version."""
    if side == "openvino":
        import openvino as ov

        # Without the hint it computes in bf16 where the processor can.
        settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        compiled = ov.compile_model(ov.convert_model(model, example_input=x, input=[list(x.shape)]), "CPU", settings)
        values = x.numpy()
        return lambda: compiled(values), ov.get_version().split("-")[0]
    import onnxruntime as ort

    file = io.BytesIO()
    torch.onnx.export(model, (x,), file, dynamo=False)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    del file
    feed = {session.get_inputs()[0].name: x.numpy()}
    return lambda: session.run(None, feed), ort.__version__


def main():
    if sys.argv[1] == "roofline":
        return roofline(int(sys.argv[2]), [int(n) for n in sys.argv[3:]])
    case, repetitions, side, threads = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    torch.ones(8).sum()
    if case["peer"] in MONAI:
        import_module("monai.networks.nets")  # not part of what a step needs
    baseline = memory("VmRSS")
    version = torch.__version__.split("+")[0]
    model = network(case["peer"], case["channels"], case["classes"])
    x = torch.randn(1, case["channels"], *case["patch"])
    labels = torch.randint(case["classes"], (1, *case["patch"]))
    if side == "channels_last":
        form = torch.channels_last_3d if len(case["patch"]) == 3 else torch.channels_last
        model, x = model.to(memory_format=form), x.to(memory_format=form)
    parameters = sum(p.numel() for p in model.parameters())
    if case["mode"] == "predict":
        model.eval()
    run = torch.compile(model) if side == "compile" else model
    losses = []
    if case["mode"] == "train":
        optimiser = torch.optim.AdamW(model.parameters(), 1e-4)

        def once():
            optimiser.zero_grad(set_to_none=True)
            loss = loss_of(run(x), labels, case["classes"])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 12)
            optimiser.step()
            losses.append(loss.item())

    elif side in ("openvino", "onnxruntime"):
        with torch.inference_mode():
            once, version = engine(side, model, x, threads)
        del model, run
        # The peak is that of predicting, not of the conversion.
        open("/proc/self/clear_refs", "w").write("5")
    else:

        def once():
            with torch.inference_mode():
                run(x)

    once()
    seconds, cpu_seconds = [], []
    for _ in range(repetitions):
        start, cpu = time.perf_counter(), time.process_time()
        once()
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu)
    peak = memory("VmHWM") - baseline
    result = {"seconds": seconds, "cpuSeconds": cpu_seconds, "peakBytes": peak, "losses": losses, "parameters": parameters}
    print(json.dumps(result | {"version": version}))


if __name__ == "__main__":
    main()
