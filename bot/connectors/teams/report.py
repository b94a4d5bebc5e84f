"""A night's report for the admin channel: verdict first, gates, chart, examples won and lost, what can be done. Calls nothing.

What is missing is left out: the notice's own text always stands.
"""

import base64
from collections.abc import Sequence
from functools import partial
from typing import Any

from bot.connectors.nights import SHOWN, Example, Gate, Report
from bot.connectors.teams import cards
from bot.connectors.words import did
from bot.notices import Notice
from model.history import Change

_CHARS = (160, 80, 40, 20)  # of a question or an answer
_HEAD_CHARS, _LINES, _GATES, _GATE_CHARS = 150, 9, 20, 60
CHART = "The gates of the night with their 95 % intervals, as a chart"


def report_card(notice: Notice, report: Report | None, *, told: str = "", done: Change | None = None) -> dict[str, Any]:
    """The card; without a report the notice's text. `told` is what became of an order, `done` what it changed: the way back then."""
    actions = _buttons(notice, report, done) if not told or done else []

    def made(chars: int, picture: bytes | None) -> dict[str, Any]:
        parts = [] if report is None else _parts(report, chars)
        news = [cards.runs((told, True))] if told else []
        chart = [] if picture is None else [_chart(picture)]
        return cards.card([*_head(notice, chars), *chart, *parts, *news], actions)

    pictures = [None] if report is None or report.card is None else [report.card, None]
    return cards.fitting(*(partial(made, chars, picture) for picture in pictures for chars in _CHARS))


def _head(notice: Notice, chars: int) -> list[cards.Json]:
    verdict, _, rest = notice.text.partition("\n")
    head = cards.text(cards.cut(verdict, min(_HEAD_CHARS, 4 * chars)) or notice.kind.capitalize(), size="Large", weight="Bolder")
    said = notice.text if len(verdict) > _HEAD_CHARS else rest
    return [head, *([cards.runs((cards.cut(said, _LINES * chars), False))] if said.strip() else [])]


def _chart(picture: bytes) -> dict[str, Any]:
    return cards.image(f"data:image/png;base64,{base64.b64encode(picture).decode()}", CHART)


def _parts(report: Report, chars: int) -> list[cards.Json]:
    return [
        *_gates(report.gates, min(chars, _GATE_CHARS)),
        *_listed("Taught", [[(f"• {cards.cut(question, chars)}", False)] for question in report.taught[:SHOWN]]),
        *_listed("Won most (nats a token)", [_example(each, chars) for each in report.won]),
        *_listed("Lost most (nats a token)", [_example(each, chars) for each in report.lost]),
    ]


def _gates(gates: Sequence[Gate], chars: int) -> list[cards.Json]:
    """Those that were not passed first."""
    if not gates:
        return []
    ordered = sorted(gates, key=lambda gate: gate.passed)
    facts = [
        {
            "title": "ok" if gate.passed else "NOT PASSED",
            "value": f"{cards.cut(gate.name, chars)}: {gate.measured:.3g} (limit {gate.limit:.3g})",
        }
        for gate in ordered[:_GATES]
    ]
    more = [cards.hint(f"and {len(gates) - _GATES} more")] if len(gates) > _GATES else []
    return [cards.text("Gates", weight="Bolder", separator=True), {"type": "FactSet", "facts": facts}, *more]


def _example(example: Example, chars: int) -> list[tuple[str, bool]]:
    lines = [(f"• {example.gained:+.2f} {cards.cut(example.question, chars)} ({example.domain})", False)]
    for name, answer in (("before", example.before), ("now", example.after)):
        if answer:
            lines.append((f"    {name}: {cards.cut(' '.join(answer.split()), chars)}", False))
    return lines


def _listed(title: str, lines: Sequence[list[tuple[str, bool]]]) -> list[cards.Json]:
    if not lines:
        return []
    return [cards.text(title, weight="Bolder", separator=True), *(cards.runs(line) for each in lines for line in each)]


def _buttons(notice: Notice, report: Report | None, done: Change | None) -> list[cards.Json]:
    """Promote, for what passed its gates and is not served, and Roll back, for what is: for operators, each after a question."""
    if report is None or report.lora is None:
        return []
    accepted = all(gate.passed for gate in report.gates)
    promote = report.verdict == "reverted" and accepted  # what a gate refused is not overruled in a channel
    rollback = report.verdict == "promoted"
    if done is not None:
        promote, rollback = done.action != "promote", done.action == "promote"
    return buttons(report.lora, notice.id, promote=promote, rollback=rollback)


def buttons(lora: str, notice_id: str, *, promote: bool, rollback: bool) -> list[cards.Json]:
    """What an operator can order."""
    data = {cards.LORA: lora, cards.NOTICE: notice_id}
    made: list[cards.Json] = []
    if promote:
        asked = f"Its gates passed {lora}, and it was taken back. From now on it answers everybody."
        made.append(cards.order("Promote", cards.PROMOTE, asked, data, style="positive"))
    if rollback:
        asked = f"{lora} answers nobody any more, but what was live before it. If it is not live or on trial, nothing changes."
        made.append(cards.order("Roll back", cards.ROLLBACK, asked, data, style="destructive"))
    return made


def who_did(who: str, change: Change) -> str:
    """Who did what when."""
    return f"{who} {did(change)} {change.at:%Y-%m-%d %H:%M} UTC"
