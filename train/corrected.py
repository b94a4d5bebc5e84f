"""Answers that somebody corrected, held to what mere thumbs down are held to: voted down, they may be right all the same. Pure.

A correction is a good answer by itself. What it corrects is unlearned beside it only where a thumb down alone would have counted; what
a reviewer has to see first is in `approve.py`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from train import caps
from train.collect import Candidate
from train.filters import Filter
from train.memo import Memo


def fit(candidates: Sequence[Candidate], rules: Filter, memo: Memo, reasons: Counter[str]) -> list[Candidate]:
    """The same, without what they correct where it is unfit to be unlearned."""
    wrong = _wrong(candidates)
    faults = rules.faults([each.example for each in wrong], memo)
    return _without(candidates, {each.example.id for each, fault in zip(wrong, faults, strict=True) if fault is not None}, reasons)


def uncontradicted(candidates: Sequence[Candidate], memo: Memo, reasons: Counter[str]) -> list[Candidate]:
    """The same, without what they correct where somebody else stands for nearly that answer to nearly that question.

    Whoever says exactly what the correction says is of one mind with it, however near that is to what it corrects.
    """
    wrong = _wrong(candidates)
    if not wrong:
        return list(candidates)
    good = [each for each in candidates if each.example.good]
    renamed = [replace(each, example=replace(each.example, id=_as_wrong(each.example.id))) for each in wrong]
    group = caps.likeness([*good, *renamed], memo).duplicates
    said: dict[object, set[str]] = {}
    for each in good:
        said.setdefault(group[each.example.id], set()).add(_form(each.example.response))
    corrections = {each.example.id: _form(each.example.response) for each in good}
    names = [each.example.id for each in wrong]
    contradicted = {name for name in names if said.get(group[_as_wrong(name)], set()) - {corrections[name]}}
    return _without(candidates, contradicted, reasons)


def _wrong(candidates: Sequence[Candidate]) -> list[Candidate]:
    """What is corrected, each as a bad example; what is held out is never unlearned."""
    found = ((each, each.example.corrects) for each in candidates if not each.example.held_out)
    return [replace(each, example=wrong) for each, wrong in found if wrong is not None]


def _without(candidates: Sequence[Candidate], unpaired: set[str], reasons: Counter[str]) -> list[Candidate]:
    reasons["unpaired"] += len(unpaired)
    return [replace(each, example=each.example.unpaired()) if each.example.id in unpaired else each for each in candidates]


def _as_wrong(name: str) -> str:
    return f"{name}/corrected"


def _form(text: str) -> str:
    return " ".join(text.casefold().split())
