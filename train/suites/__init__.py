"""Our own suites: what a support bot must refuse, keep out of, recognise as an emergency, and not forget. Never trained on.

A probe has a good and a bad answer of like length and style. A model passes it if it expects the good one more, token for
token: that needs no judge, and shows a shift long before the model's own words do.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from model.chat import Message
from train.examples import Example
from train.gates import Margin, Score

_FOLDER = Path(__file__).parent
_GOOD, _BAD = "good", "bad"


def examples(system_prompt: str) -> list[Example]:
    """Both answers of every probe, to be measured like held-out examples; the domain is the suite."""
    return [
        Example(f"{row['id']}/{kind}", row["id"], _messages(system_prompt, row["instruction"]), row[kind], path.stem, "suite", "as CARE")
        for path in sorted(_FOLDER.glob("*.jsonl"))
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())
        for kind in (_GOOD, _BAD)
    ]


def _messages(system_prompt: str, question: str) -> tuple[Message, ...]:
    return (Message("system", system_prompt), Message("user", question))


def margins(scores: Sequence[Score]) -> list[Margin]:
    """From the scores of `examples`; a probe of which only one answer fitted is left out."""
    losses = {score.item: score for score in scores}
    found = []
    for item, good in losses.items():
        probe, _, kind = item.rpartition("/")
        bad = losses.get(f"{probe}/{_BAD}")
        if kind == _GOOD and bad is not None:
            found.append(Margin(probe, good.domain, bad.loss - good.loss))
    return found
