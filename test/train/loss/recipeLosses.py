"""Every loss a recipe can name, by torch, nnU-Net and MONAI. Run with torch 2.13.0, nnunetv2 2.8.1, monai 1.6.1:

    python test/train/loss/recipeLosses.py

Writes recipeLosses.json beside it: for each recipe's loss the value and its gradient for every logit, in float64. Logits and targets are
channels first, as torch has them.
"""

import json
import os

import monai
import torch
from monai.losses import DiceCELoss, DiceFocalLoss, DiceLoss, FocalLoss, TverskyLoss
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss, DC_and_topk_loss
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.training.loss.robust_ce_loss import RobustCrossEntropyLoss, TopKLoss
from nnunetv2.utilities.helpers import softmax_helper_dim1

here = os.path.dirname(os.path.abspath(__file__))
torch.manual_seed(11)
batch, heads, space = 2, 3, (4, 3, 2)
logits = torch.randn(batch, heads, *space, dtype=torch.float64)
labels = torch.randint(0, heads, (batch, 1, *space))
ignore = 3
withIgnore = torch.where(torch.rand(labels.shape) < 0.25, torch.full_like(labels, ignore), labels)
regions = (torch.rand(batch, heads, *space) < 0.4).double()
weights = [0.4, 1.0, 2.5]
w = torch.tensor(weights, dtype=torch.float64)

soft = {"batch_dice": False, "smooth": 1e-5, "do_bg": False, "ddp": False}
part = {"dice": "nnunetv2", "batchDice": False, "smooth": 1e-5}
onehot = {"to_onehot_y": True, "softmax": True}
counting = {"includeBackground": True, "reduction": "mean"}
overlap = {**counting, "batch": False, "smoothNumerator": 1e-5, "smoothDenominator": 1e-5}
monaiDice = {**overlap, "squaredPrediction": False, "jaccard": False}


class Sum(torch.nn.Module):
    """Dice and focal loss of one activation."""

    def __init__(self, dice, focal):
        super().__init__()
        self.dice, self.focal = dice, focal

    def forward(self, x, y):
        return 1.5 * self.dice(x, y) + 0.5 * self.focal(x, y)


