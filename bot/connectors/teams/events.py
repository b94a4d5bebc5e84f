"""Teams' activities as values. Pure; the only file that knows where in an activity something stands, whatever is missing from it."""

import hashlib
import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Final

from bot.connectors.inside import Json, inner, text
from bot.connectors.teams.address import Address, Kind
from bot.connectors.teams.names import Name

# None reads far ahead in vain: 28 KB of anything are read in no time.
_AT = re.compile(r"<at\b[^<>]*>((?:[^<]|<(?!/?at\b))*+)</at>", re.I)
_SPACE = re.compile(r"[ \t\xa0]+")
_ME = "\ufdd0"  # stands for CARE's own name until it goes; no text holds it
_BLANK: Final = " \t\xa0"
# A message as the editor of Teams wrote it: one element around everything. `<div>` in the midst of a question is its text.
_ELEMENT = re.compile(r"\s*<(p|div|span|ul|ol|table|h[1-6]|blockquote|pre)\b[^>]*>.*</\1>\s*", re.I | re.S)
_BLOCKS: Final = frozenset({"p", "div", "br", "li", "ul", "ol", "tr", "blockquote", "pre", "h1", "h2", "h3", "h4", "h5", "h6"})
_PICTURES: Final = frozenset({"img", "emoji"})
# What Teams attaches to a message that has no file: its own rendering, and the message that it replies to.
_NO_FILES: Final = ("text/html", "messagereference", "application/vnd.microsoft.card", "application/vnd.microsoft.teams.card")
_BOT = "28:"


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a person."""

    event_id: str  # the same for the same words that come again under another id
    name: Name
    kind: Kind
    user: str
    user_name: str | None
    directory_id: str | None  # their id in Entra, where Teams says
    text: str
    mentioned: bool  # CARE is
    others: bool  # it begins with the name of somebody else
    files: int
    edition: str  # when it was edited; "" never
    value: Json | None  # what a card sent
    reply_to: str  # the message that it answers, or whose card sent it; "" none
    at: str  # when, so that later ones sort after it

    @property
    def private(self) -> bool:
        return self.kind == "personal"


def objects(value: Json, name: str) -> list[Json]:
    """The objects of a list; none where there is no list."""
    found = value.get(name)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def name(activity: Json) -> Name | None:
    """The message that an activity is about; None where that can't be told."""
    try:
        return Name(text(activity, "conversation", "id"), text(activity, "id"))
    except ValueError:
        return None


def user(activity: Json) -> str:
    """Who it is from; "" for bots and nobody."""
    found = text(activity, "from", "id")
    bot = found.startswith(_BOT) or text(activity, "from", "role") == "bot" or found == text(activity, "recipient", "id")
    return "" if bot else found


def said(activity: Json, *, edited: bool = False) -> Said | None:
    """What a person said; None: nobody said anything, or it can't be told what and where."""
    named, sender = name(activity), user(activity)
    if named is None or not sender:
        return None
    try:
        kind = Address.of(activity).kind
    except ValueError:
        return None
    spoken, mentioned, others = _spoken(activity)
    edition = moment(activity) if edited else ""
    return Said(
        event_id=_event_id(activity, named, sender, spoken, edition),
        name=named,
        kind=kind,
        user=sender,
        user_name=text(activity, "from", "name") or None,
        directory_id=text(activity, "from", "aadObjectId") or None,
        text=spoken,
        mentioned=mentioned,
        others=others,
        files=sum(_is_file(each) for each in objects(activity, "attachments")),
        edition=edition,
        value=inner(activity, "value") or None,
        reply_to=text(activity, "replyToId"),
        at=moment(activity),
    )


def _event_id(activity: Json, named: Name, sender: str, spoken: str, edition: str) -> str:
    """Two messages are the same if the same person sent the same words to the same place at the same time of their own clock."""
    moment = text(activity, "localTimestamp") or text(activity, "timestamp") or named.id
    return hashlib.sha256("\0".join((named.place, sender, moment, spoken, edition)).encode(errors="surrogatepass")).hexdigest()


def moment(activity: Json) -> str:
    """When an activity was sent, so that later ones sort after it."""
    try:
        found = datetime.fromisoformat(text(activity, "timestamp"))
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # nonsense, or the first or last day that there is, elsewhere on Earth
        found = datetime.now(UTC)
    return found.isoformat(timespec="microseconds")


