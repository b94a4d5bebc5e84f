"""Masks personal data before anything is learned from it: Presidio's recognizers, offline, and rules for what support is told.

What it finds, it replaces by a placeholder (`<CARD>`); the result is not anonymous. Names of people need a model: an operator's
own spaCy model (CARE_NAMES_MODEL); without one only the names that people give as theirs and the names handed in are masked.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from presidio_analyzer import EntityRecognizer
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    EmailRecognizer,
    IbanRecognizer,
    IpRecognizer,
    PhoneRecognizer,
    UsSsnRecognizer,
)

from train.errors import RedactorUnusable
from train.memo import Memo
from train.names import Names

if TYPE_CHECKING:
    from spacy.language import Language

Span = tuple[int, int, str]  # start, end, type

# Presidio scores what it sees without context: a card that fails Luhn's sum gets 0.0, nine digits in a row as an SSN 0.05.
_SURE = 0.3
_PHONE_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "CH", "AT", "IN", "AU", "CA", "FI", "SE", "DK", "BR", "MX", "PL", "ZA")


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text with placeholders, and how many of each type there are."""

    text: str
    found: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Rule:
    """A pattern of our own; where it has a group, only that is masked."""

    kind: str
    pattern: re.Pattern[str]
    wants_digits: bool

    def spans(self, text: str) -> Iterator[Span]:
        for match in self.pattern.finditer(text):
            start, end = match.span(1) if self.pattern.groups and match.group(1) else match.span()
            yield start, end, self.kind


def _rule(kind: str, pattern: str, *, case: bool = False) -> _Rule:
    compiled = re.compile(pattern, re.MULTILINE if case else re.IGNORECASE | re.MULTILINE)
    return _Rule(kind, compiled, wants_digits=kind not in ("EMAIL", "URL", "NAME", "PIN", "DATE"))


_GAP = r"[ .\-/]?"
_NAME = r"[A-ZÀ-ÞČŘŠŽŁŚŻĐĆ][\w'’-]+(?:[ \t]+(?:[A-Z]\.?[ \t]+)?(?:van |von |de |da |di |el |bin )?[A-Z][\w'’-]+){0,3}"
# After "my name is" lower-cased chat goes on with other words: two at most, and none of these.
_LOWER_NAME = (
    r"(?!(?:not|the|a|an|on|in|at|no|so|very|having|trying|going|still|unable|calling|from|and|but|spelt|spelled|wrong|also)\b)"
    r"[a-z][\w'’-]+"
)
_STREET = (
    r"(?:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|square|sq|place|pl|terrace|way|close|crescent|highway|hwy|"
    r"parkway|pkwy|circle|trail|alley|row|gardens|grove|mews|walk|hill|plaza|path|loop|run|pike|route)"
)
_UNIT = r"(?:,?\s+(?:apt|apartment|suite|ste|unit|flat|floor|room|box|po box|#)\.?\s*#?\s*[\w-]+)?"
_PLACE = r"(?:[ \t]*[,\n][ \t\n]*[^\W\d_][\w .'’-]{1,40}){0,2}(?:[ \t]*[,\n]?[ \t\n]*(?:[A-Z]{2}[ \t]+)?[A-Z\d][A-Z\d -]{2,9}\b)?"
_LABEL = r"(?:[ \t]*(?:number|no\.?|nr\.?|id|code|#))?(?:[ \t]*(?:is|was|:|=|-|#))*[ \t]*"

