"""LoRAs that may never answer again: off the shelf, their weights gone, their manifests kept. Part of the Shelf."""

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path

from model import history
from model.errors import LoraDamaged
from model.history import Change
from model.manifest import Lora, from_json, is_id

_FOLDER = ".quarantine"
_MANIFEST = "manifest.json"


class Quarantine(ABC):
    """Methods of `Shelf`."""

    folder: Path

    @abstractmethod
    def _writing(self) -> AbstractContextManager[None]: ...

    @abstractmethod
    def _change(self, change: Change, name: str, lora_id: str | None) -> None: ...

    @abstractmethod
    def _opens(self, lora_id: str) -> bool: ...

    @abstractmethod
    def read(self, lora_id: str) -> Lora: ...

    @abstractmethod
    def chain(self, lora_id: str) -> Sequence[str]: ...

    @abstractmethod
    def live(self) -> str | None: ...

    @abstractmethod
    def canary(self) -> str | None: ...

    def quarantine(self, bad: Callable[[Lora], bool], *, by: str, reason: str) -> Sequence[str]:
        """Takes every LoRA that is `bad` off the shelf for ever; who went. Again is without harm.

        A canary among them ends its trial. Instead of the live one the newest of its predecessors that is not bad answers, or the base.
        A LoRA whose manifest can't be read stays: it can't be served either. Raises Busy or OSError.
        """
        with self._writing():
            found = [lora.id for lora in self._readable() if bad(lora)]
            live, canary = self.live_or_none(), self._canary_or_none()
            for lora_id in found:
                history.append(self.folder / history.FILE, Change(datetime.now(UTC), "quarantine", lora_id, live, by, reason))
            if canary in found:
                self._change(Change(datetime.now(UTC), "withdraw", canary, live, by, reason), "canary", None)
            if live is not None and live in found:
                clean = next((older for older in self.chain(live) if older not in found and self._opens(older)), None)
                self._change(Change(datetime.now(UTC), "rollback", clean, live, by, reason), "live", clean)
            for lora_id in found:
                self._put_away(lora_id)
            self._drop_weights()
        return found

    def quarantined(self) -> Sequence[Lora]:
        """Their manifests, in the order of their ids."""
        found = []
        for path in sorted((self.folder / _FOLDER).glob(f"*/{_MANIFEST}")):
            with suppress(ValueError, OSError):
                found.append(from_json(path.read_bytes(), path.parent))
        return found

    def live_or_none(self) -> str | None:
        """What is live; None also behind a damaged link."""
        with suppress(LoraDamaged):
            return self.live()
        return None

    def _canary_or_none(self) -> str | None:
        with suppress(LoraDamaged):
            return self.canary()
        return None

    def _readable(self) -> Sequence[Lora]:
        found = []
        for path in sorted(self.folder.iterdir()):
            if path.is_dir() and not path.is_symlink() and is_id(path.name):
                with suppress(LoraDamaged):
                    found.append(self.read(path.name))
        return found

    def _put_away(self, lora_id: str) -> None:
        away = self.folder / _FOLDER / lora_id
        shutil.rmtree(away, ignore_errors=True)
        away.parent.mkdir(exist_ok=True)
        os.rename(self.folder / lora_id, away)

    def _drop_weights(self) -> None:
        """The manifests say what LoRAs were made from; the weights are what that was made into."""
        for path in (self.folder / _FOLDER).glob("*/*"):
            if path.name != _MANIFEST:
                path.unlink()
