"""Messages to token ids with the model's own chat template, and tokens back to text. Knows no network."""

from collections.abc import Sequence

from model.chat import Message, defuse, trim
from model.weights import Loaded

# Trimming history keeps room for the answer: all it asked for, but at most this share of the window.
_ANSWER_SHARE = 1 / 4


class Tokens:
    """The tokenizer of one loaded model, for a context window of `context` tokens."""

    def __init__(self, loaded: Loaded, context: int) -> None:
        self._tokenizer = loaded.tokenizer
        self.context = context
        added = loaded.tokenizer.added_tokens_decoder.values()
        special = [token.content for token in added if token.special]
        self._control = [token for token in special if len(token) > 1 and not any(letter.isspace() for letter in token)]
        self.stops = _stop_tokens(loaded)

    def prompt(self, messages: Sequence[Message], max_tokens: int) -> list[int]:
        """The token ids of a prompt that leaves room for the answer. Raises ContextLengthExceeded."""
        room = max(1, min(max_tokens, int(self.context * _ANSWER_SHARE)))
        return self._encode(trim(messages, lambda kept: len(self._encode(kept)), self.context - room))

    def answered(self, messages: Sequence[Message], answer: str, limit: int) -> tuple[list[int], list[int]]:
        """The token ids of a prompt, trimmed as for serving, and of its answer up to the token that ends it; at most `limit` in all.

        Raises ContextLengthExceeded when even the question alone leaves no room.
        """
        written = self._answer_ids(messages[-1:], answer)
        kept = trim(messages, lambda part: len(self._encode(part)), max(0, min(limit, self.context) - len(written)))
        return self._encode(kept), written

    def _answer_ids(self, question: Sequence[Message], answer: str) -> list[int]:
        """What the template makes of an answer, as the model would have to write it."""
        prompt = self._encode(question)
        whole = self._render([*question, Message("assistant", answer)], add_generation_prompt=False)
        assert whole[: len(prompt)] == prompt, "the chat template renders a question otherwise once it is answered"
        written = whole[len(prompt) :]
        end = next((at for at, token in enumerate(written) if token in self.stops), None)
        return written if end is None else written[: end + 1]

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of token ids; bytes that are no whole character yet become U+FFFD."""
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _encode(self, messages: Sequence[Message]) -> list[int]:
        return self._render(messages, add_generation_prompt=True)

    def _render(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> list[int]:
        chat = [{"role": message.role, "content": defuse(message.content, self._control)} for message in messages]
        return list(
            self._tokenizer.apply_chat_template(chat, add_generation_prompt=add_generation_prompt, tokenize=True, return_dict=False)
        )


def _stop_tokens(loaded: Loaded) -> frozenset[int]:
    """The tokens that end an answer; Phi-3.5 lists several, and not all of them in its tokenizer."""
    configured = loaded.network.generation_config.eos_token_id
    several = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in [*several, loaded.tokenizer.eos_token_id] if token is not None)