_RULES: Sequence[_Rule] = (
    _rule("EMAIL", r"(?<![\w.+%-])[\w.+%-]{1,64}(?:@| ?\(at\) ?| \[at\] )[\w-]+(?:\.[\w-]+)+"),
    _rule("URL", r"\b(?:https?://|www\.)[^\s<>\"']+"),
    _rule("IP", r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{1,4}\b"),
    _rule("IBAN", r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}\b", case=True),
    _rule("IBAN", r"\b[a-z]{2}\d{2}(?=[a-z0-9]*\d{6})[a-z0-9]{11,30}\b"),
    _rule("SSN", r"\b\d{3}[- ]\d{2}[- ]\d{4}\b"),
    _rule("SIM", rf"\b89(?:{_GAP}\d){{17,18}}\b"),
    _rule("SIM", rf"\b(?:iccid|imei|imsi|sim(?: card)?|esim)\b{_LABEL}((?:\d{_GAP}){{6,22}}\d)"),
    _rule("PIN", rf"\b(?:pin|puk|cvv|cvc|otp|passcode|security code)\b{_LABEL}[*_\"'“”]*(\d{{3,8}})(?!\d)"),
    _rule("PIN", r"\bpassword\b[ \t]*(?:is|:|=)[ \t]*(\S+)"),
    _rule("CARD", r"(?<!\d)(?:\d[\W_]{0,3}){12,18}\d(?!\d)"),
    _rule(
        "RECORD",
        r"\b(?:mrn|nhs|medical record|patient|hospital|chart|insurance|policy|medicare|prescription)\b"
        rf"{_LABEL}([A-Z]{{0,3}}(?:\d{_GAP}){{4,14}}\d)",
    ),
    _rule(
        "ACCOUNT",
        r"\b(?:account|acct|a/c|customer|contract|client|member(?:ship)?|routing|sort|reference|ref|order|booking|loan|policy|ticket|case|"
        rf"invoice|driver'?s? licen[cs]e|passport)\b{_LABEL}([A-Z]{{0,4}}-?(?:\d{_GAP}){{3,16}}\d)",
    ),
    _rule("ACCOUNT", r"\b\d{2}-\d{2}-\d{2}\b"),
    _rule("DATE", r"\b(?:born(?: on)?|birthday|date of birth|dob)\b[ \t]*(?:is|was|:|on)?[ \t]*((?:\w+[ ,./-]+){1,3}\d{2,4})"),
    _rule("DATE", r"\b(?:\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d{2}|(?:19|20)\d{2}-\d{1,2}-\d{1,2})\b"),
    _rule("PHONE", r"(?<![\w.])(?:\+|00)\d{1,3}[ .()/-]*(?:\d[ .()/-]*){5,13}\d"),
    _rule("PHONE", r"(?<![\w.,])\(?0?\d{2,5}\)?[ ./-]{1,2}\d{2,4}(?:[ ./-]\d{2,5}){1,4}(?:[ ]?x[ ]?\d{1,6})?\b"),
    _rule("PHONE", r"(?<![\w.,$€£¥-])(?<!\d )\d{3}[ -]\d{4}\b(?![ -]?\d|[.,]\d)"),
    _rule("PHONE", r"(?<![\w.])\(\d{2,5}\)[ ./-]?\d{3,9}(?:[ ./-]\d{2,5})*(?:[ ]?x[ ]?\d{1,6})?\b"),
    # Five and more digits in one piece: too long for a price, a year or a count. Four, unless a unit or a currency stands by.
    _rule(
        "NUMBER",
        r"(?<![\w.,€£$¥-])(?:[A-Z]{1,3}-?)?\d{5,}\b(?![.,]\d)(?!\s*(?:kb|mb|gb|euros?|dollars?|pounds?|eur|usd|gbp|steps|people)\b)",
    ),
    _rule("NUMBER", r"\b(?:number|ending(?: in| with)?|digits|last four|code)\b(?:[ \t]*(?:is|are|:|in|with|of))*[ \t]*(\d{4})\b"),
    _rule("ADDRESS", rf"\b\d{{1,6}}[A-Za-z]?(?:[ \t]+[A-Z][\w.'’-]*){{1,4}}(?<=\s){_STREET}\b\.?{_UNIT}{_PLACE}", case=True),
    _rule("ADDRESS", rf"\b\d{{1,6}}[A-Za-z]?(?:[ \t]+[^\W\d_][\w.'’-]*){{1,4}}[ \t]+{_STREET}\b\.?{_UNIT}{_PLACE}"),
    _rule(
        "ADDRESS",
        rf"(?<![.,:])\b\d{{1,6}}[ \t]+(?:[A-ZÀ-Þ][\w.'’-]*[ \t]+)(?:[^\W\d_][\w.'’-]*[ \t]+){{0,3}}\d{{1,5}}\b{_UNIT}{_PLACE}",
        case=True,
    ),
    _rule(
        "ADDRESS",
        rf"\b\d{{1,6}}[ \t]+[A-ZÀ-Þ][\w.'’-]+(?:[ \t]+[A-ZÀ-Þ][\w.'’-]+){{0,3}}[ \t]*\n"
        rf"(?:[ \t]*(?:Suite|Apt\.?|Unit|Flat)[ \t]*\w+\n)?{_PLACE}",
        case=True,
    ),
    _rule(
        "ADDRESS",
        r"\b[A-ZÀ-Þ][\w'’-]*(?:straße|strasse|str\.|gasse|weg|platz|allee|gata|gatan|vej|katu|tie|straat|laan)"
        rf"[ \t]+\d{{1,4}}[a-z]?\b{_PLACE}",
        case=True,
    ),
    _rule(
        "ADDRESS",
        rf"\b(?:via|rua|rue|calle|avenida|av\.?|avenue|piazza|plaza|strada|ul\.?|rruga|chemin|carrera|largo|corso|viale)[ \t]+"
        rf"[A-ZÀ-Þ][\w.'’ -]{{1,40}}?,?[ \t]*\d{{1,5}}\b{_UNIT}{_PLACE}",
        case=True,
    ),
    _rule("ADDRESS", r"\b(?:p\.?\s?o\.?\s?box|unit)[ \t]+\d{2,6}(?:[ \t]+box[ \t]+\d+)?" + _PLACE),
    _rule(
        "ADDRESS",
        r"\b(?:address(?:es)?(?: is| to|:)| located at|lives? (?:at|on|in)|living (?:at|on)|moved to|meet (?:me|you) at|return (?:it )?to|"
        r"(?:one|it|that|card|letter|parcel|router|deliver(?:ed)?|ship(?:ped)?|sent|post(?:ed)?) to|arrived at)"
        r"[ \t]+((?:the (?:corner|north side|south side) of )?(?=[^?!\n]{0,50}\d)[^?!\n]{5,70}(?:\n[ \t]*,?[ \t]*[^?!\n]{2,30}){0,3})",
    ),
    _rule("ADDRESS", r"^[>? \t]*(?:apt|apartment|suite|ste|flat)\.?[ \t]*#?\d{1,5}\b[^\n]{0,30}$"),
    _rule("ADDRESS", r"\b(?:PSC|CMR|Unit)[ \t]+\d{3,5},?[ \t]+Box[ \t]+\d{3,5}\s+[AFD]PO\s+A[AEP](?:[ \t]+\d{5})?", case=True),
    _rule("ADDRESS", r"\b[A-Z]{1,2}\d[A-Z\d]?[ ]\d[A-Z]{2}\b", case=True),
    _rule("NAME", rf"\b(?i:my (?:full |first |last )?name is|my name's|name's|i am called|they call me)[ \t]+({_NAME})", case=True),
    _rule("NAME", rf"\bmy (?:full |first |last )?name(?: is|'s)[ \t]+({_LOWER_NAME}(?:[ \t]+{_LOWER_NAME})?)"),
    _rule("NAME", rf"\b(?i:name)[ \t]*[:=][ \t]*({_NAME})", case=True),
    _rule("NAME", rf"\bthis is[ \t]+({_LOWER_NAME}(?:[ \t]+{_LOWER_NAME})?)[ \t]+(?:speaking|calling|here)\b"),
    _rule(
        "NAME",
        r"\b(?i:this is|i am|i'm|dear|hi|hello|hey|regards,|sincerely,|thanks,|cheers,|yours,|love,)"
        rf"\s+({_NAME})(?=\s*(?:[,.!\n]|$|from|and|calling|speaking))",
        case=True,
    ),
    _rule("NAME", rf"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Sir|Madam|Mx)\.?[ \t]+({_NAME})", case=True),
)
_NOTHING: Mapping[str, int] = MappingProxyType({})
_PLACEHOLDER = re.compile(r"<[A-Z]{2,10}>")
# Openings of sentences that look like a name after a greeting.
_NO_NAMES = frozenset(
    re.findall(
        r"\w+",
        """care customer support team sir madam all everyone there yes no not just still trying having unable going very so sure happy
        glad sorry afraid looking calling writing worried here back interested using getting currently also new able aware the a an""",
    )
)


class Redactor:
    """Finds and masks. Building it takes a second (phone numbers, and the names model where there is one)."""

    def __init__(self, names: Iterable[str] = (), names_model: str | None = None, usual: Iterable[str] = ()) -> None:
        """`names` (of people, as the platforms show them) are masked wherever they stand; `usual` words less so.

        Raises RedactorUnusable.
        """
        self._recognizers: Mapping[str, EntityRecognizer] = {
            "CARD": CreditCardRecognizer(),
            "EMAIL": EmailRecognizer(),
            "IBAN": IbanRecognizer(),
            "IP": IpRecognizer(),
            "PHONE": PhoneRecognizer(supported_regions=_PHONE_REGIONS, leniency=1),
            "SSN": UsSsnRecognizer(),
        }
        for recognizer in self._recognizers.values():
            if isinstance(recognizer, EmailRecognizer):
                recognizer.validate_result = lambda pattern_text: True  # it would fetch the list of public suffixes
        self._names = Names(names, usual)
        self._model = _load(names_model) if names_model else None

    @property
    def finds_names(self) -> bool:
        """Whether a model looks for names of people."""
        return self._model is not None

    def redact(self, text: str) -> Redacted:
        """The text with every finding replaced by its placeholder."""
        return self.redact_all([text], Memo())[text]

    def redact_all(self, texts: Sequence[str], memo: Memo) -> dict[str, Redacted]:
        """Each of the texts, redacted. The memo keeps where something was found, never what."""
        found = memo.of("personal", texts, lambda text: json.dumps(self._found(text)).encode())
        return {text: _mask(text, self._with_names(text, json.loads(spans))) for text, spans in zip(texts, found, strict=True)}

    def spans(self, text: str) -> list[Span]:
        """(start, end, type) of every finding, in order; what overlaps is one finding, of the type of its longest part."""
        return self._with_names(text, self._found(text))

    def _found(self, text: str) -> list[Span]:
        return _merged(text, self._all(text))

    def _with_names(self, text: str, found: Sequence[Span]) -> list[Span]:
        """Names change with the people, so that they are looked for each night."""
        spans = [(start, end, kind) for start, end, kind in found]
        names = [(start, end, "NAME") for start, end in self._names.spans(text)]
        return _merged(text, [*spans, *names]) if names else spans

    def _all(self, text: str) -> Iterator[Span]:
        """Our own rules first: of two findings of the same place they know better what it is."""
        digits = re.search(r"\d", text) is not None
        for rule in _RULES:
            for start, end, kind in rule.spans(text) if digits or not rule.wants_digits else ():
                if kind != "NAME" or text[start:end].split(maxsplit=1)[0].casefold() not in _NO_NAMES:
                    yield start, end, kind
        for kind, recognizer in self._recognizers.items():
            for result in recognizer.analyze(text, recognizer.supported_entities, None) or () if digits or kind == "EMAIL" else ():
                if result.score >= _SURE:
                    yield result.start, result.end, kind
        if self._model is not None:
            yield from ((each.start_char, each.end_char, "NAME") for each in self._model(text).ents if each.label_ in ("PERSON", "PER"))


def _merged(text: str, found: Iterable[Span]) -> list[Span]:
    """Without overlaps; what is a placeholder already stays one."""
    placeholders = [match.span() for match in _PLACEHOLDER.finditer(text)]
    merged: list[tuple[int, int, str, int]] = []
    for start, end, kind in sorted(_around(found, placeholders), key=lambda each: (each[0], -each[1])):
        if merged and start < merged[-1][1]:
            first, last, known, length = merged[-1]
            longest = (kind, end - start) if end - start > length else (known, length)
            merged[-1] = (first, max(last, end), *longest)
        else:
            merged.append((start, end, kind, end - start))
    return [(start, end, kind) for start, end, kind, _ in merged]


def _around(found: Iterable[Span], placeholders: Sequence[tuple[int, int]]) -> Iterator[Span]:
    """Findings cut where a placeholder begins or ends; somebody may have typed it to hide what stands beside."""
    for start, end, kind in found:
        at = start
        for first, last in placeholders:
            if first < end and at < last:
                if at < first:
                    yield at, first, kind
                at = last
        if at < end:
            yield at, end, kind


def _mask(text: str, spans: Sequence[Span]) -> Redacted:
    if not spans:
        return Redacted(text, _NOTHING)
    parts, at = [], 0
    for start, end, kind in spans:
        parts += [text[at:start], f"<{kind}>"]
        at = end
    return Redacted("".join([*parts, text[at:]]), Counter(kind for _, _, kind in spans))


def _load(name: str) -> "Language":
    import spacy  # a second, and only where a model is set

    try:
        return spacy.load(name)
    except (OSError, ValueError, ImportError) as error:
        raise RedactorUnusable(f"CARE_NAMES_MODEL={name!r} can't be loaded ({error}); install that spaCy model, or unset it") from error
