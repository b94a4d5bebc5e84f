"""A small model of how Slack reads a message: what in it is live. Written from Slack's documentation, not from our own code.

docs.slack.dev/messaging/formatting-message-text: `<…>` is a token (`@U…`, `#C…`, `!here`, `!subteam^…`, `!date^…`, otherwise
a URL with an optional `|label`); URLs in the text become links; with link_names `@here` and its like count too; `&amp; &lt; &gt;` are
decoded for display only. docs.slack.dev/reference/block-kit/blocks/markdown-block: standard Markdown, images as links. Seen in a real
workspace (PostHog/posthog#95054): tokens are read inside Markdown too, and entities are decoded but not read again.
Where the documents leave it open, this reader takes more for live.
"""

import html
import re
from dataclasses import dataclass
from functools import cache

import tldextract
from markdown_it import MarkdownIt
from markdown_it.token import Token

_SUFFIXES = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_MARKDOWN.validateLink = lambda url: True  # Slack's own filter of schemes isn't documented
_TOKEN = re.compile(r"<([^<>\n]+)>")
_URL = re.compile(r"\b(?:(?:https?|ftp|slack|file):[/\\]|(?:mailto|tel|sms|javascript|data):)[^\s<>|\"`]+", re.I)
_WORD = re.compile(r"[\w.@-]+")
_NAMES = re.compile(r"@(here|channel|everyone|group)(?![A-Za-z0-9])", re.I)
_MRKDWN_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.S)


@dataclass(frozen=True)
class Live:
    """Something that acts: a mention, or a link to a host."""

    kind: str
    target: str


def live(text: str) -> set[Live]:
    """What is live in a message, read as `mrkdwn` and as Markdown."""
    return _mrkdwn(text) | _markdown(text)


def harmful(text: str, hosts: frozenset[str]) -> set[Live]:
    """What is live and may not be: any mention, any link to another host."""
    return {found for found in live(text) if found.kind == "mention" or not _listed(found.target, hosts)}


def disguised(text: str) -> list[tuple[str, str]]:
    """Links whose visible text doesn't show the host they go to: (text, URL)."""
    shown: list[tuple[str, str]] = []
    for block in _MARKDOWN.parse(text):
        href, label = None, ""
        for token in block.children or ():
            if token.type == "link_open":
                href, label = str(token.attrGet("href")), ""
            elif token.type == "link_close" and href is not None:
                if (_host(href) or "?") not in label.lower():
                    shown.append((label, href))
                href = None
            else:
                label += token.content
    return shown


def _mrkdwn(text: str) -> set[Live]:
    found = {_token(match[1]) for match in _TOKEN.finditer(text)} - {None}
    return found | _scheme_links(_decoded(text)) | _bare(_decoded(_MRKDWN_CODE.sub("\n", text)))  # type: ignore[operator]


def _markdown(text: str) -> set[Live]:
    found: set[Live] = set()
    for block in _MARKDOWN.parse(text):
        if block.type in ("fence", "code_block"):
            found |= _code(block.content) | _code(block.info)
        elif block.type == "html_block":
            found.add(Live("link", f"html {block.content[:20]!r}"))
        for token in block.children or ():
            found |= _inline(token)
        for run in _runs(block.children or []):
            found |= _scheme_links(run) | _bare(run)
    return found


def _inline(token: Token) -> set[Live]:
    if token.type in ("link_open", "image"):
        url = str(token.attrGet("href") or token.attrGet("src"))
        return {Live("link", _host(url) or url)}
    if token.type == "html_inline":
        return {Live("link", f"html {token.content!r}")} | {each for each in [_token(token.content[1:-1])] if each}
    return _code(token.content) if token.type == "code_inline" else set()


def _runs(tokens: list[Token]) -> list[str]:
    """Text outside links and code as it stands side by side; what is escaped or decoded is plain here."""
    runs, linked = [""], 0
    for token in tokens:
        linked += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        if token.type in ("text", "text_special") and not linked:
            runs[-1] += token.content
        else:
            runs.append("")
    return runs


def _code(text: str) -> set[Live]:
    return {each for match in _TOKEN.finditer(text) if (each := _token(match[1]))} | _scheme_links(text)


def _token(inside: str) -> Live | None:
    target = inside.partition("|")[0]
    if re.search(r"\s", target):
        return None  # "URLs with spaces will break"
    if re.match(r"@[A-Z0-9]|#[A-Z0-9]|!\w", target):
        return Live("mention", target)
    if re.match(r"[a-z][a-z0-9+.-]*:\S", target, re.I):
        return Live("link", _host(target) or target)
    domain = re.fullmatch(r"[\w.@-]+", re.split(r"[/?#:]", target)[0])
    return Live("link", domain[0]) if domain and _domain_in(domain[0]) else None


def _scheme_links(text: str) -> set[Live]:
    """Names and URLs that are live wherever they stand, also in code."""
    urls = {Live("link", _host(match[0]) or match[0]) for match in _URL.finditer(text)}
    return urls | {Live("mention", match[0]) for match in _NAMES.finditer(text)}


def _bare(text: str) -> set[Live]:
    """Domains and addresses without a scheme."""
    text = re.sub(r"[．。｡]", ".", text)
    text = re.sub(r"\[[^\[\]\n]*\]\([^()\n]*\)", "\n", text)  # Markdown's links were read as such
    return {Live("link", domain) for word in _WORD.findall(text) if (domain := _domain_in(word))}


def _domain_in(word: str) -> str | None:
    """The longest domain at the end or the beginning of a word, of at least two labels under a public suffix."""
    name = word.rpartition("@")[2].strip(".-_")
    if re.match(r"www\.\w", name, re.I):
        return name
    labels = name.split(".")
    for end in range(len(labels), 1, -1):
        top = re.split(r"[-_]", labels[end - 1])[0]
        candidate = ".".join([*labels[: end - 1], top])
        if all(labels[:end]) and top and not top.isdigit() and _is_top(top):
            return name if end == len(labels) and top == labels[end - 1] else candidate
    return None


@cache
def _is_top(label: str) -> bool:
    return label.lower().startswith("xn--") or _SUFFIXES(f"a.{label.lower()}").suffix == label.lower()


def _host(url: str) -> str | None:
    """As a browser reads it: a backslash is a slash, what stands before @ is a name, not a host."""
    match = re.match(r"([a-z][a-z0-9+.-]*):(.*)", url.replace("\\", "/"), re.I | re.S)
    if match is None or match[1].lower() not in ("http", "https", "ftp", "mailto"):
        return None
    authority = re.split(r"[/?#)\]<>|\"]", match[2].lstrip("/"))[0].rpartition("@")[2]
    return re.match(r"[\w.-]*", authority)[0].rstrip(".-_").lower()  # type: ignore[index]  # it matches everything


def _listed(host: str, hosts: frozenset[str]) -> bool:
    return any(host.lower() == each or host.lower().endswith(f".{each}") for each in hosts)


def _decoded(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") if "&#" not in text else html.unescape(text)
