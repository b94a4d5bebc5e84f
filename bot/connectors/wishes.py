"""Who wishes to talk to a person instead, by rule. Pure; knows no platform.

A wish is the whole first or last sentence of what somebody wrote, so that a question about people stays a question: CARE falls
silent where it hears a wish, and must not by mistake.
"""

import re
from typing import Final

_GAP = re.compile(r"\s++")
_STOPS: Final = (".", "!", "?", ";")
_GREETING = r"(?:(?:hi|hello|hey|ok|okay|no|stop|sorry|thanks|thank you|please|well|enough|i said)[ ,]+)*"
_REAL = (
    r"(?:(?:an? |the |any |some |your |another )?(?:(?:real|live|actual|human|support|service|customer service) )*"
    r"(?:human(?: being)?s?|agents?|representatives?)|(?:an? |the )?(?:real|live|actual) (?:person|people|operator))"
)
_SOMEBODY = rf"(?:{_REAL}|(?:an? )?(?:person|colleague|operator|employee)|(?:somebody|someone)(?: else| real| human)?)"
_MAY = r"(?:(?:please|can|could|may|might) (?:i|we)(?: please)?|(?:please )?let me|is it possible to|is there (?:a|any) way to)"
_WANT = (
    r"(?:i|we)(?: just| only| really)? ?(?:want|wanna|need|wish|would like|'d like|would rather|'d rather|would prefer|'d prefer|prefer)"
)
_TALK = r"(?:(?:talk|speak|chat) (?:to|with)|get through to|be (?:connected|transferred|put through) (?:to|with))"
_BRING = (
    r"(?:transfer|connect|pass|forward|hand|switch|put|escalate)(?: (?:me|us))?(?: this| it)?(?: through| over| on| in touch)? (?:to|with)"
)
_ORDER = r"(?:(?:can|could|would|will) you )?(?:please )?"
_ENDS = r"(?:,? (?:please|pls|now|right now|instead|today|here|thanks|thank you|again|asap|on the phone))*"
_PATTERNS = (
    rf"(?:please )?{_TALK} {_SOMEBODY}",
    rf"{_MAY} (?:please )?(?:{_TALK}|have|get) {_SOMEBODY}",
    rf"{_WANT} (?:to )?(?:please )?{_TALK} {_SOMEBODY}",
    rf"{_WANT} (?:{_REAL}|a person)(?: to (?:help|answer|call)(?: me)?)?",
    rf"{_ORDER}{_BRING} {_SOMEBODY}",
    rf"{_ORDER}(?:get|give|find) me {_SOMEBODY}",
    rf"is there {_SOMEBODY} (?:that |who |whom )?(?:i|we) (?:can|could) (?:talk|speak|chat) (?:to|with)",
    rf"how (?:can|do) (?:i|we) (?:{_TALK}|reach) {_REAL}",
)
# What a wish is about may follow; after a comma too, where it can only be a person who is meant.
_ABOUT = r"(?P<about> (?:about|regarding|because|concerning) .*)?"
_WISH: Final = re.compile(rf"{_GREETING}(?:{'|'.join(_PATTERNS)}){_ENDS}{_ABOUT}")
_BARE: Final = re.compile(rf"{_GREETING}{_REAL}{_ENDS}")
_REAL_WISH: Final = re.compile(rf"{_GREETING}(?:{_WANT}|(?:{_MAY}|{_WANT} to) {_TALK}|{_ORDER}{_BRING}) {_REAL}{_ENDS}, .*")


def wishes_for_a_person(text: str) -> bool:
    """Whether somebody wants to talk to a person."""
    sentences = _sentences(text)
    return _is_bare(sentences) or any(_is_wish(sentence) for sentence in (*sentences[:1], *sentences[-1:]))


def says_more(text: str) -> bool:
    """Whether a wish says what it is about: that is for the person who comes."""
    sentences = _sentences(text)
    found = _WISH.fullmatch(sentences[0]) if len(sentences) == 1 else None
    return not _is_bare(sentences) and (found is None or found.group("about") is not None)


def _is_bare(sentences: list[str]) -> bool:
    """Only "human", as the hint under an answer says."""
    return len(sentences) == 1 and _BARE.fullmatch(sentences[0]) is not None


def _is_wish(sentence: str) -> bool:
    return _WISH.fullmatch(sentence) is not None or _REAL_WISH.fullmatch(sentence) is not None


def _sentences(text: str) -> list[str]:
    """In small letters, without what stands around them."""
    plain = re.sub(r"[ \t]+", " ", text.lower().replace("\u2019", "'"))
    begun, found = 0, []
    for gap in _GAP.finditer(plain):
        if plain.endswith(_STOPS, begun, gap.start()) or "\n" in gap[0][:-1]:
            found.append(plain[begun : gap.start()])
            begun = gap.end()
    return [sentence for each in (*found, plain[begun:]) if (sentence := each.rstrip(".!?; \n").strip(" \t,:-*_\"'()"))]