cases = [
    ("ce", {"kind": "ce"}, RobustCrossEntropyLoss(), "labels"),
    ("ce, an ignore label", {"kind": "ce"}, RobustCrossEntropyLoss(ignore_index=ignore), "ignore"),
    ("ce, weighted and smoothed", {"kind": "ce", "classWeights": weights, "labelSmoothing": 0.1},
     RobustCrossEntropyLoss(weight=w, label_smoothing=0.1), "labels"),
    ("dice", {"kind": "dice", **part}, MemoryEfficientSoftDiceLoss(apply_nonlin=softmax_helper_dim1, **soft), "labels"),
    ("dice over regions", {"kind": "dice", **part},
     MemoryEfficientSoftDiceLoss(apply_nonlin=torch.sigmoid, **{**soft, "do_bg": True}), "regions"),
    ("dice+ce, weighted and smoothed",
     {"kind": "dice+ce", **part, "diceWeight": 0.7, "ceWeight": 1.3, "classWeights": weights, "labelSmoothing": 0.2},
     DC_and_CE_loss(dict(soft), {"weight": w, "label_smoothing": 0.2}, weight_ce=1.3, weight_dice=0.7,
                    dice_class=MemoryEfficientSoftDiceLoss), "labels"),
    ("dice+ce, weighted and smoothed, an ignore label",
     {"kind": "dice+ce", **part, "classWeights": weights, "labelSmoothing": 0.2},
     DC_and_CE_loss(dict(soft), {"weight": w, "label_smoothing": 0.2}, ignore_label=ignore,
                    dice_class=MemoryEfficientSoftDiceLoss), "ignore"),
    ("dice+bce, terms weighed", {"kind": "dice+bce", **part, "diceWeight": 0.5, "ceWeight": 2},
     DC_and_BCE_loss({}, {**soft, "do_bg": True}, weight_ce=2, weight_dice=0.5), "regions"),
    ("topk", {"kind": "topk", "percent": 10}, TopKLoss(k=10), "labels"),
    ("topk, smoothed", {"kind": "topk", "percent": 35, "labelSmoothing": 0.1}, TopKLoss(k=35, label_smoothing=0.1), "labels"),
    ("topk, weighted", {"kind": "topk", "percent": 35, "classWeights": weights}, TopKLoss(k=35, weight=w), "labels"),
    ("topk, an ignore label", {"kind": "topk", "percent": 90}, TopKLoss(k=90, ignore_index=ignore), "ignore"),
    ("dice+topk", {"kind": "dice+topk", **part, "percent": 10, "ceWeight": 0.8},
     DC_and_topk_loss(dict(soft), {"k": 10, "label_smoothing": 0.0}, weight_ce=0.8), "labels"),
    ("dice+topk, an ignore label", {"kind": "dice+topk", **part, "percent": 20},
     DC_and_topk_loss(dict(soft), {"k": 20}, ignore_label=ignore), "ignore"),
    ("focal over classes", {"kind": "focal", "gamma": 2, **counting}, FocalLoss(to_onehot_y=True, use_softmax=True), "labels"),
    ("focal over classes, all settings",
     {"kind": "focal", "gamma": 1.5, "alpha": 0.7, **counting, "classWeights": weights},
     FocalLoss(to_onehot_y=True, use_softmax=True, gamma=1.5, alpha=0.7, weight=weights), "labels"),
    ("focal over classes, summed", {"kind": "focal", "gamma": 2, **counting, "reduction": "sum"},
     FocalLoss(to_onehot_y=True, use_softmax=True, reduction="sum"), "labels"),
    ("focal over classes without background", {"kind": "focal", "gamma": 2, **counting, "includeBackground": False},
     FocalLoss(to_onehot_y=True, use_softmax=True, include_background=False), "labels"),
    ("focal over classes by sigmoid", {"kind": "focal", "gamma": 2, "alpha": 0.25, **counting, "activation": "sigmoid"},
     FocalLoss(to_onehot_y=True, alpha=0.25), "labels"),
    ("focal over regions", {"kind": "focal", "gamma": 2, "alpha": 0.25, **counting, "classWeights": weights},
     FocalLoss(alpha=0.25, weight=weights), "regions"),
    ("focal, an ignore label", {"kind": "focal", "gamma": 2, **counting},
     FocalLoss(to_onehot_y=True, use_softmax=True, ignore_index=ignore), "ignore"),
    ("focal, an ignore label, summed", {"kind": "focal", "gamma": 2, **counting, "reduction": "sum"},
     FocalLoss(to_onehot_y=True, use_softmax=True, ignore_index=ignore, reduction="sum"), "ignore"),
    ("tversky", {"kind": "tversky", "alpha": 0.3, "beta": 0.7, **overlap}, TverskyLoss(**onehot, alpha=0.3, beta=0.7), "labels"),
    ("tversky over regions, batch, summed",
     {"kind": "tversky", "alpha": 0.3, "beta": 0.7, **overlap, "batch": True, "reduction": "sum"},
     TverskyLoss(sigmoid=True, alpha=0.3, beta=0.7, batch=True, reduction="sum"), "regions"),
    ("tversky without background, an ignore label",
     {"kind": "tversky", "alpha": 0.3, "beta": 0.7, **overlap, "includeBackground": False},
     TverskyLoss(**onehot, alpha=0.3, beta=0.7, include_background=False, ignore_index=ignore), "ignore"),
    ("monai-dice, all settings",
     {"kind": "monai-dice", **monaiDice, "squaredPrediction": True, "jaccard": True, "includeBackground": False,
      "classWeights": weights, "reduction": "sum"},
     DiceLoss(**onehot, squared_pred=True, jaccard=True, include_background=False, weight=weights[1:], reduction="sum"), "labels"),
    ("monai-dice, an ignore label", {"kind": "monai-dice", **monaiDice}, DiceLoss(**onehot, ignore_index=ignore), "ignore"),
    ("monai-dice+ce, weighted and smoothed",
     {"kind": "monai-dice+ce", **monaiDice, "classWeights": weights, "labelSmoothing": 0.1, "diceWeight": 0.5, "ceWeight": 2},
     DiceCELoss(**onehot, weight=w, label_smoothing=0.1, lambda_dice=0.5, lambda_ce=2), "labels"),
    ("monai-dice+ce, summed, without background",
     {"kind": "monai-dice+ce", **monaiDice, "includeBackground": False, "classWeights": weights, "reduction": "sum"},
     DiceCELoss(**onehot, include_background=False, weight=w, reduction="sum"), "labels"),
    ("monai-dice+focal over regions",
     {"kind": "monai-dice+focal", **monaiDice, "gamma": 2, "alpha": 0.6, "diceWeight": 0.5, "focalWeight": 2},
     DiceFocalLoss(sigmoid=True, alpha=0.6, lambda_dice=0.5, lambda_focal=2), "regions"),
    ("monai-dice+focal over classes",
     {"kind": "monai-dice+focal", **monaiDice, "gamma": 2, "diceWeight": 1.5, "focalWeight": 0.5},
     Sum(DiceLoss(**onehot), FocalLoss(to_onehot_y=True, use_softmax=True)), "labels"),
]

targets = {"labels": labels, "ignore": withIgnore, "regions": regions}
rounded = lambda x: [float(f"{v:.9g}") for v in x.flatten().tolist()]
out = {
    "versions": {"torch": torch.__version__.split("+")[0], "monai": monai.__version__, "nnunetv2": "2.8.1"},
    "shape": list(logits.shape),
    "logits": rounded(logits),
    "targets": {name: [int(v) for v in t.flatten().tolist()] for name, t in targets.items()},
    "ignoreLabel": ignore,
    "cases": [],
}
logits = torch.tensor(out["logits"], dtype=torch.float64).view(logits.shape)
for name, loss, module, target in cases:
    x = logits.clone().requires_grad_()
    value = module.double()(x, targets[target])
    value.backward()
    # MONAI makes its factor of alpha in float32, which float64 numbers then carry.
    out["cases"].append({"name": name, "loss": loss, "target": target, "value": float(f"{value.item():.9g}"), "gradient": rounded(x.grad)})
with open(os.path.join(here, "recipeLosses.json"), "w") as file:
    json.dump(out, file)
    file.write("\n")
print(len(cases), "cases")
