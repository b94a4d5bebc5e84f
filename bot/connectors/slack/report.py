"""A night's report for the admin channel: verdict first, gates, examples won and lost, what can be done. Reads runs/, calls nothing.

The night leaves `report.json` and `report.png` beside the page that its notice names; its shape is train/report.py's. What is
missing or unreadable is left out: the notice's own text always stands.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slack_sdk.models.blocks import Block, DividerBlock, HeaderBlock, MarkdownTextObject, SectionBlock

from bot.connectors.slack.blocks import decision_buttons
from bot.connectors.slack.text import mrkdwn_escape
from bot.notices import Notice

log = logging.getLogger(__name__)

_SHOWN, _ANSWER_CHARS, _SECTION_CHARS, _HEADER_CHARS = 3, 160, 2900, 150
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


def read(notice: Notice) -> Report | None:
    """The night that a notice tells of; None if there is nothing to be read. Blocking."""
    if notice.report is None:
        return None
    page = Path(notice.report)
    try:
        found = json.loads(page.with_name("report.json").read_text(encoding="utf-8"))
        return _report(found, _bytes(page.with_name("report.png")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("a night's report can't be read; its notice is posted alone", extra={"path": notice.report, "error": repr(error)})
        return None


def report_blocks(notice: Notice, report: Report | None) -> list[Block]:
    """The message; without a report the notice's text."""
    verdict, _, rest = notice.text.partition("\n")
    head = HeaderBlock(text=_cut(verdict, _HEADER_CHARS))
    said = [_section(mrkdwn_escape(_cut(notice.text if len(verdict) > _HEADER_CHARS else rest, _SECTION_CHARS // 2)))] if rest else []
    if report is None:
        return [head, *said]
    parts = [
        *_listed("Taught", [f"• {mrkdwn_escape(_cut(question, _ANSWER_CHARS))}" for question in report.taught[:_SHOWN]]),
        *_listed("Won most", [_example(each) for each in report.won]),
        *_listed("Lost most", [_example(each) for each in report.lost]),
    ]
    gates = [_section(_table(report.gates))] if report.gates else []
    buttons: list[Block] = []
    if report.lora is not None:
        # What a gate refused is not overruled in a channel: Promote is for what passed and was taken back.
        accepted = all(gate.passed for gate in report.gates)
        buttons = decision_buttons(report.lora, promote=report.verdict == "reverted" and accepted, rollback=report.verdict == "promoted")
    return [head, *said, *gates, *([DividerBlock(), *parts] if parts else []), *buttons]


def _report(found: Mapping[str, Any], chart: bytes | None) -> Report:
    gates = tuple(Gate(str(gate["gate"]), float(gate["measured"]), float(gate["limit"]), bool(gate["passed"])) for gate in found["gates"])
    examples = sorted(_examples(found), key=lambda each: each.gained, reverse=True)
    return Report(
        verdict=str(found["verdict"]),
        lora=str(found["lora"]) if found.get("lora") else None,
        gates=gates,
        won=tuple(each for each in examples[:_SHOWN] if each.gained > 0),
        lost=tuple(each for each in reversed(examples[-_SHOWN:]) if each.gained < 0),
        taught=tuple(str(each["question"]) for each in found.get("taught", ())),
        chart=chart,
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


def _example(example: Example) -> str:
    lines = [f"• {example.gained:+.2f} {mrkdwn_escape(_cut(example.question, _ANSWER_CHARS))} ({example.domain})"]
    for name, answer in (("before", example.before), ("now", example.after)):
        if answer:
            lines.append(f"    {name}: _{mrkdwn_escape(_cut(' '.join(answer.split()), _ANSWER_CHARS))}_")
    return "\n".join(lines)


def _table(gates: Sequence[Gate]) -> str:
    width = max(len(gate.name) for gate in gates)
    lines = [f"{'gate':<{width}}  {'measured':>9}  {'limit':>7}"]
    lines += [f"{gate.name:<{width}}  {gate.measured:>9.3g}  {gate.limit:>7.3g}  {'ok' if gate.passed else 'NOT PASSED'}" for gate in gates]
    return f"```\n{mrkdwn_escape(_cut(chr(10).join(lines), _SECTION_CHARS // 2))}\n```"


def _listed(title: str, lines: list[str]) -> list[Block]:
    while len("\n".join(lines)) > _SECTION_CHARS - len(title):
        lines = lines[:-1]
    return [_section("\n".join([f"*{title}*", *lines]))] if lines else []


def _section(text: str) -> Block:
    return SectionBlock(text=MarkdownTextObject(text=text, verbatim=True))


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 1]}…"
