"""The shelf: LoRA versions on disk, and which one is live. Knows no engine and no torch.

`<shelf>/<id>/` holds `adapter_model.safetensors` and `adapter_config.json` as peft writes them, and `manifest.json`, which
lists the SHA-256 of both. A LoRA appears whole (a rename) and never changes again. `<shelf>/live` is a relative symlink
(none: the base answers), replaced in one rename, so that a reader sees the old or the new one; `<shelf>/canary` is another, to the
LoRA that answers a share of the conversations until it is promoted or withdrawn. `history.jsonl` has one line for each change of
either; `.quarantine/` keeps the manifests of those that may never answer again. Writers hold `<shelf>/.lock`.
"""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import uuid4

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from model import history
from model.errors import Busy, LoraBaseMismatch, LoraDamaged, LoraMissing, NothingToRollBack
from model.history import Change
from model.manifest import BaseModel, Draft, Lora, Unshelved, from_json, is_id, to_json
from model.quarantine import Quarantine

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
MANIFEST = "manifest.json"
_LIVE, _CANARY = "live", "canary"
_SCRATCH = (".adding-", ".live-")
_LOCK_SECONDS = 10.0
_MOST_RANK = 256

State = Literal["live", "canary", "candidate", "rejected", "retired", "damaged", "quarantined"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A LoRA in a list: `lora` is None when its manifest can't be read, and `fault` then says why."""

    id: str
    state: State
    lora: Lora | None
    fault: str | None = None


class Shelf(Quarantine):
    """The LoRAs under one folder (`CARE_HOME/loras`). Blocking; several processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        """The folder need not exist yet."""
        self.folder = folder

    def add(self, draft: Draft, source: Path) -> Lora:
        """Copies the two files of a trained LoRA from `source` (a folder that may hold more), with a manifest, in one rename.

        An id that is shelved already with the same bytes gives that LoRA unchanged. Raises LoraDamaged (a missing file, weights
        that are not finite fp32, an id that is taken by other bytes or can't be one), Busy, or OSError (the disk).
        """
        _require_id(draft.id)
        contents = {name: _read(source / name, draft.id) for name in (WEIGHTS, CONFIG)}
        files = {name: _sha256(content) for name, content in contents.items()}
        unshelve(Lora(draft, 0, files, source), contents)
        with self._writing():
            if (self.folder / draft.id).exists():
                return self._same(draft.id, files)
            number = 1 + max((entry.lora.number for entry in self.list() if entry.lora is not None), default=0)
            _publish(self.folder, draft.id, {**contents, MANIFEST: to_json(draft, number, files)})
        return self.read(draft.id)

    def _same(self, lora_id: str, files: Mapping[str, str]) -> Lora:
        shelved = self.read(lora_id)
        if dict(shelved.files) != dict(files):
            raise LoraDamaged(f"the shelf has another LoRA {lora_id!r} already ({shelved.folder}); give the new one another id")
        return shelved

    def list(self) -> Sequence[Entry]:
        """Every LoRA, oldest first, those with damaged manifests before all others; hashes are not checked here."""
        if not self.folder.is_dir():
            return []
        live, canary = self.live_or_none(), self._canary_or_none()
        promoted = {change.lora_id for change in self.history() if change.action == "promote"}
        names = [path.name for path in self.folder.iterdir() if path.is_dir() and not path.is_symlink() and is_id(path.name)]
        entries = [self._entry(name, live, canary, promoted) for name in names]
        return sorted(entries, key=lambda entry: (entry.lora.number if entry.lora is not None else 0, entry.id))

    def _entry(self, lora_id: str, live: str | None, canary: str | None, promoted: set[str | None]) -> Entry:
        try:
            lora = self.read(lora_id)
        except LoraDamaged as error:
            return Entry(lora_id, "damaged", None, str(error))
        if lora_id == live:
            return Entry(lora_id, "live", lora)
        if lora_id == canary:
            return Entry(lora_id, "canary", lora)
        if lora_id in promoted:
            return Entry(lora_id, "retired", lora)
        return Entry(lora_id, "candidate" if lora.accepted else "rejected", lora)

    def read(self, lora_id: str) -> Lora:
        """The manifest of a LoRA; its files are not looked at. Raises LoraMissing or LoraDamaged."""
        folder = self.folder / lora_id
        if not is_id(lora_id) or not folder.is_dir():
            known = ", ".join(path.name for path in sorted(self.folder.glob("*")) if is_id(path.name)) or "none"
            raise LoraMissing(f"there is no LoRA {lora_id!r} in {self.folder}; there are: {known}")
        try:
            return from_json(_read(folder / MANIFEST, lora_id), folder)
        except ValueError as error:
            raise LoraDamaged(
                f"the manifest of LoRA {lora_id!r} is damaged ({error}); restore {folder} from a backup or delete it"
            ) from error

    def open(self, lora_id: str, base: BaseModel | None) -> Unshelved:
        """Reads and verifies a LoRA: every file there, none besides, SHA-256 as listed, fp32 and finite, trained on `base`.

        The bytes returned are the bytes that were hashed. `base` None skips that check. Raises LoraMissing, LoraDamaged,
        LoraBaseMismatch.
        """
        lora = self.read(lora_id)
        _refuse_strangers(lora)
        contents = {name: _read(lora.folder / name, lora_id) for name in (WEIGHTS, CONFIG)}
        for name, content in contents.items():
            if lora.files.get(name) != _sha256(content):
                raise LoraDamaged(
                    f"{lora.folder / name} is not what its manifest lists: restore it from a backup, or delete LoRA {lora_id!r}"
                )
        if base is not None and replace(base, name=lora.draft.base.name) != lora.draft.base:
            raise LoraBaseMismatch(
                f"LoRA {lora_id!r} was trained on {_named(lora.draft.base)}, the engine runs {_named(base)}; "
                "set CARE_MODEL back, or let the next night train one for this model"
            )
        return unshelve(lora, contents)

    def live(self) -> str | None:
        """The id that `live` points to; None: the base. Raises LoraDamaged when it is no symlink to a plain id."""
        return self._target(_LIVE)

    def canary(self) -> str | None:
        """The id that `canary` points to; None: no trial goes on. Raises LoraDamaged as `live` does."""
        return self._target(_CANARY)

    def _target(self, name: str) -> str | None:
        link = self.folder / name
        try:
            target = os.readlink(link)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LoraDamaged(f"{link} is no symlink ({error.strerror}); remove it, then promote a LoRA") from error
        if not is_id(target):
            raise LoraDamaged(f"{link} points to {target!r}, which is no LoRA of this shelf; remove it, then promote a LoRA")
        return target

    def changed(self) -> int:
        """A number that differs once a LoRA came or went, or `live` changed."""
        try:
            return self.folder.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def chain(self, lora_id: str) -> Sequence[str]:
        """The predecessors of a LoRA that were not taken back themselves, the nearest first, up to the base (not in it)."""
        return history.chain(self.history(), lora_id)

    def history(self) -> Sequence[Change]:
        """Every change, oldest first."""
        return history.read(self.folder / history.FILE)

    def promote(self, lora_id: str, *, by: str, reason: str) -> Change:
        """Makes a verified LoRA live; one that is live already stays, without a line in the history.

        Raises LoraMissing or LoraDamaged, and then nothing has changed.
        """
        self.open(lora_id, None)
        with self._writing():
            before = self.live_or_none()
            change = Change(datetime.now(UTC), "promote", lora_id, before, by, reason)
            if before != lora_id:
                self._change(change, _LIVE, lora_id)
            if self._canary_or_none() == lora_id:
                self._point(_CANARY, None)
        return change

    def try_out(self, lora_id: str, *, by: str, reason: str) -> Change:
        """Makes a verified LoRA the canary, instead of another if there is one. Raises LoraMissing or LoraDamaged."""
        self.open(lora_id, None)
        with self._writing():
            change = Change(datetime.now(UTC), "try", lora_id, self.live_or_none(), by, reason)
            if self._canary_or_none() != lora_id:
                self._change(change, _CANARY, lora_id)
        return change

    def withdraw(self, lora_id: str, *, by: str, reason: str) -> Change:
        """Ends the trial of this canary; what is live stays. Raises NothingToRollBack when it is not the canary."""
        with self._writing():
            if self._canary_or_none() != lora_id:
                raise NothingToRollBack(f"{lora_id} is not the canary; there is nothing to withdraw")
            change = Change(datetime.now(UTC), "withdraw", lora_id, self.live_or_none(), by, reason)
            self._change(change, _CANARY, None)
        return change

    def prune(self, keep: int) -> Sequence[str]:
        """Deletes the oldest LoRAs beyond so many; never what is live, what a rollback would go to, or the canary. Who went."""
        with self._writing():
            live = self._linked_or_none()
            safe = {live, self._canary_or_none(), *(self.chain(live)[:1] if live is not None else ())}
            entries = [entry for entry in self.list() if entry.lora is not None]
            gone = [entry.id for entry in entries[: max(0, len(entries) - keep)] if entry.id not in safe]
            for lora_id in gone:
                scratch = self.folder / f"{_SCRATCH[0]}{uuid4().hex}"
                os.rename(self.folder / lora_id, scratch)
                shutil.rmtree(scratch)
            return gone

    def rollback(self, *, by: str, reason: str, expected: str | None = None) -> Change:
        """Makes the predecessor live, or the nearest older one that can still be opened, or the base.

        With `expected`, only if that LoRA is live. Raises NothingToRollBack.
        """
        with self._writing():
            live = self._linked()
            if expected is not None and expected != live:
                raise NothingToRollBack(f"{expected} is not live, {'the base' if live is None else live} is; nothing was taken back")
            if live is None:
                raise NothingToRollBack("the base is live; there is nothing to take back")
            target = next((older for older in self.chain(live) if self._opens(older)), None)
            change = Change(datetime.now(UTC), "rollback", target, live, by, reason)
            self._change(change, _LIVE, target)
        return change

    def _linked(self) -> str | None:
        """The live id; behind a damaged link the one promoted last: that too has to be taken back."""
        try:
            return self.live()
        except LoraDamaged:
            promoted = [change.lora_id for change in self.history() if change.action == "promote"]
            if not promoted:
                raise
            return promoted[-1]

    def _opens(self, lora_id: str) -> bool:
        try:
            self.open(lora_id, None)
        except (LoraMissing, LoraDamaged):
            return False
        return True

    def _linked_or_none(self) -> str | None:
        with suppress(LoraDamaged):
            return self._linked()
        return None

    def _change(self, change: Change, name: str, lora_id: str | None) -> None:
        history.append(self.folder / history.FILE, change)
        self._point(name, lora_id)

    def _point(self, name: str, lora_id: str | None) -> None:
        link = self.folder / name
        if lora_id is None:
            link.unlink(missing_ok=True)
        else:
            scratch = self.folder / f"{_SCRATCH[1]}{uuid4().hex}"
            os.symlink(lora_id, scratch)
            os.replace(scratch, link)
        _sync(self.folder)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One writer at a time; clears away what a killed one left. Raises Busy."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _wait_for_lock(file, self.folder)
            for path in self.folder.iterdir():
                if path.name.startswith(_SCRATCH):
                    path.unlink() if path.is_symlink() else shutil.rmtree(path)
            yield
        finally:
            os.close(file)


def _wait_for_lock(file: int, folder: Path) -> None:
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise Busy(f"another process has been changing {folder} for {_LOCK_SECONDS:.0f} s; try again once it is done") from error
            time.sleep(0.01)


def _publish(shelf: Path, lora_id: str, contents: Mapping[str, bytes]) -> None:
    scratch = shelf / f"{_SCRATCH[0]}{uuid4().hex}"
    scratch.mkdir()
    try:
        for name, content in contents.items():
            _write(scratch / name, content)
        _sync(scratch)
        os.rename(scratch, shelf / lora_id)
        _sync(shelf)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _refuse_strangers(lora: Lora) -> None:
    """Only what the manifest lists may lie there: a pickle (.bin, .pt, .pth, .pkl) runs code in whoever loads it."""
    found = {path.name for path in lora.folder.iterdir()}
    strangers = sorted(found - {WEIGHTS, CONFIG, MANIFEST})
    if strangers:
        raise LoraDamaged(
            f"{lora.folder} holds {', '.join(strangers)}, which its manifest does not list; remove what does not belong there"
        )


def unshelve(lora: Lora, contents: Mapping[str, bytes]) -> Unshelved:
    """The bytes of the two files of a LoRA, checked but for their hashes. Raises LoraDamaged."""
    rank, alpha, rslora = _shape(lora.id, contents[CONFIG])
    try:
        tensors = load(contents[WEIGHTS])
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise LoraDamaged(f"the weights of LoRA {lora.id!r} are no safetensors file ({error}); train it again") from error
    wrong = [name for name, tensor in tensors.items() if tensor.dtype != np.float32 or not np.isfinite(tensor).all()]
    if wrong or not tensors:
        what = f"{len(wrong)} tensors that are not finite fp32 numbers, {wrong[0]} for one" if wrong else "no tensors"
        raise LoraDamaged(f"LoRA {lora.id!r} holds {what}; train it again")
    return Unshelved(lora, contents[WEIGHTS], rank, alpha, rslora)


def _shape(lora_id: str, config: bytes) -> tuple[int, float, bool]:
    """Rank, alpha and the kind of scale of a plain LoRA; anything else would be served wrongly."""
    try:
        raw = json.loads(config)
        plain = raw["peft_type"] == "LORA" and not raw.get("use_dora") and raw.get("bias", "none") == "none"
        plain = plain and not any(raw.get(key) for key in ("modules_to_save", "rank_pattern", "alpha_pattern"))
        rank, alpha = int(raw["r"]), float(raw["lora_alpha"])
        if not plain or not 1 <= rank <= _MOST_RANK or not np.isfinite(alpha):
            raise ValueError("it is no plain LoRA of rank 1 to 256")
        return rank, alpha, bool(raw.get("use_rslora"))
    except (ValueError, KeyError, TypeError) as error:
        raise LoraDamaged(f"{CONFIG} of LoRA {lora_id!r} can't be used ({error!r}); train it again as a plain LoRA") from error


def _require_id(lora_id: str) -> None:
    if not is_id(lora_id):
        raise LoraDamaged(
            f"{lora_id!r} can't name a LoRA; use letters, digits and hyphens, at most 64, and none of live, canary, base, care"
        )


def _named(base: BaseModel) -> str:
    return f"{base.name} ({base.quantization}, weights {base.weights_sha256[:12]}, template {base.template_sha256[:12]})"


def _read(path: Path, lora_id: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LoraDamaged(
            f"{path} of LoRA {lora_id!r} can't be read ({error.strerror}); restore it from a backup or train again"
        ) from error


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
