"""Forgets a person, or what was deleted: the database, the LoRAs that were trained on their words, the files that nights left. Blocking.

The database goes first, in one transaction that also says what is left to do: whoever starts next goes on from there.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from bot import traces
from bot.erasure import Erasure
from bot.notices import OPERATORS, Notice
from bot.store import Store
from bot.turns import new_id, now
from model.manifest import Lora
from model.shelf import Shelf

log = logging.getLogger(__name__)

BY = "forget"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was done when somebody was forgotten; says nothing of who, or of what they said.

    `loras` were quarantined, `live` answers now (None: the base). `waits_for_night`: a night that runs has files in hand, and cleans them
    itself. `left` are files that only a person can clear away.
    """

    id: str
    at: datetime
    turns: int
    ratings: int
    loras: tuple[str, ...]
    live: str | None
    files: int
    waits_for_night: bool
    left: tuple[str, ...]

    def as_json(self) -> str:
        return json.dumps({**asdict(self), "at": self.at.isoformat()})


def forget(store: Store, shelf: Shelf, home: Path, platform: str, user_id: str) -> Receipt:
    """Erases everything of a person; again is without harm. Raises StoreError, Busy or OSError: `finish` then goes on."""
    erasure = store.erase_person(platform, user_id, new_id(), now())
    return _finish(store, shelf, home, erasure, within_night=False)


def finish(store: Store, shelf: Shelf, home: Path, *, within_night: bool = False) -> list[Receipt]:
    """Goes on with what a crash, or a night that ran meanwhile, left to do. Raises as `forget`."""
    for platform, user_id in store.wishes_to_be_forgotten():
        store.erase_person(platform, user_id, new_id(), now())
    return [_finish(store, shelf, home, erasure, within_night=within_night) for erasure in store.pending_erasures()]


def _finish(store: Store, shelf: Shelf, home: Path, erasure: Erasure, *, within_night: bool) -> Receipt:
    loras = _quarantine(shelf, erasure) if erasure.person else ()
    cleaned = traces.clean(home, traces.Words(erasure.examples, erasure.person), within_night=within_night)
    receipt = Receipt(
        erasure.id,
        erasure.at,
        erasure.turns,
        erasure.ratings,
        tuple(loras),
        shelf.live_or_none(),
        cleaned.files,
        cleaned.waits_for_night,
        cleaned.left,
    )
    if loras:
        store.notify([_notice(receipt)])
    if not cleaned.waits_for_night and store.empty_log():
        store.erasure_done(erasure.id, receipt.as_json(), now())
    log.warning("forgotten", extra={"erasure": erasure.id, "turns": erasure.turns, "loras": len(loras), "files": cleaned.files})
    return receipt


def _quarantine(shelf: Shelf, erasure: Erasure) -> Sequence[str]:
    """A deleted message does not go so far: tonight's LoRA replaces those that learned from it."""
    return shelf.quarantine(lambda lora: _trained_on(lora, erasure), by=BY, reason="somebody it was trained on asked to be forgotten")


def _trained_on(lora: Lora, erasure: Erasure) -> bool:
    return not erasure.examples.isdisjoint(lora.draft.example_ids)


def _notice(receipt: Receipt) -> Notice:
    text = (
        f"Somebody asked to be forgotten: {', '.join(receipt.loras)} had been trained on their words and will never answer again. "
        f"{receipt.live or 'The base'} answers; the next night trains a new one without them (`care nightly` does it now)."
    )
    return Notice(new_id(), "rollback", OPERATORS, "", f"forgotten {receipt.id}", text, now())
