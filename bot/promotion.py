"""Changes what is live and waits until the server serves it. Blocking; for commands and the night, which are other processes.

The shelf is the order, `/readyz` the answer: it says which LoRA is served, and why the wanted one is not.
"""

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from bot.home import running
from model.manifest import BaseModel
from model.shelf import Change, Shelf

_WAIT_SECONDS = 20.0
_POLL_SECONDS = 0.1
_CALL_SECONDS = 5.0


class Reverted(Exception):
    """The server could not serve a promoted LoRA; what was live before is live again."""


@dataclass(frozen=True, slots=True)
class Served:
    """What the server of a home says it serves (None: the base), on which base model, and what it could not load."""

    lora: str | None
    base: BaseModel | None
    fault_lora: str | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """A change of the shelf, and the seconds until it was served; None when no server runs."""

    change: Change
    seconds: float | None


def served(home: Path) -> Served | None:
    """One look at the server of a home; None when none runs or it does not answer."""
    server = running(home)
    if server is None or not server.url.startswith("http"):
        return None
    try:
        with urllib.request.urlopen(f"{server.url}/readyz", timeout=_CALL_SECONDS) as response:  # noqa: S310  # our own address
            return _parse(response.read())
    except urllib.error.HTTPError as error:  # not ready is an answer too
        return _parse(error.read())
    except (OSError, ValueError):
        return None


def _parse(body: bytes) -> Served | None:
    try:
        raw = json.loads(body)
        base = BaseModel(**raw["base"]) if raw["base"] else None
        fault = raw.get("lora_fault") or {}
        return Served(raw["lora"], base, fault.get("lora"), fault.get("message"))
    except (ValueError, KeyError, TypeError):
        return None


def promote(shelf: Shelf, home: Path, lora_id: str, *, by: str, reason: str) -> Applied:
    """Makes a LoRA live and returns once it is served; the next start serves it where no server runs.

    Raises LoraMissing, LoraDamaged or LoraBaseMismatch before anything has changed, Reverted when the server can't serve it.
    """
    now = served(home)
    shelf.open(lora_id, now.base if now is not None else None)
    change = shelf.promote(lora_id, by=by, reason=reason)
    try:
        return Applied(change, _wait(home, lora_id))
    except _NotServed as error:
        back = shelf.rollback(by=by, reason=f"not served: {error}", expected=lora_id)
        raise Reverted(f"LoRA {lora_id!r} was promoted and taken back ({error}); {back.lora_id or 'the base'} is live") from error


def rollback(shelf: Shelf, home: Path, *, by: str, reason: str) -> Applied:
    """Makes the predecessor live and returns once it is served. Raises NothingToRollBack, or Reverted when it can't be served."""
    change = shelf.rollback(by=by, reason=reason)
    try:
        return Applied(change, _wait(home, change.lora_id))
    except _NotServed as error:
        raise Reverted(f"{change.lora_id or 'the base'} is live on the shelf, but not served: {error}") from error


class _NotServed(Exception):
    """Why the server does not serve what is live."""


def _wait(home: Path, lora_id: str | None) -> float | None:
    """Seconds until the server served it; None: no server, or one that still starts. Raises _NotServed."""
    began = time.monotonic()
    if (first := served(home)) is not None and first.base is None:
        return None  # it still loads its model, and then what is live by then
    while (now := served(home)) is not None or running(home) is not None:
        seconds = time.monotonic() - began
        if now is not None and now.base is not None and now.lora == lora_id:
            return seconds
        if now is not None and lora_id is not None and now.fault_lora == lora_id:
            raise _NotServed(now.fault or "the server could not load it")
        if seconds > _WAIT_SECONDS:
            raise _NotServed(f"the server did not serve it within {_WAIT_SECONDS:.0f} s; its log says why")
        time.sleep(_POLL_SECONDS)
    return None
