"""Which words of a text Slack could make a link or a mention of, and how they are broken. Pure; knows no Markdown but `[text](url)`.

It only ever inserts, so that breaking one thing can't put another together; the one exception (a scheme goes) looks at its neighbours.
"""

import html
import re
import unicodedata
from typing import Final

import tldextract

MAX_URL: Final = 1500  # longer ones are shown as text: no support page needs them, and a message is cut between links

# Characters of languages that put no spaces between words; none that are dots to anybody, or become other ones when normalized.
UNSPACED: Final = (
    r"\u0e01-\u0e32\u0e34-\u0e5b\u0e81-\u0eb2\u0eb4-\u0edb\u1000-\u1024\u1027-\u102d\u1030-\u109f\u1780-\u17b3\u17b6-\u17d3"
    r"\u3001\u3003\u3005-\u3011\u3041-\u3096\u309d\u309e\u30a1-\u30fa\u30fc-\u30fe\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003134f"
    r"\uff01\uff0c\uff1b\uff1f"
)

ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

# A URL that may stay: nothing in it that two parsers could read differently (no user, backslash, bracket, quote, entity).
_URL = re.compile(r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(:\d{1,5})?([/?#][\w\-.~:/?#@!$&'()*+,=%]*)?", re.I | re.A)
_BARE_URL = re.compile(r"(?<![\w+.:/@\\-])https?://[^\s<>\"`|\\^{}\[\]]+", re.I)
_SCHEME = re.compile(r"(?:(?<=[a-z0-9+.-])(?=://)|(?:(?<=https)|(?<=http)|(?<=ftp)|(?<=file)|(?<=slack))(?=:[/\\])):", re.I)
# In front of a space or an opening mark, the scheme of a dead link is noise; nothing dangerous can grow together there.
_NOISE = re.compile(r"(?<![^\s(*\"'])https?://(?=\w)", re.I)
_ACTING = re.compile(
    r"(?<![A-Za-z0-9])(mailto|tel|sms|callto|skype|facetime|javascript|vbscript|data|slack|file|intent|market):(?=[^\s\[])", re.I
)
_GROUPS = re.compile(r"@(?=(?:here|channel|everyone|group)(?![A-Za-z0-9]))", re.I)
_DOMAIN = re.compile(r"(?<![\w-])[\w-]++(?:[.．｡。][\w-]++)+")
_TOKEN = re.compile(rf"<(?:[!@#]|[a-z][a-z0-9+.-]*:|({_DOMAIN.pattern}))", re.I)  # what Slack reads between < and >
# What stands in code for a place without saying how to get there, and the beginnings of HTML that links, loads or acts.
_PLACE = re.compile(rf"(?<!\[:\])(?<![/\\])([/\\]+)([/\\])({_DOMAIN.pattern})")
_ELEMENT = re.compile(
    r"<(?=/?(?:a|area|at|audio|base|body|button|embed|form|i?frame|image|img|input|link|meta|object|script|source|style|svg|video)"
    r"(?![A-Za-z0-9_]))",
    re.I,
)
_LETTERS = re.compile(r"[^\W\d_]*")
_LATIN = re.compile(rf"[a-z]+(?=[{UNSPACED}])")
_WWW = re.compile(r"(?:\A[_-]*|[^\x00-\x7f])www\Z")
_DOT = re.compile(r"[.．｡。]")
_SENTENCE_END = re.compile(r"(?<=[a-z])\.(?=[A-Z][a-z]+\Z)")
_HOST = re.compile(r"[a-z][a-z0-9+.-]*:[/\\]*(?:[^/?#\\\s]*@)?([^/?#\\\s:]+)", re.I)
_MARKUP = str.maketrans({mark: f"%{ord(mark):02X}" for mark in "()*~'!@"})
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/-]{1,60}")


def allowed(url: str, hosts: frozenset[str]) -> str | None:
    """The URL as it may stand in `[text](url)`, or None: no plain http(s) URL, or its host isn't one of `hosts` or under one."""
    match = _URL.fullmatch(url) if len(url) <= MAX_URL else None
    if match is None or not listed(match[2], hosts):
        return None
    rest = (match[4] or "").replace("://", "%3A//").translate(_MARKUP)
    return f"{match[1].lower()}://{match[2].lower()}{match[3] or ''}{rest}"


def listed(host: str, hosts: frozenset[str]) -> bool:
    """Whether a host is on the list, or under one that is."""
    name = host.lower()
    return name in hosts or any(name.endswith(f".{each}") for each in hosts)


def host_of(url: str) -> str:
    """Where a URL would lead, without user and port, or nothing: for showing."""
    match = _HOST.match(url)
    return match[1] if match else ""


def linked(url: str, label: str | None = None) -> str:
    """A link whose visible text shows the host it goes to; `url` comes from `allowed`."""
    host, path = host_of(url), url.split("://", 1)[1].partition("/")[1:]
    if label is None:
        tail = "".join(path)
        label = host + (tail if _PLAIN_PATH.fullmatch(tail) else "/…" if tail else "")
    elif not re.search(rf"(?<![\w.@-]){re.escape(host)}(?![\w@-]|\.\w)", label, re.I):
        label = f"{label} ({host})".lstrip()
    return f"[{label}]({url})"


def plain(text: str, hosts: frozenset[str]) -> str:
    """Text outside code as it can be shown: links to listed hosts work, nothing else does."""
    out, end = [], 0
    for match in _BARE_URL.finditer(text):
        url = match[0].rstrip(".,;:!?)*_~'")
        if (kept := allowed(url, hosts)) is not None:
            out += [before_link(_dead(text[end : match.start()], hosts)), linked(kept)]
            end = match.start() + len(url)
    return "".join([*out, _dead(text[end:], hosts)])


def label(text: str, hosts: frozenset[str]) -> str:
    """Text as it can stand between `[` and `]`."""
    return _dead(text, hosts).replace("[", "(").replace("]", ")").strip()


def before_link(text: str) -> str:
    """Text that a link follows: nothing in it makes the link an image or escapes its bracket."""
    return f"{text} " if text.endswith(("!", "\\")) else text


def code(text: str) -> str:
    """Text inside code. Slack may read code otherwise than we do, so mentions and URLs are broken there too; the rest stays as it is."""
    text = _TOKEN.sub(lambda match: f"< {match[0][1:]}" if match[1] is None or _linkable(match[1]) else match[0], entities_kept(text))
    text = _GROUPS.sub("@ ", _ACTING.sub(r"\1: ", _SCHEME.sub("[:]", text)))
    return _ELEMENT.sub("< ", _PLACE.sub(_place, text))


def _place(match: re.Match[str]) -> str:
    reached = _linkable(match[3]) or match[3][0].isdigit()
    return f"{match[1]} {match[2]}{match[3]}" if reached else match[0]


def entities_kept(text: str) -> str:
    """`&` escaped where an entity would be read."""
    return ENTITY.sub(lambda match: match[0] if html.unescape(match[0]) == match[0] else f"&amp;{match[0][1:]}", text)


def _dead(text: str, hosts: frozenset[str]) -> str:
    text = _NOISE.sub("", entities_kept(text.replace("`", "'")))
    text = _ACTING.sub(r"\1: ", _SCHEME.sub("[:]", text))
    text = _DOMAIN.sub(lambda match: _domain(match[0], hosts), _GROUPS.sub("@ ", text))
    text = re.sub(r"\](?=[(\[:])", "] ", text)
    return re.sub(r"<(?=[!@#])", "< ", text).replace("<", "&lt;")


def _domain(name: str, hosts: frozenset[str]) -> str:
    return _broken(name) if _linkable(name) and not listed(name, hosts) else name


def _linkable(name: str) -> bool:
    """Whether a reader of links could begin or end one in this name."""
    first, *rest = _DOT.split(name)
    return _WWW.search(first.lower()) is not None or any(_top_level(each) for each in rest)


def _broken(name: str) -> str:
    """Words that grew together around a full stop are put apart, as their author should have; others get a bracketed dot."""
    if len(parts := _SENTENCE_END.split(name)) == 2 and _DOT.search(parts[0]) is None:
        return ". ".join(parts)
    return _DOT.sub("[.]", name)


def _top_level(name: str) -> bool:
    """Whether a domain could end with this label, or with its beginning up to a hyphen, an underscore, a digit or another script."""
    normal = unicodedata.normalize("NFKC", name).lower()
    found = (_LETTERS.match(normal), _LATIN.match(normal))
    return normal.startswith("xn--") or any(each is not None and each[0] in TOP_LEVEL for each in found)


# All top-level domains, from the copy of the public suffix list that comes with tldextract: it asks nobody.
TOP_LEVEL: Final = frozenset(suffix for suffix in tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None).tlds if "." not in suffix)
