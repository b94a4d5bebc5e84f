"""Changes what is live and waits until the server serves it. Blocking; for commands and the night, which are other processes.

The shelf is the order, `/readyz` the answer: it says which LoRA is served, and why the wanted one is not.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bot.home import running
from model.history import Change
from model.manifest import BaseModel, Lora
from model.shelf import Shelf

_WAIT_SECONDS = 20.0
# The smoke test has a minute, and may have to wait for another's to end.
_SMOKE_WAIT_SECONDS = 150.0
_POLL_SECONDS = 0.1
_CALL_SECONDS = 5.0


class Reverted(Exception):
    """The server could not serve a promoted LoRA; what was live before is live again."""


class NotAccepted(Exception):
    """The gates of a LoRA said no, or it is a control."""


@dataclass(frozen=True, slots=True)
class Served:
    """What the server of a home says it serves (None: the base), on which base model, and what it could not load."""

    lora: str | None
    base: BaseModel | None
    fault_lora: str | None = None
    fault: str | None = None
    canary: str | None = None
    smoke_tests: Mapping[str, bool] = field(default_factory=dict)


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
        return Served(raw["lora"], base, fault.get("lora"), fault.get("message"), raw.get("canary"), raw.get("smoke_tests") or {})
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


def try_out(shelf: Shelf, home: Path, lora_id: str, *, by: str, reason: str) -> bool:
    """Makes a LoRA the canary of the running server, and returns once that has passed its smoke test; False: no server runs.

    Raises LoraMissing, LoraDamaged or LoraBaseMismatch before anything has changed, Reverted when it was taken back.
    """
    now = served(home)
    if now is None or now.base is None:
        return False
    shelf.open(lora_id, now.base)
    shelf.try_out(lora_id, by=by, reason=reason)
    deadline = time.monotonic() + _SMOKE_WAIT_SECONDS
    while time.monotonic() < deadline and (now := served(home)) is not None:
        if lora_id not in (shelf.canary(), shelf.live()):
            said = [change.reason for change in shelf.history() if change.lora_id == lora_id and change.action == "withdraw"]
            raise Reverted(f"LoRA {lora_id!r} was taken back: {said[-1] if said else 'somebody promoted another'}")
        if now.fault_lora == lora_id:
            shelf.withdraw(lora_id, by=by, reason=f"not served: {now.fault}")
            raise Reverted(f"LoRA {lora_id!r} can't be served ({now.fault}); {now.lora or 'the base'} answers")
        if now.smoke_tests.get(lora_id):
            break
        time.sleep(_POLL_SECONDS)
    return True


def wait_until_live(home: Path, lora_id: str) -> float | None:
    """Seconds until a LoRA that the server promotes by itself is served. Raises Reverted."""
    try:
        return _wait(home, lora_id)
    except _NotServed as error:
        raise Reverted(f"LoRA {lora_id!r} passed its smoke test, but does not answer everybody: {error}") from error


def wait_until_served(home: Path, lora_id: str | None) -> float | None:
    """Seconds until the server answers with what is live; None: none runs. Raises Reverted."""
    try:
        return _wait(home, lora_id)
    except _NotServed as error:
        raise Reverted(f"{lora_id or 'the base'} is live on the shelf, but not served: {error}") from error


def rollback(shelf: Shelf, home: Path, *, by: str, reason: str, expected: str | None = None) -> Applied:
    """Makes the predecessor live and returns once it is served. Raises NothingToRollBack, or Reverted when it can't be served.

    With `expected`, only if that LoRA is live.
    """
    change = shelf.rollback(by=by, reason=reason, expected=expected)
    return Applied(change, wait_until_served(home, change.lora_id))


def take_back(shelf: Shelf, home: Path, *, by: str, reason: str, expected: str | None = None) -> Applied:
    """Ends the trial of the canary where there is one; `rollback` otherwise. With `expected`, only if that LoRA is on trial or live."""
    canary = shelf.canary()
    if canary is not None and expected in (None, canary):
        return Applied(shelf.withdraw(canary, by=by, reason=reason), None)
    return rollback(shelf, home, by=by, reason=reason, expected=expected)


def require_accepted(lora: Lora) -> None:
    """Raises NotAccepted."""
    if lora.draft.control:
        raise NotAccepted(f"{lora.id} is a control, trained without the ratings to compare with")
    if not lora.accepted:
        missed = [f"{gate.gate} ({gate.told})" for gate in lora.draft.gates if not gate.passed]
        raise NotAccepted(f"the gates of {lora.id} said no: {', '.join(missed) or 'it was never measured'}")


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
