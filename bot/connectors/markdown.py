"""What the model writes, so that on a platform it can't ping, unfurl or phish. Pure.

No platform's reader of Markdown is published, and each differs, so nothing here leans on how exactly it reads: what could be
a mention or a link to a host that isn't listed is broken visibly, in code as well; only listed links and well-formed code stay syntax.
"""

import html
import re
import unicodedata
from typing import Final

from bot.connectors import links, unspaced

_ENTITY_BEGUN = re.compile(r"&#?\w{0,32}\Z")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufffc")
_JOINERS = frozenset("\u200c\u200d")  # emoji and Indic or Persian script need them; behind a Latin letter they only hide

_FENCE = re.compile(r"[^\S\n]*(`{3,}|~{3,})([^`\n]*)(?:\n|\Z)")
_FENCE_BEGUN = re.compile(r"[^\S\n]*(?:`{0,2}|~{0,2}|`{3,}[^`\n]*|~{3,}[^\n]*)\Z")
_LANGUAGE = re.compile(r"[A-Za-z0-9+#-]{0,20}")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_UNESCAPED: Final = ".:/@<>&"  # escaped, they would be put together again after we looked
_CODE = re.compile(r"(`+)([^`\n]{1,500})\1(?!`)")
_CODE_BEGUN = re.compile(r"`+(?:[^`\n]{1,500}`*)?\Z")
_DESTINATION = r"(?:[^()\n]|\([^()\n]*\))"
_LINK = re.compile(rf"!*\[([^\[\]\n\\]{{0,300}})\]\(({_DESTINATION}{{0,1600}})\)")
_LINK_BEGUN = re.compile(rf"!*(?:\[[^\[\]\n\\]{{0,300}}(?:\](?:\({_DESTINATION}{{0,1600}}(?:\([^()\n]*)?)?)?)?\Z")
_TICKS = re.compile("`+")
_AUTOLINK = re.compile(r"<([a-zA-Z][a-zA-Z0-9+.-]{0,30}:[^\s<>]{1,1600})>")
_AUTOLINK_BEGUN = re.compile(r"<(?:[a-zA-Z][a-zA-Z0-9+.-]{0,30}(?::[^\s<>]{0,1600})?)?\Z")
_BANGS = re.compile("!+")
_LITERAL = re.compile(r"[^\s\\`!\[<]+")  # nothing begins in it
_SPACE = re.compile(r"[^\S\n]+")
_WORD = re.compile(r"\S+")


def safe(markdown: str, hosts: frozenset[str]) -> str:
    """Markdown for `markdown_text` in which only links to `hosts` (and hosts under them) work, each showing where it goes. Idempotent."""
    stream = SafeStream(hosts)
    return stream.feed(markdown) + stream.end()


class SafeStream:
    """`safe`, piece by piece: holds back a word until it ends, a link or a code span until it closes or its line ends.

    Nothing is read twice but what may be the beginning of a link or a code span.
    """

    def __init__(self, hosts: frozenset[str]) -> None:
        self._hosts = hosts
        self._shown, self._decoded = _Visible(), _Visible()
        self._raw = ""  # the beginning of an entity
        self._rest = ""  # read, not yet let out
        self._word: _Word | None = None  # the one that is being read
        self._new_line = True
        self._fenced = False

    def feed(self, piece: str) -> str:
        """One more piece; what of all so far can be shown."""
        return self._take(piece, final=False)

    def end(self) -> str:
        """The rest, with an open code block closed."""
        text = self._take("", final=True)
        if not self._fenced:
            return text
        self._fenced = False
        return f"{text}```" if self._new_line else f"{text}\n```"

    def _take(self, piece: str, *, final: bool) -> str:
        raw = self._raw + self._shown.only(piece)
        begun = None if final else _ENTITY_BEGUN.search(raw)
        self._raw = raw[begun.start() :] if begun else ""
        whole = raw[: begun.start()] if begun else raw
        self._rest += self._decoded.only(links.ENTITY.sub(lambda match: html.unescape(match[0]), whole))
        out, at, last_line_end = [], 0, self._rest.rfind("\n")
        while at < len(self._rest):
            end, text = self._step(at, line_whole=final or at <= last_line_end, final=final)
            out.append(text)
            if end == at:
                break
            self._new_line = self._rest[end - 1] == "\n"
            at = end
        self._rest = self._rest[at:]
        if final and self._word is not None:
            out.append(self._word.end())
        return "".join(out)

    def _step(self, at: int, *, line_whole: bool, final: bool) -> tuple[int, str]:
        """Where the next thing ends and what it becomes; where it may not be whole yet, as far as it is."""
        if self._word is None and self._new_line:
            if not line_whole and _FENCE_BEGUN.match(self._rest, at):
                return at, ""
            if (fence := _FENCE.match(self._rest, at)) and (toggled := self._fence(fence)) is not None:
                return fence.end(), toggled
        if self._rest[at].isspace():
            return self._gap(at)
        if self._fenced:
            return self._code_word(at, final=final)
        if self._word is None:
            self._word = _Word(self._hosts)
        return self._word.read(self._rest, at, line_whole=line_whole, final=final)

    def _gap(self, at: int) -> tuple[int, str]:
        """Ends a word."""
        ended = "" if self._word is None else self._word.end()
        self._word = None
        space = _SPACE.match(self._rest, at)
        return (at + 1, f"{ended}\n") if space is None else (space.end(), ended + space[0])

    def _fence(self, fence: re.Match[str]) -> str | None:
        """A line that opens or closes a code block, at the margin, where no list or quote ends it unseen. None: it is part of the code."""
        said, newline = fence[2].strip(), fence[0][-1:] if fence[0].endswith("\n") else ""
        if self._fenced:
            if said:
                return None
            self._fenced = False
            return f"```{newline}"
        self._fenced = True
        if _LANGUAGE.fullmatch(said):
            return f"```{said}\n" if newline or said else "```\n"
        return f"```\n{links.code(said)}{newline}"

    def _code_word(self, at: int, *, final: bool) -> tuple[int, str]:
        word = _WORD.match(self._rest, at)
        assert word is not None, "spaces and line ends were taken before"
        if word.end() == len(self._rest) and not final:
            return at, ""
        return word.end(), links.code(re.sub("`{3,}|~{3,}", lambda run: "'" * len(run[0]), word[0]))


