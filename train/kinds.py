"""Which kinds of examples there are for a method: good, bad, pairs of both. Counted before a model is loaded. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from train.examples import Example

PAIRS = ("dpo", "orpo")  # the methods that learn from nothing else


@dataclass(frozen=True, slots=True)
class Kinds:
    """How many answers are good and bad, how many corrections make a pair of both, how many only repeat what they correct."""

    good: int = 0
    bad: int = 0
    pairs: int = 0
    repeated: int = 0

    def for_method(self, method: str) -> str:
        """What of it the method learns from; "" for one that takes all good answers."""
        if method == "kto":
            return f"{self.good} good and {self.bad} bad answers"
        if method in PAIRS:
            repeated = f", {self.repeated} more only repeat the answer" if self.repeated else ""
            return f"{self.pairs} corrections that differ from the answer{repeated}"
        return ""

    def missing(self, method: str) -> str | None:
        """What the method needs and has nothing of, and what to do; None: there is some of each kind."""
        if method in PAIRS and not self.pairs:
            only = f" ({self.repeated} only repeat it, but for spaces and capitals)" if self.repeated else ""
            return f"method = {method!r} learns from corrections that differ from the answer, and there is none{only}; use sft or kto"
        if method == "kto" and not (self.good and self.bad):
            wanted = "thumbs down or corrections, or use sft" if self.good else "thumbs up or corrections"
            return (
                f"method = 'kto' learns from good answers beside bad ones; there are {self.good} good and {self.bad} bad; wait for {wanted}"
            )
        return None


def count(examples: Iterable[Example]) -> Kinds:
    """A correction is a good answer and, where it says something else, makes what it corrects a bad one."""
    known = list(examples)
    pairs = sum(each.worse is not None for each in known)
    good = sum(each.good for each in known)
    return Kinds(good, len(known) - good + pairs, pairs, sum(each.repeats for each in known))
