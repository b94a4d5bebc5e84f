"""Text from tokens: whole characters only, and nothing of a stop string. Pure; knows no tokenizer and no network."""

from collections.abc import Callable, Sequence

# What a decoder puts in place of bytes that are not a character yet.
_INCOMPLETE = "\ufffd"


class TextStream:
    """Turns the tokens of one answer into pieces that are safe to show.

    A piece never ends inside a character whose bytes are spread over tokens, and never holds a part of a stop string:
    text that may still become one is held back until the next token decides it.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stops: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stops = tuple(stop for stop in stops if stop)
        self._tokens: list[int] = []
        self._context = 0  # where the window of tokens that is decoded again starts
        self._read = 0  # tokens before this one are shown or held
        self._held = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """The text that this token makes safe to show, often empty. Sets `stopped` when a stop string is complete."""
        self._tokens.append(token)
        return self._release(self._new_text())

    def flush(self) -> str:
        """What was held back, for an answer that ends here. Bytes that never became a character are dropped."""
        tail = self._decode(self._tokens[self._context :])[len(self._known()) :].rstrip(_INCOMPLETE)
        last = self._release(tail)
        held, self._held = self._held, ""
        return last + held

    def _known(self) -> str:
        return self._decode(self._tokens[self._context : self._read])

    def _new_text(self) -> str:
        """Decodes a short window that starts one step back, since a token's text depends on the one before it."""
        before, window = self._known(), self._decode(self._tokens[self._context :])
        if window.endswith(_INCOMPLETE) or len(window) <= len(before):
            return ""
        self._context, self._read = self._read, len(self._tokens)
        return window[len(before) :]

    def _release(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        found = min((at for at in map(text.find, self._stops) if at >= 0), default=-1)
        if found >= 0:
            self.stopped, self._held = True, ""
            return text[:found]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` are a beginning of `stop`."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
