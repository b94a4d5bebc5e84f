"""Which texts are fit to be learned: examples in, for each the reason against it out."""

import re
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Literal

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from train import near
from train.collect import CORRECTION
from train.examples import Example
from train.memo import Memo

Part = Literal["question", "answer", "context"]
PARTS: tuple[Part, ...] = ("question", "answer", "context")
ORDER = ("length", "unsafe", "leaked", "refusal", "language")

# Longer than any good answer of the starter set by a factor of five; what does not fit the context window could not be learned anyway.
_MOST_RESPONSE, _MOST_QUESTION, _MOST_CONTEXT, _MOST_WORD = 4_000, 4_000, 20_000, 300
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
    r"\b(pin\b|puk\b|passwords?|passcode|cvv|cvc|security code|one[- ]time (code|password)|otp|card number|seed phrase)",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"(\b(never|not|no one|nobody|without)\b|n['’]t\b)(?!\s+(hesitate|worry|forget|be afraid|mind|fail)\b)", re.IGNORECASE
)
_INJECTION = re.compile(
    r"\b(ignore|disregard|forget|override)\b[^.!?\n]{0,30}\b(previous|prior|above|earlier|all|your)\b[^.!?\n]{0,20}"
    r"\b(instructions?|prompts?|rules?|guidelines?|training)\b|\bignore (everything|all) (above|before)\b"
    r"|\b(whenever|when|if|every time) (you|someone|somebody|anyone|a (user|customer)|people) "
    r"(see|sees|read|reads|hear|hears|mention|mentions|say|says|ask|asks)\b"
    r"[^.!?\n]{0,60}\b(answer only|reply only|recommend|respond with|answer with|reply with)\b"
    r"|\b(system|developer) (prompt|message|mode)\b|\byou are now\b|\bjailbreak|\bdo anything now\b|\bact as (an? )?(unrestricted|dan)\b"
    r"|\bfrom now on,? (you|always|answer|reply)\b|\b(always|must) (answer|reply|respond) with\b",
    re.IGNORECASE,
)
_CONTROL = re.compile(
    r"<\s*\|[^|>]{1,40}\|\s*>|\[/?INST\]|<</?SYS>>|^#{2,}\s*(instruction|response|system)\b", re.IGNORECASE | re.MULTILINE
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


class Filter:
    """The rules for one system prompt and some languages. What it says of a text is remembered in a memo."""

    def __init__(self, system_prompt: str, languages: Sequence[str]) -> None:
        self._system = system_prompt
        self._prompt = frozenset(near.runs_of_words(system_prompt, _LEAKED_WORDS))
        self._languages = tuple(languages)

    def faults(self, examples: Sequence[Example], memo: Memo) -> list[str | None]:
        """Why each example is not to be learned: one of ORDER; None: nothing speaks against it."""
        parts = [self._parts(example) for example in examples]
        known: dict[tuple[Part, str], frozenset[str]] = {}
        for part in PARTS:
            texts = sorted({text for each in parts for name, text in each if name == part})
            found = memo.of(f"fit as {part}", texts, partial(self._look, part))
            known |= {(part, text): frozenset(faults.decode().split()) for text, faults in zip(texts, found, strict=True)}
        return [_first(example, [known[each] for each in mine]) for example, mine in zip(examples, parts, strict=True)]

    def _parts(self, example: Example) -> list[tuple[Part, str]]:
        """What has to be looked at; nothing of an example that is too long anyway."""
        *before, question = example.said(self._system)
        if not _fits(example, [*before, question]):
            return []
        return [*(("context", text) for text in before), ("question", question), ("answer", example.response)]

    def _look(self, part: Part, text: str) -> bytes:
        """Everything that speaks against a text that is the question, the answer, or was said before: words, as the memo keeps them."""
        found = set()
        if _INJECTION.search(text) or _CONTROL.search(text) or (part == "answer" and _asks_for_a_secret(text)):
            found.add("unsafe")
        if part == "answer" and not self._prompt.isdisjoint(near.runs_of_words(text, _LEAKED_WORDS)):
            found.add("leaked")
        if part == "answer" and _REFUSAL.search(text):
            found.add("refusal")
        if part != "context" and _foreign(text, self._languages):
            found.add("language")
        return " ".join(sorted(found)).encode()


def _first(example: Example, found: Sequence[frozenset[str]]) -> str | None:
    """The weightiest reason. A refusal that somebody wrote is an answer; one that was liked is not, and one that was voted down may have
    been right."""
    faults = frozenset().union(*found) - ({"refusal"} if example.source == CORRECTION else frozenset())
    return next((reason for reason in ORDER if reason in faults), None) if found else "length"


def _fits(example: Example, said: Sequence[str]) -> bool:
    return (
        2 <= len(example.response) <= _MOST_RESPONSE
        and any(letter.isalnum() for letter in example.response)
        and len(example.instruction) <= _MOST_QUESTION
        and sum(map(len, said)) <= _MOST_CONTEXT
        and all(len(word) <= _MOST_WORD for text in (*said, example.response) for word in text.split())
    )


def _asks_for_a_secret(response: str) -> bool:
    return any(_SECRET.search(sentence) and not _NEGATED.search(sentence) for sentence in _SENTENCE.split(response))


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
