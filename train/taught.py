"""Who taught what: down-voted questions whose right answer a new LoRA expects, where what answered before did not. Pure.

"Expects" is the suites' measure: the correction is likelier, token for token, than the answer that was voted down.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.notices import Notice
from bot.turns import RatedTurn, new_id
from train.collect import CORRECTION
from train.examples import Example
from train.gates import Margin
from train.near import words

_MOST = 50  # questions a night that are looked at: the newest
_SUBJECT_LETTERS = 200
_SUITE = "taught"


@dataclass(frozen=True, slots=True)
class Taught:
    """A question that passes now, as it was asked and as all may see it, and who voted the old answer down: (platform, user) pairs."""

    turn_id: str
    question: str
    masked: str
    people: tuple[tuple[str, str], ...]


def probes(rated: Sequence[RatedTurn], accepted: Sequence[Example]) -> list[Example]:
    """The right and the voted-down answer of each corrected question, as the suites have them."""
    right = {example.turn_ids[0]: example for example in accepted if example.source == CORRECTION and not example.held_out}
    found: list[Example] = []
    for each in [turn for turn in rated if turn.turn.id in right][-_MOST:]:
        example, reply = right[each.turn.id], each.turn.reply
        if reply is not None and reply.text.strip() and _voters(each):
            name = f"{_SUITE}/{each.turn.id}"
            found.append(replace(example, id=f"{name}/good", domain=_SUITE, turn_ids=()))
            found.append(replace(example, id=f"{name}/bad", domain=_SUITE, turn_ids=(), response=reply.text.strip()))
    return found


def _voters(rated: RatedTurn) -> tuple[tuple[str, str], ...]:
    platform = rated.turn.question.platform
    return tuple((platform, rating.user_id) for rating in rated.ratings if rating.verdict == -1)


def learned(rated: Sequence[RatedTurn], accepted: Sequence[Example], candidate: Sequence[Margin], before: Sequence[Margin]) -> list[Taught]:
    """Those that the candidate passes and what was live did not."""
    masked = {example.turn_ids[0]: example.instruction for example in accepted}
    failed = {margin.probe for margin in before if margin.suite == _SUITE and margin.nats <= 0}
    passed = {margin.probe for margin in candidate if margin.suite == _SUITE and margin.nats > 0 and margin.probe in failed}
    return [
        Taught(each.turn.id, each.turn.question.text, masked[each.turn.id], _voters(each))
        for each in rated
        if f"{_SUITE}/{each.turn.id}" in passed
    ]


def without_probes(margins: Sequence[Margin]) -> list[Margin]:
    """What the gates look at."""
    return [margin for margin in margins if margin.suite != _SUITE]


def notices(taught: Sequence[Taught], lora_id: str, now: datetime) -> list[Notice]:
    """At most one a person and question, whatever turn it was asked in and however often it was learned."""
    return [
        Notice(
            id=new_id(),
            kind="taught",
            platform=platform,
            user_id=user_id,
            subject=" ".join(words(each.question))[:_SUBJECT_LETTERS],
            text=f"You taught me this: I had “{_short(each.question)}” wrong, you said what was right, and since tonight I know better.",
            created_at=now,
            turn_id=each.turn_id,
            report=lora_id,
        )
        for each in taught
        for platform, user_id in each.people
    ]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:119]}…"
