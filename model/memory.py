"""What the model server will take, before it takes it: weights, keys and values, LoRAs, beginnings of prompts. Pure arithmetic.

Exact for what CARE allocates itself; the work of a pass is an upper bound. Knows no device and no file.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from model.errors import DeviceUnusable

GIB = 2**30
# NF4: half a byte a weight and a four-byte scale for 64 of them (bitsandbytes without nested quantization).
_NF4_BYTES = 0.5 + 4 / 64
# The two-term head on a CPU: twice that, with two-byte scales.
_HEAD_BYTES = 2 * (0.5 + 2 / 64)
# LoRAs that stay at hand (bot/watch.py) and one that is being loaded; rank 8 on every linear layer in fp32.
_LORAS, _RANK, _LORA_BYTES = 5, 8, 4


@dataclass(frozen=True, slots=True)
class Weight:
    """One tensor of a model on disk: `linear` ones become NF4, others stay as they are."""

    shape: tuple[int, ...]
    linear: bool
    head: bool = False

    @property
    def count(self) -> int:
        product = 1
        for size in self.shape:
            product *= size
        return product


@dataclass(frozen=True, slots=True)
class Plan:
    """Bytes, by what they are for. `position` is what one token of one slot takes."""

    weights: int
    kv: int
    loras: int
    prefixes: int
    work: int
    position: int
    slots: int
    context: int

    @property
    def total(self) -> int:
        return self.weights + self.kv + self.loras + self.prefixes + self.work

    def __str__(self) -> str:
        parts = (
            ("weights", self.weights),
            (f"keys and values of {self.slots} slots of {self.context} tokens", self.kv),
            ("LoRAs", self.loras),
            ("beginnings of prompts", self.prefixes),
            ("a pass", self.work),
        )
        return f"{_gib(self.total)} (" + ", ".join(f"{name} {_gib(size)}" for name, size in parts) + ")"


def plan(
    weights: Iterable[Weight], *, item: int, position: int, slots: int, context: int, prefixes: int, chunk: int, two_term_head: bool
) -> Plan:
    """`item` is the bytes of one number in the precision of the products, `chunk` the most prompt tokens of a pass.

    `two_term_head`: the head is kept a second time, in two NF4 terms.
    """
    every = list(weights)
    linear = [weight for weight in every if weight.linear]
    plain = sum(weight.count for weight in every if not weight.linear) * item
    heads = [weight for weight in every if weight.head]
    head = int(max(weight.count for weight in heads) * _HEAD_BYTES) if two_term_head and heads else 0
    loras = sum(sum(weight.shape) for weight in linear) * _RANK * _LORA_BYTES * _LORAS
    vocabulary = max((weight.shape[0] for weight in heads), default=0)
    widest = max((max(weight.shape) for weight in linear), default=0)
    # Logits in the precision of the products and in fp32; of a chunk some eight tensors as wide as the widest layer.
    work = slots * vocabulary * (item + 4) + chunk * widest * 8 * item
    return Plan(
        weights=int(sum(weight.count for weight in linear) * _NF4_BYTES) + plain + head,
        kv=slots * context * position,
        loras=loras,
        prefixes=prefixes,
        work=work,
        position=position,
        slots=slots,
        context=context,
    )


def require(wanted: Plan, free: int, device: str) -> None:
    """Raises DeviceUnusable, with what to change, when a plan does not fit into `free` bytes."""
    if wanted.total <= free:
        return
    rest = free - (wanted.total - wanted.kv - wanted.prefixes)
    if rest < wanted.position * wanted.context:
        advice = "choose a smaller CARE_MODEL or free memory"
        if rest >= wanted.position * 256:
            advice = f"set CARE_SLOTS=1 CARE_PREFIX_MB=0 CARE_CONTEXT={rest // wanted.position // 256 * 256}, or free memory"
        raise DeviceUnusable(f"the model needs {wanted}, but the {device} device has {_gib(free)} free: {advice}")
    slots = (rest - wanted.prefixes) // (wanted.position * wanted.context)
    fits = f"set CARE_SLOTS={slots}" if slots >= 1 else "set CARE_SLOTS=1 CARE_PREFIX_MB=0"
    raise DeviceUnusable(
        f"the model needs {wanted}, but the {device} device has {_gib(free)} free: {fits}, lower CARE_CONTEXT, or free memory"
    )


def _gib(size: int) -> str:
    return f"{size / GIB:.2f} GiB"
