"""What the studies train on and measure on: the starter set and the public data, of both what is short enough. Knows no study.

General tasks (of self-instruct) are measured on and never trained on, so that every study sees what was forgotten. What is measured on
never stems from a document that is trained on, and rows that share thirteen words with it are left out (train/choose.py).
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bot import domains
from bot.domains import OTHER
from model.tokens import Tokens
from train import choose, public
from train.evaluate import encode
from train.examples import Example, shipped, texts
from train.recipe import Recipe

GENERAL = "general"  # the domain of the items that tell of forgetting
OWN = "own"  # the domain of the base's own answers, where a study measures those too
ASIDE = (GENERAL, OWN)  # no part of the loss that a study is about
_GENERAL_SOURCE = "self-instruct"
_MOST = 1_000  # of one public source: to count the tokens of more takes minutes


@dataclass(frozen=True, slots=True)
class Material:
    """All that may be trained on, and the items: as many of each domain as there are, at most what was asked for in all."""

    pool: Sequence[Example]
    items: Sequence[Example]
    measured_on: Sequence[str]  # the texts of everything that is held out, chosen as an item or not

    def balanced(self, rows: int, replay_share: float) -> list[Example]:
        """At most so many rows, chosen as a night does: every domain as large as the smallest."""
        return list(choose.choose(self.pool, self.measured_on, replay_share, rows).examples)

    def all(self, replay_share: float) -> list[Example]:
        """Every row, the domains as large as they happen to be."""
        known = {each.id: each for each in self.pool}
        as_one = [each if each.domain == OTHER else replace(each, domain="all") for each in self.pool]
        return [known[each.id] for each in choose.choose(as_one, self.measured_on, replay_share).examples]


def read(folder: Path | None, tokens: Tokens, recipe: Recipe, items: int) -> Material:
    """From the public data in `folder` and what ships with CARE. Raises PublicDataInvalid."""
    system = domains.load().system_prompt
    many = recipe.model_copy(update={"public_per_source": _MOST, "held_out": _MOST})
    given = [*shipped(system), *public.examples(folder, many, system)]
    short = [each for each in given if _fits(each, tokens, recipe.max_tokens)]
    general = [replace(each, domain=GENERAL) for each in short if each.source == _GENERAL_SOURCE]
    rest = [each for each in short if each.source != _GENERAL_SOURCE]
    held_out = [each for each in rest if each.held_out]
    measured = [each for each in [*held_out, *general] if each.domain != OTHER]
    return Material([each for each in rest if not each.held_out], drawn(measured, items), texts([*held_out, *general]))


def _fits(each: Example, tokens: Tokens, most: int) -> bool:
    """Whole, with its system prompt and everything that was said before."""
    words = sum(len(message.content.split()) for message in each.messages) + len(each.response.split())
    if words > most:  # no tokenizer needs fewer tokens than that
        return False
    item = encode(tokens, each, most)
    return item is not None and len(item.prompt) >= sum(len(message.content.split()) for message in each.messages)


def drawn(examples: Sequence[Example], n: int) -> list[Example]:
    """At most `n`, the same number of each domain where it has so many; by chance, but always the same."""
    by_domain: defaultdict[str, list[Example]] = defaultdict(list)
    for each in sorted(examples, key=lambda each: hashlib.sha256(each.id.encode()).digest()):
        by_domain[each.domain].append(each)
    found: list[Example] = []
    for left, domain in enumerate(sorted(by_domain, key=lambda name: len(by_domain[name])), start=-len(by_domain)):
        found += by_domain[domain][: (n - len(found)) // -left]
    return sorted(found, key=lambda each: each.id)