class _Word:
    """One word outside code blocks: what stands between spaces, with the links and code spans in it, which may hold spaces."""

    def __init__(self, hosts: frozenset[str]) -> None:
        self._hosts = hosts
        self._literal = ""  # read, not yet judged
        self._looked = 1  # up to here no piece ends in it

    def read(self, text: str, at: int, *, line_whole: bool, final: bool) -> tuple[int, str]:
        """Reads on: how far, up to a space, and what of it can be shown."""
        out = []
        while at < len(text) and not text[at].isspace():
            if literal := _LITERAL.match(text, at):
                at = literal.end()
                out.append(self._say(literal[0]))
                continue
            if not final and _open(text, at, line_whole=line_whole):
                break
            used, syntax, said = self._next(text, at)
            at += used
            if syntax:
                before = self.end()
                out += [links.before_link(before) if said.startswith("[") else before, said]
            else:
                out.append(self._say(said))
        return at, "".join(out)

    def end(self) -> str:
        """The rest of what was read."""
        rest, self._literal, self._looked = self._literal, "", 1
        return links.plain(rest, self._hosts)

    def _say(self, literal: str) -> str:
        """More text; the pieces that end in it."""
        self._literal += literal
        out, begun = [], 0
        for end in unspaced.ends(self._literal, self._looked):
            piece, begun = self._literal[begun:end], end
            out.append(piece if unspaced.inert(piece) else links.plain(piece, self._hosts))
        self._literal = self._literal[begun:]
        self._looked = max(1, len(self._literal))
        return "".join(out)

    def _next(self, text: str, at: int) -> tuple[int, bool, str]:
        """What begins here: its length, whether it is syntax of its own, and what it becomes."""
        if escaped := _ESCAPED.match(text, at):
            return 2, False, _unescaped(escaped)
        if span := _CODE.match(text, at):
            return len(span[0]), True, f"`{links.code(span[2])}`"  # one backtick: Slack's own markup knows no longer runs
        if link := _LINK.match(text, at):
            return len(link[0]), *self._link(link[1], link[2])
        if auto := _AUTOLINK.match(text, at):
            url, _, label = auto[1].partition("|")
            return len(auto[0]), *self._link(label or None, url)
        if bangs := _BANGS.match(text, at):
            return len(bangs[0]), False, bangs[0]
        if ticks := _TICKS.match(text, at):
            return len(ticks[0]), False, "'" * len(ticks[0])
        return 1, False, text[at]

    def _link(self, label: str | None, destination: str) -> tuple[bool, str]:
        """A listed link, which is syntax; or what is left of another: text, judged together with the text around it."""
        url = re.sub(r"\s+[\"'(].*\Z", "", destination.strip()).strip("<>")
        if (kept := links.allowed(url, self._hosts)) is not None:
            return True, links.linked(kept, None if label is None else links.label(label, self._hosts))
        shown = _ESCAPED.sub(_unescaped, url if label is None else links.host_of(url) or destination)
        return False, shown if label is None else label if shown in label else f"{label} ({shown})"


def _open(text: str, at: int, *, line_whole: bool) -> bool:
    """Whether something that begins here may still be going on."""
    if text[at] == "<":
        return _AUTOLINK_BEGUN.match(text, at) is not None
    if line_whole:
        return False
    return at + 1 == len(text) or any(begun.match(text, at) for begun in (_CODE_BEGUN, _LINK_BEGUN))


def _unescaped(escaped: re.Match[str]) -> str:
    return "'" if escaped[1] == "`" else escaped[1] if escaped[1] in _UNESCAPED else escaped[0]


class _Visible:
    """Lets out what is seen: no control characters, no invisible ones that hide what a word is, one kind of line end."""

    def __init__(self) -> None:
        self._before = ""

    def only(self, text: str) -> str:
        return "".join(kept for char in text if (kept := self._kept(char)))

    def _kept(self, char: str) -> str:
        before, self._before = self._before, char
        if char in "\n\t" or " " <= char <= "~":
            return "" if char == "\n" and before == "\r" else char
        if char in "\r\u2028\u2029\v\f\x85":
            return "\n"
        joins = char in _JOINERS or "\ufe00" <= char <= "\ufe0f"
        hidden = before <= "\u02ff" if joins else char in _INVISIBLE or unicodedata.category(char) in _HIDDEN
        if hidden:
            self._before = before
        return "" if hidden else char
