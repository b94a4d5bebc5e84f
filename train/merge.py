"""One LoRA out of two: linear, TIES and SLERP. Knows files and factors; knows no night and no network.

What is merged is what two LoRAs do, s·B·A of each product, and never their factors: two trainings may write the same product in
other factors, and between those nothing means anything. A weighted sum of two products of rank r is a product of rank 2r, so
linear and SLERP need no dense matrix; TIES does, a layer at a time. What comes out is cut to the rank that is asked for (the
best approximation of that rank, Eckart & Young 1936; for TIES of large matrices nearly that, Halko et al. 2011), with alpha equal
to the rank, so that its scale is 1.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file, save_file

from model.shelf import CONFIG, WEIGHTS

Method = Literal["linear", "ties", "slerp"]

# Of each change TIES keeps the largest fifth (Yadav et al. 2023, arXiv 2306.01708, section 4).
DENSITY = 0.2
# Below this sine two changes point the same way or opposite ways, and the arc between them is a straight line or none at all.
_PARALLEL = 1e-4
# A matrix is cut by as many random directions as the rank and so many more, where that is under a quarter of its own rank.
_MORE_DIRECTIONS, _TIMES = 8, 6
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"


class Unmergeable(Exception):
    """Two LoRAs that can't become one: other layers, other shapes, or values that are no numbers."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What a LoRA adds to the weights of one product, as two factors: `up` [out, rank] times `down` [rank, in], the scale in `up`."""

    up: torch.Tensor
    down: torch.Tensor

    def dense(self) -> torch.Tensor:
        """[out, in]"""
        return self.up @ self.down

    def dot(self, other: "Delta") -> float:
        """The sum over all elements of the product with another of the same shape, without making either dense."""
        return float(((self.up.t() @ other.up) * (self.down @ other.down.t())).sum())

    def plus(self, other: "Delta", mine: float, others: float) -> "Delta":
        """`mine` of this and `others` of the other: exact, the rank being the sum of both."""
        return Delta(torch.cat([mine * self.up, others * other.up], dim=1), torch.cat([self.down, other.down]))


def linear(one: Delta, other: Delta, share: float) -> Delta:
    """1 - share of one and share of the other."""
    return one.plus(other, 1 - share, share)


def slerp(one: Delta, other: Delta, share: float) -> Delta:
    """The point at `share` of the arc from one to the other (Shoemake 1985): the direction turns evenly, the length changes evenly.

    Where the two are nearly parallel, opposite, or one of them is nothing, the straight line.
    """
    lengths = math.sqrt(max(one.dot(one), 0.0)), math.sqrt(max(other.dot(other), 0.0))
    if min(lengths) == 0.0:
        return linear(one, other, share)
    cosine = max(-1.0, min(1.0, one.dot(other) / (lengths[0] * lengths[1])))
    angle = math.acos(cosine)
    if math.sin(angle) < _PARALLEL:
        return linear(one, other, share)
    length = (1 - share) * lengths[0] + share * lengths[1]
    turns = math.sin((1 - share) * angle) / math.sin(angle), math.sin(share * angle) / math.sin(angle)
    return one.plus(other, length * turns[0] / lengths[0], length * turns[1] / lengths[1])


def ties(one: Delta, other: Delta, share: float, density: float = DENSITY) -> torch.Tensor:
    """[out, in]: of each change its largest elements; of those that disagree in sign the heavier side; the mean of what is left.

    Yadav et al. 2023 (arXiv 2306.01708), with weights: 1 - share for one, share for the other.
    """
    weights = torch.tensor([1 - share, share], dtype=one.up.dtype)[:, None, None]
    trimmed = torch.stack([_largest(each.dense(), density) for each in (one, other)])
    signs = torch.sign((weights * trimmed).sum(dim=0))
    agreeing = (torch.sign(trimmed) == signs) & (trimmed != 0)
    total = (weights * agreeing).sum(dim=0)
    return (weights * trimmed * agreeing).sum(dim=0) / total.clamp(min=torch.finfo(total.dtype).tiny)


def _largest(matrix: torch.Tensor, density: float) -> torch.Tensor:
    """The largest elements by magnitude, the others 0."""
    kept = max(1, round(density * matrix.numel()))
    smallest = matrix.abs().flatten().kthvalue(matrix.numel() - kept + 1).values
    return matrix.where(matrix.abs() >= smallest, 0.0)


def cut(delta: Delta, rank: int) -> Delta:
    """The nearest of at most this rank, its singular values shared by both factors."""
    if delta.up.shape[1] <= rank:
        return delta
    left, upper = torch.linalg.qr(delta.up)
    right, lower = torch.linalg.qr(delta.down.t())
    inner = _cut(upper @ lower.t(), rank)
    return Delta(left @ inner.up, inner.down @ right.t())


def _cut(matrix: torch.Tensor, rank: int) -> Delta:
    directions = rank + _MORE_DIRECTIONS
    if 4 * directions < min(matrix.shape):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            left, values, right = torch.svd_lowrank(matrix, q=directions, niter=_TIMES)
        right = right.t()
    else:
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    root = values[:rank].sqrt()
    return Delta(left[:, :rank] * root, root[:, None] * right[:rank])


def merged(
    one: Mapping[str, Delta],
    other: Mapping[str, Delta],
    method: Method,
    share: float,
    rank: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Delta]:
    """By product; `progress` gets how many of how many are merged. Raises Unmergeable."""
    if one.keys() != other.keys():
        raise Unmergeable(f"they change other products: only one of them has {sorted(one.keys() ^ other.keys())[0]}")
    made = {}
    for name in sorted(one):
        mine, others = one[name], other[name]
        if (len(mine.up), mine.down.shape[1]) != (len(others.up), others.down.shape[1]):
            raise Unmergeable(f"{name} has another shape in each")
        if not all(factor.isfinite().all() for factor in (mine.up, mine.down, others.up, others.down)):
            raise Unmergeable(f"{name} has values that are no numbers")
        if method == "ties":
            found = _cut(ties(mine, others, share), rank)
        else:
            found = cut((linear if method == "linear" else slerp)(mine, others, share), rank)
        made[name] = found
        progress(len(made), len(one))
    return made


def read(folder: Path) -> dict[str, Delta]:
    """The changes of a LoRA as peft wrote it, in float64."""
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    scale = config["lora_alpha"] / (math.sqrt(config["r"]) if config.get("use_rslora") else config["r"])
    tensors = load_file(folder / WEIGHTS)
    found = {}
    for name in sorted(name.removesuffix(_DOWN) for name in tensors if name.endswith(_DOWN)):
        up, down = tensors[name + _UP].double(), tensors[name + _DOWN].double()
        found[name] = Delta(scale * up, down)
    return found


def write(deltas: Mapping[str, Delta], like: Path, folder: Path) -> None:
    """As peft would, with the configuration of another LoRA but for rank and scale."""
    rank = max(delta.up.shape[1] for delta in deltas.values())
    tensors = {}
    for name, delta in deltas.items():
        tensors[name + _DOWN] = _padded(delta.down, 0, rank)
        tensors[name + _UP] = _padded(delta.up, 1, rank)
    config = json.loads((like / CONFIG).read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps({**config, "r": rank, "lora_alpha": rank, "use_rslora": False}, indent=2), encoding="utf-8")


def _padded(factor: torch.Tensor, dim: int, rank: int) -> torch.Tensor:
    """With zeros up to the rank, in float32."""
    missing = list(factor.shape)
    missing[dim] = rank - factor.shape[dim]
    return torch.cat([factor, factor.new_zeros(missing)], dim=dim).float().contiguous()
