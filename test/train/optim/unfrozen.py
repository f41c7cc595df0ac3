"""AdamW with a parameter that is frozen at first: each parameter counts its own steps. Run with torch 2.13.0:

    python test/train/optim/unfrozen.py

Writes unfrozen.json beside it: values of both parameters after every step, in float64 and float32.
"""

import json
import os

import torch

here = os.path.dirname(os.path.abspath(__file__))
settings = dict(lr=0.01, betas=(0.9, 0.999), eps=1e-5, weight_decay=0.05)
frozen_steps, steps = 10, 16


def run(dtype):
    torch.manual_seed(3)
    start = {name: torch.randn(4, dtype=torch.float64) for name in ("encoder", "decoder")}
    gradients = [{name: torch.randn(4, dtype=torch.float64) for name in start} for _ in range(steps)]
    params = {name: torch.nn.Parameter(value.to(dtype).clone()) for name, value in start.items()}
    optimiser = torch.optim.AdamW(params.values(), foreach=False, **settings)
    after = []
    for t in range(steps):
        for name, p in params.items():
            # As requires_grad = False leaves it: no gradient, and so no step, no decay, no moments.
            p.grad = None if name == "encoder" and t < frozen_steps else gradients[t][name].to(dtype)
        optimiser.step()
        after.append({name: p.detach().tolist() for name, p in params.items()})
    counts = {name: int(optimiser.state[p]["step"]) for name, p in params.items()}
    return start, gradients, after, counts


start, gradients, after, counts = run(torch.float64)
listed = lambda record: {name: value.tolist() for name, value in record.items()}
out = {
    "torch": torch.__version__.split("+")[0],
    "settings": {"learningRate": 0.01, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-5, "weightDecay": 0.05},
    "frozenSteps": frozen_steps,
    "start": listed(start),
    "gradients": [listed(g) for g in gradients],
    "after": after,
    "afterFloat32": run(torch.float32)[2],
    "steps": counts,
}
with open(os.path.join(here, "unfrozen.json"), "w") as file:
    json.dump(out, file, indent=1)
    file.write("\n")
print(counts)