def _is_file(attachment: Json) -> bool:
    kind = text(attachment, "contentType").lower()
    return bool(kind) and not kind.startswith(_NO_FILES)


# Words.


def _spoken(activity: Json) -> tuple[str, bool, bool]:
    """The words without Teams' own marks, whether CARE is mentioned in them, and whether they begin with somebody else's name."""
    raw = text(activity, "text") or _rendered(activity)
    me, my_name = text(activity, "recipient", "id"), text(activity, "recipient", "name").strip().lower()
    mentions = _Mentions(activity, me)
    found = [mentions.take(match) or ("", html.unescape(match[1]).strip()) for match in _AT.finditer(raw)]
    mine = [who == me or (not who and called.lower() == my_name != "") for who, called in found]
    begins = _AT.match(raw.strip()) is not None and not mine[0]
    each = iter(zip(mine, found, strict=True))
    named = _without_me(_AT.sub(lambda _: _shown(each), raw.replace(_ME, "")))
    plain = _without_marks(named) if text(activity, "textFormat") == "xml" or _ELEMENT.fullmatch(named) else html.unescape(named)
    lines = [_SPACE.sub(" ", line).strip() if "\xa0" in line else line.rstrip() for line in plain.replace("\r\n", "\n").splitlines()]
    return "\n".join(lines).strip(), any(mine) or mentions.names(me), begins


def _without_me(named: str) -> str:
    """CARE's own name leaves one space, whatever stood around it."""
    first, *others = named.replace("&nbsp;", "\xa0").split(_ME)
    return " ".join([first.rstrip(_BLANK), *(each.strip(_BLANK) for each in others)]) if others else named


def _rendered(activity: Json) -> str:
    """Where a client sends the words in Teams' rendering alone."""
    renderings = [each for each in objects(activity, "attachments") if text(each, "contentType").lower() == "text/html"]
    return text(renderings[0], "content") if renderings else ""


def _shown(each: Iterator[tuple[bool, tuple[str, str]]]) -> str:
    mine, (_, called) = next(each)
    return _ME if mine else f"@{html.escape(called or 'somebody', quote=False)}"


class _Mentions:
    """Who is meant by the names in a message: Teams says it beside the text, in their order."""

    def __init__(self, activity: Json, me: str) -> None:
        self._left = [
            (text(each, "text"), text(each, "mentioned", "id"), text(each, "mentioned", "name"))
            for each in objects(activity, "entities")
            if text(each, "type").lower() == "mention"
        ]
        self._all = {who for _, who, _ in self._left}

    def names(self, who: str) -> bool:
        return bool(who) and who in self._all

    def take(self, match: re.Match[str]) -> tuple[str, str] | None:
        """The id and the name of who is meant here."""
        for number, (written, who, called) in enumerate(self._left):
            if match[1] in (called, _inside(written)):
                del self._left[number]
                return who, called or match[1]
        return None


def _inside(written: str) -> str:
    found = _AT.fullmatch(written.strip())
    return found[1] if found else written


def _without_marks(marked: str) -> str:
    """The text of Teams' rendering, with its lines."""
    reader = _Reader()
    reader.feed(re.sub(r"<!(?!--)", "&lt;!", marked))  # a declaration is no mark of Teams', and the parser stumbles over some
    reader.close()
    return re.sub(r"\n{3,}", "\n\n", "".join(reader.read)).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.read: list[str] = []
        self._link: tuple[str, int] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self._line()
        if tag == "li":
            self.read.append("- ")
        given = dict(attrs)
        if tag in _PICTURES:
            self.read.append(given.get("alt") or "")
        if tag == "a":
            self._link = (given.get("href") or "", len(self.read))

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._link is not None:
            target, begun = self._link
            label = "".join(self.read[begun:]).strip()
            self._link = None
            if target.startswith(("http://", "https://")) and label not in target:
                self.read.append(f" ({target})")
        elif tag in _BLOCKS and tag != "br":
            self._line()

    def handle_data(self, data: str) -> None:
        self.read.append(data)

    def _line(self) -> None:
        if self.read and not self.read[-1].endswith("\n"):
            self.read.append("\n")
