"""The shelf: LoRA versions on disk, what each was made from, and which one is live. Knows no engine and no torch.

`<shelf>/<id>/` holds `adapter_model.safetensors` and `adapter_config.json` as peft writes them, and `manifest.json`, which
lists the SHA-256 of every other file. A LoRA appears whole (a rename) and never changes again. `<shelf>/live` is a relative
symlink (none: the base answers), replaced in one rename, so that a reader sees the old or the new one. `history.jsonl` has one
line for each change of `live`. Writers hold `<shelf>/.lock`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
MANIFEST = "manifest.json"

State = Literal["live", "candidate", "rejected", "retired", "damaged"]


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model by content: SHA-256 of its weights and of its chat template, and how the linear layers are quantized."""

    name: str
    weights_sha256: str
    template_sha256: str
    quantization: str


@dataclass(frozen=True, slots=True)
class GateResult:
    """One condition for promotion: what was measured, the limit, and whether it passed."""

    gate: str
    measured: float
    limit: float
    passed: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """What the night knows of a LoRA before it is shelved."""

    id: str
    created_at: datetime
    base: BaseModel
    snapshot_sha256: str
    seed: int
    recipe: Mapping[str, str | int | float | bool]
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
class Entry:
    """A LoRA in a list: `lora` is None when its manifest can't be read, and `fault` then says why."""

    id: str
    state: State
    lora: Lora | None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A line of the history: what became live instead of what (None: the base), who did it and why."""

    at: datetime
    action: Literal["promote", "rollback"]
    lora_id: str | None
    before: str | None
    by: str
    reason: str


class Shelf:
    """The LoRAs under one folder (`CARE_HOME/loras`). Blocking; several processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        """The folder need not exist yet."""
        self.folder = folder

    def add(self, draft: Draft, source: Path) -> Lora:
        """Copies the two files of a trained LoRA from `source` (a folder that may hold more), with a manifest, fsynced, in one rename.

        An id that is shelved already with the same bytes gives that LoRA unchanged. Raises LoraDamaged (missing file, weights
        that are not finite fp32, an id that is taken by other bytes or is not of letters, digits and hyphens), or OSError (disk).
        """
        raise NotImplementedError

    def list(self) -> Sequence[Entry]:
        """Every LoRA, oldest first, damaged manifests included; hashes are not checked here."""
        raise NotImplementedError

    def read(self, lora_id: str) -> Lora:
        """The manifest of a LoRA; its files are not looked at. Raises LoraMissing or LoraDamaged."""
        raise NotImplementedError

    def open(self, lora_id: str, base: BaseModel | None) -> Unshelved:
        """Reads and verifies a LoRA: every file there, none besides, SHA-256 as listed, fp32 and finite, trained on `base`.

        Any file but the two listed ones is refused (`.bin`, `.pt`, `.pkl`, `.pth` by that name: pickles run code). The bytes
        returned are the bytes that were hashed. `base` None skips that check. Raises LoraMissing, LoraDamaged, LoraBaseMismatch.
        """
        raise NotImplementedError

    def live(self) -> str | None:
        """The id that `live` points to; None: the base. Raises LoraDamaged when it is no symlink to a plain id."""
        raise NotImplementedError

    def predecessor(self, lora_id: str) -> str | None:
        """What was live before this LoRA was promoted last; None: the base."""
        raise NotImplementedError

    def history(self) -> Sequence[Change]:
        """Every change, oldest first; a line that a crash cut short is left out."""
        raise NotImplementedError

    def promote(self, lora_id: str, *, by: str, reason: str) -> Change:
        """Makes a verified LoRA live. Raises LoraMissing or LoraDamaged, and then nothing has changed."""
        raise NotImplementedError

    def rollback(self, *, by: str, reason: str, expected: str | None = None) -> Change:
        """Makes the predecessor live, or the newest older one that can still be read, or the base.

        With `expected`, only if that LoRA is live. Raises NothingToRollBack.
        """
        raise NotImplementedError
