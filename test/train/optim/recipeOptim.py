"""Parameter groups, warm-up, accumulation and averages, by torch. Run with torch 2.13.0:

    python test/train/optim/recipeOptim.py

Writes recipeOptim.json beside it: values of every parameter and its average after every step, in float64, and learning rates.
"""

import json
import os
import warnings

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, SequentialLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

warnings.simplefilter("ignore")
here = os.path.dirname(os.path.abspath(__file__))
shapes = {"encoder.weight": (2, 2), "encoder.bias": (2,), "decoder.weight": (3, 2), "decoder.bias": (3,), "head.weight": (1, 3)}
steps, batches, clip = 7, 3, 0.9


class Values(torch.nn.Module):
    def __init__(self, start):
        super().__init__()
        self.values = torch.nn.ParameterList([torch.nn.Parameter(start[name].clone()) for name in shapes])


def groups(params, lr, decay):
    """Layer-wise rates, a decay of the head's own, none on biases."""
    factor = lambda name: 0.25 if name.startswith("encoder.") else 0.5 if name.startswith("decoder.") else 1
    own = lambda name: 0 if name.endswith(".bias") else 0.5 if name.startswith("head.") else decay
    return [{"params": [p], "lr": lr * factor(name), "weight_decay": own(name)} for name, p in params.items()]


def run(kind):
    torch.manual_seed(5)
    start = {name: torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()}
    gradients = [[{name: torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()} for _ in range(batches)] for _ in range(steps)]
    model = Values(start)
    params = dict(zip(shapes, model.values))
    if kind == "sgd":
        optimiser = torch.optim.SGD(groups(params, 0.1, 0.05), momentum=0.9, nesterov=True)
    else:
        optimiser = torch.optim.AdamW(groups(params, 0.1, 0.05), betas=(0.9, 0.99), eps=1e-5)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.8))
    after, averages, norms = [], [], []
    for t in range(steps):
        optimiser.zero_grad()
        for k in range(batches):
            # The mean of the batches' losses, of which each has one gradient; the head is frozen for the first two steps.
            loss = sum((params[name] * g).sum() for name, g in gradients[t][k].items() if not (name.startswith("head.") and t < 2))
            (loss / batches).backward()
        if t < 2:
            params["head.weight"].grad = None
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), clip).item())
        optimiser.step()
        averaged.update_parameters(model)
        after.append({name: p.detach().flatten().tolist() for name, p in params.items()})
        averages.append({name: p.detach().flatten().tolist() for name, p in zip(shapes, averaged.module.values)})
    listed = lambda record: {name: value.flatten().tolist() for name, value in record.items()}
    return {"start": listed(start), "gradients": [[listed(g) for g in step] for step in gradients],
            "after": after, "averages": averages, "norms": norms}


def rates(make, epochs):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = make(optimiser)
    found = []
    for _ in range(epochs):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return found


def nnunetWarmup(epochs, rising):
    from nnunetv2.training.lr_scheduler.warmup import Lin_incr_LRScheduler, PolyLRScheduler_offset

    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    found = []
    for epoch in range(epochs):
        if epoch == 0:
            scheduler = Lin_incr_LRScheduler(optimiser, 0.1, rising)
        if epoch == rising:
            scheduler = PolyLRScheduler_offset(optimiser, 0.1, epochs, rising)
        scheduler.step(epoch)
        found.append(optimiser.param_groups[0]["lr"])
    return found


poly = lambda epochs: lambda o: LambdaLR(o, lambda e: (1 - e / epochs) ** 0.9)
out = {
    "torch": torch.__version__.split("+")[0],
    "shapes": {name: list(shape) for name, shape in shapes.items()},
    "clip": clip,
    "sgd": run("sgd"),
    "adamw": run("adamw"),
    "rates": {
        "nnunet": nnunetWarmup(12, 4),
        "linear, poly": rates(
            lambda o: SequentialLR(o, [LinearLR(o, start_factor=0.2, total_iters=4), poly(8)(o)], milestones=[4]), 12),
        "linear, cosine": rates(
            lambda o: SequentialLR(o, [LinearLR(o, start_factor=0.2, total_iters=4), CosineAnnealingLR(o, T_max=8, eta_min=0.001)],
                                   milestones=[4]), 12),
    },
}
with open(os.path.join(here, "recipeOptim.json"), "w") as file:
    json.dump(out, file)
    file.write("\n")
print(out["rates"])
