"""How many tokens the rows of a training have, without a tokenizer: what is planned before anything is loaded needs no more. Pure."""

from collections.abc import Iterator, Sequence

from train.examples import Example
from train.kinds import PAIRS
from train.learn import rows
from train.recipe import Recipe

_CHARACTERS = 4  # of a token of English, about; at most a token has a single byte, as digits have
_TEMPLATE = 6  # tokens about each message, at most: 5 in ChatML, 4 in Phi's


def mean(examples: Sequence[Example], recipe: Recipe, system_prompt: str) -> float:
    """Tokens a row, about."""
    found = [min(recipe.max_tokens, length / _CHARACTERS + extra) for length, _, extra in _rows(examples, recipe, system_prompt)]
    return sum(found) / max(1, len(found))


def longest(examples: Sequence[Example], recipe: Recipe, system_prompt: str) -> int:
    """Tokens of the longest row, at most."""
    return min(recipe.max_tokens, max((size + extra for _, size, extra in _rows(examples, recipe, system_prompt)), default=0))


def _rows(examples: Sequence[Example], recipe: Recipe, system_prompt: str) -> Iterator[tuple[int, int, int]]:
    """Characters, bytes, and tokens of the template, of each row that is trained on."""
    for each in rows((each for each in examples if not each.held_out), recipe, system_prompt):
        for row in _answered(each, recipe) * (recipe.repeat_people if each.turn_ids else 1):
            text = "".join([*(message.content for message in row.messages), row.response])
            yield len(text), len(text.encode()), _TEMPLATE * (len(row.messages) + 1)


def _answered(example: Example, recipe: Recipe) -> list[Example]:
    """The example with each answer that the method reads."""
    if recipe.method in ("sft", "full"):
        return [example]
    if example.worse is None:
        return [] if recipe.method in PAIRS else [example]
    return [example, example.instead(example.worse)]
