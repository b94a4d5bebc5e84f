"""What a LoRA was made from, and its manifest as JSON. Pure; knows no folder."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model by content: SHA-256 of its weights and of its chat template, and how the linear layers are quantized."""

    name: str
    weights_sha256: str
    template_sha256: str
    quantization: str


@dataclass(frozen=True, slots=True)
class GateResult:
    """One condition for promotion: what was measured, the limit, and whether it passed; the 95 % interval where it was one."""

    gate: str
    measured: float
    limit: float
    passed: bool
    interval: tuple[float, float] | None = None

    @property
    def told(self) -> str:
        """What was measured, its interval and its limit, for people; and why it failed although it keeps to that."""
        low, high = self.interval or (0.0, 0.0)
        worse = ", proven worse" if low > 0 and self.measured <= self.limit and not self.passed else ""
        spread = f", 95 % {low:.3g} … {high:.3g}" if self.interval else ""
        return f"{self.measured:.4g}{worse}{spread}, limit {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Draft:
    """What the night knows of a LoRA before it is shelved."""

    id: str
    created_at: datetime
    base: BaseModel
    snapshot_sha256: str
    seed: int
    recipe: Mapping[str, str | bool | int | float]
    gates: tuple[GateResult, ...]
    example_ids: tuple[str, ...]
    control: bool = False  # trained without the ratings, to compare with; never promoted


@dataclass(frozen=True, slots=True)
class Lora:
    """One trained version, as its manifest describes it. `number` counts up, whatever the clock said."""

    draft: Draft
    number: int
    files: Mapping[str, str]  # name → SHA-256
    folder: Path

    @property
    def id(self) -> str:
        return self.draft.id

    @property
    def accepted(self) -> bool:
        """Whether the gates let it be promoted."""
        return not self.draft.control and bool(self.draft.gates) and all(gate.passed for gate in self.draft.gates)


@dataclass(frozen=True, slots=True)
class Unshelved:
    """A LoRA whose bytes have just been verified: what an engine loads. `weights` is a safetensors file of finite fp32 tensors."""

    lora: Lora
    weights: bytes
    rank: int
    alpha: float
    rslora: bool


@dataclass(frozen=True, slots=True)
class _Document:
    """The JSON of a manifest."""

    __pydantic_config__ = ConfigDict(extra="forbid", ser_json_inf_nan="strings")

    format: Literal[1]
    number: Annotated[int, Field(ge=1)]
    draft: Draft
    files: Mapping[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")], _Sha256]


_DOCUMENT = TypeAdapter(_Document)


def to_json(draft: Draft, number: int, files: Mapping[str, str]) -> bytes:
    return _DOCUMENT.dump_json(_Document(1, number, draft, files), indent=2)


def from_json(text: bytes, folder: Path) -> Lora:
    """Raises ValueError with every fault in one line each."""
    try:
        document = _DOCUMENT.validate_json(text)
    except ValidationError as error:
        raise ValueError("; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:3])) from error
    if document.draft.id != folder.name:
        raise ValueError(f"it is the manifest of {document.draft.id!r}")
    return Lora(document.draft, document.number, document.files, folder)


def is_id(text: str) -> bool:
    """Whether a text can name a LoRA: letters, digits and hyphens, and no word that means something else."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", text) is not None and text not in ("live", "canary", "base", "care")
