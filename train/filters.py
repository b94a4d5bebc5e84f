"""Which texts are fit to be learned. Pure: an example in, the reason against it out."""

import re
from collections.abc import Sequence
from functools import lru_cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from train.collect import UP
from train.examples import Example
from train.near import words

# Longer than any good answer of the starter set by a factor of five; what does not fit the context window could not be learned anyway.
_MOST_RESPONSE, _MOST_QUESTION, _MOST_CONTEXT = 4_000, 4_000, 20_000
_LEAKED_WORDS = 8
# Of fewer words the identifier can't be sure. 25,741 English sentences and questions of support gave English at least 0.027, seven
# short sentences in other languages at most 0.001.
_FEWEST_WORDS, _UNLIKELY = 6, 0.01

_REFUSAL = re.compile(
    r"^\W*(i'?m sorry,? (but )?i (can'?t|cannot|am unable)|sorry,? (but )?i (can'?t|cannot)|i (can'?t|cannot|am unable to|'?m unable to) "
    r"(help|assist|answer|provide)|as an ai( language)? model)",
    re.IGNORECASE,
)
_SECRET = re.compile(
    r"\b(send|tell|give|enter|provide|share|confirm|type|reply with|read out|need|what is|what's)\b[^.!?\n]{0,60}"
    r"\b(pin\b|puk\b|passwords?|passcode|cvv|cvc|security code|one[- ]time (code|password)|full card number|whole card number|seed phrase)",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"\b(never|not|n't|no one|nobody|without)\b|n['’]t\b", re.IGNORECASE)
_INJECTION = re.compile(
    r"\b(ignore|disregard|forget|override)\b[^.!?\n]{0,30}\b(previous|prior|above|earlier|all|your)\b[^.!?\n]{0,20}"
    r"\b(instructions?|prompts?|rules?|guidelines?|training)\b"
    r"|\b(system|developer) (prompt|message|mode)\b|\byou are now\b|\bjailbreak|\bdo anything now\b|\bact as (an? )?(unrestricted|dan)\b"
    r"|\bfrom now on,? (you|always|answer|reply)\b|\b(always|must) (answer|reply|respond) with\b",
    re.IGNORECASE,
)
_CONTROL = re.compile(
    r"<\s*\|[^|>]{1,40}\|\s*>|\[/?INST\]|<</?SYS>>|^#{2,}\s*(instruction|response|system)\b", re.IGNORECASE | re.MULTILINE
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


def fault(example: Example, system_prompt: str, languages: Sequence[str]) -> str | None:
    """Why an example is not to be learned: "length", "unsafe", "leaked", "refusal" or "language"; None: nothing speaks against it."""
    said = [message.content for message in example.messages if message.role != "system"]
    if not _fits(example, said):
        return "length"
    if any(_INJECTION.search(text) or _CONTROL.search(text) for text in (*said, example.response)) or _asks_for_a_secret(example.response):
        return "unsafe"
    if _shares_words(example.response, system_prompt):
        return "leaked"
    if example.source == UP and _REFUSAL.search(example.response):
        return "refusal"
    if any(_foreign(text, languages) for text in (example.instruction, example.response)):
        return "language"
    return None


def _fits(example: Example, said: Sequence[str]) -> bool:
    return (
        2 <= len(example.response) <= _MOST_RESPONSE
        and len(example.instruction) <= _MOST_QUESTION
        and sum(map(len, said)) <= _MOST_CONTEXT
        and max(map(len, example.response.split()), default=0) <= _MOST_RESPONSE // 20
    )


def _asks_for_a_secret(response: str) -> bool:
    return any(_SECRET.search(sentence) and not _NEGATED.search(sentence) for sentence in _SENTENCE.split(response))


def _shares_words(text: str, prompt: str) -> bool:
    def runs(of: str) -> set[tuple[str, ...]]:
        found = words(of)
        return {tuple(found[at : at + _LEAKED_WORDS]) for at in range(len(found) - _LEAKED_WORDS + 1)}

    return not runs(text).isdisjoint(runs(prompt))


def _foreign(text: str, languages: Sequence[str]) -> bool:
    """Whether any sentence of a text is surely in none of the languages."""
    return any(_surely_foreign(sentence, languages) for sentence in [text, *_SENTENCE.split(text)])


def _surely_foreign(text: str, languages: Sequence[str]) -> bool:
    letters = re.sub(r"[^\w\s'’]|\d", " ", text).casefold()
    if not letters.strip() or (len(letters.split()) < _FEWEST_WORDS and letters.isascii()):
        return False
    return bool(sum(share for language, share in _identifier().rank(letters) if language in languages) < _UNLIKELY)


@lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    """Read once: the model takes a tenth of a second."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
