"""A night as operators are told of it: its verdict, gates, examples won and lost. Reads runs/, calls nothing; knows no platform.

The night leaves `report.json` and its pictures beside the page that its notice names; its shape is train/report.py's. What is
missing or unreadable is left out: the notice's own text always stands.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.notices import Notice

log = logging.getLogger(__name__)

SHOWN = 3  # how many examples of a kind
_CANDIDATE, _BASE = "candidate", "base"


@dataclass(frozen=True, slots=True)
class Example:
    """One measured item: how much better (nats a token) the new LoRA expects the right answer; both answers where they were written."""

    question: str  # in a report from before questions were kept, the item's id
    domain: str
    gained: float
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate, and what came of it."""

    name: str
    measured: float
    limit: float
    passed: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What the channel is told of a night."""

    verdict: str
    lora: str | None
    gates: tuple[Gate, ...] = ()
    won: tuple[Example, ...] = ()
    lost: tuple[Example, ...] = ()
    taught: tuple[str, ...] = ()
    chart: bytes | None = field(default=None, repr=False)
    card: bytes | None = field(default=None, repr=False)  # a small one, for messages that must carry it themselves


def read(notice: Notice) -> Report | None:
    """The night that a notice tells of; None if there is nothing to be read. Blocking."""
    if notice.report is None:
        return None
    page = Path(notice.report)
    try:
        found = json.loads(page.with_name("report.json").read_text(encoding="utf-8"))
        return _report(found, _bytes(page.with_name("report.png")), _bytes(page.with_name("card.png")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("a night's report can't be read; its notice is posted alone", extra={"path": notice.report, "error": repr(error)})
        return None


def _report(found: Mapping[str, Any], chart: bytes | None, card: bytes | None) -> Report:
    gates = tuple(Gate(str(gate["gate"]), float(gate["measured"]), float(gate["limit"]), bool(gate["passed"])) for gate in found["gates"])
    examples = sorted(_examples(found), key=lambda each: each.gained, reverse=True)
    return Report(
        verdict=str(found["verdict"]),
        lora=str(found["lora"]) if found.get("lora") else None,
        gates=gates,
        won=tuple(each for each in examples[:SHOWN] if each.gained > 0),
        lost=tuple(each for each in reversed(examples[-SHOWN:]) if each.gained < 0),
        taught=tuple(str(each["question"]) for each in found.get("taught", ())),
        chart=chart,
        card=card,
    )


def _examples(found: Mapping[str, Any]) -> list[Example]:
    scores = found.get("scores") or {}
    other = found.get("compared_with") if found.get("compared_with") in scores else _BASE
    before = {score["item"]: float(score["loss"]) for score in scores.get(other, ())}
    samples, questions = found.get("samples") or {}, found.get("questions") or {}
    made = []
    for score in scores.get(_CANDIDATE, ()):
        item = str(score["item"])
        if item in before:
            answers = samples.get(item) or {}
            gained = before[item] - float(score["loss"])
            question = " ".join(str(questions.get(item, item)).split())
            made.append(Example(question, str(score["domain"]), gained, answers.get(other), answers.get(_CANDIDATE)))
    return made


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
