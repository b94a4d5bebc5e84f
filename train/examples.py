"""Examples: what one training row is, which are held out, and the snapshot that fixes them. Pure but for reading files."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from bot.reviews import DOWN
from model.chat import Message, Role

STARTER, FROZEN = "starter", "frozen"  # sources that ship with CARE: what it is taught, and what it is only measured on
_FOLDER = Path(__file__).parent
_HELD_OUT_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt as the bot would send it, and the answer that it should get, or, where it is not `good`, should not get.

    `group` is what the split hashes: the conversation it came from, or the document. `messages` end with the question.
    """

    id: str
    group: str
    messages: tuple[Message, ...]
    response: str
    domain: str
    source: str
    licence: str
    turn_ids: tuple[str, ...] = ()
    raters: tuple[str, ...] = ()
    brought: bool = False  # the caller of the API brought a system prompt in CARE's place
    rejected: str | None = None  # the answer that was corrected

    @property
    def good(self) -> bool:
        """Whether somebody stands for the answer; otherwise it was voted down, and nobody said what would have been right."""
        return self.source != DOWN

    @property
    def worse(self) -> str | None:
        """The answer that was corrected, where the correction says something else: not only with other spaces or capitals."""
        return None if self.rejected is None or self.repeats else self.rejected

    @property
    def corrects(self) -> "Example | None":
        """What it corrects, as the bad example that it would be if it had only been voted down."""
        return None if self.worse is None else replace(self, response=self.worse, source=DOWN, rejected=None)

    @property
    def repeats(self) -> bool:
        """Whether it is a correction that says what the answer said."""
        return self.rejected is not None and self.rejected.casefold().split() == self.response.casefold().split()

    @property
    def instruction(self) -> str:
        """The question."""
        return self.messages[-1].content

    @property
    def input(self) -> str:
        """What was said before the question, as text; CARE's own system prompt is not part of it."""
        before = [message for message in self.messages[:-1] if self.brought or message.role != "system"]
        return "\n".join(f"{message.role}: {message.content}" for message in before)

    @property
    def whole(self) -> str:
        """Question and answer as one text."""
        return f"{self.instruction}\n{self.response}"

    def instead(self, response: str) -> "Example":
        """The same with another answer."""
        return replace(self, response=response)

    def unpaired(self) -> "Example":
        """The same, without what it corrects."""
        return replace(self, rejected=None)

    def said(self, system_prompt: str) -> list[str]:
        """Every text but the response that came from somebody; a caller of the API may have brought a system prompt too."""
        return [message.content for message in self.messages if message != Message("system", system_prompt)]

    @property
    def held_out(self) -> bool:
        """Never trained on, for ever: CARE's own frozen items, and one group in ten by a fixed hash."""
        return self.source == FROZEN or int.from_bytes(hashlib.sha256(self.group.encode()).digest()[:8], "big") / 2**64 < _HELD_OUT_SHARE

    def row(self) -> Mapping[str, object]:
        """The example as a row of the snapshot."""
        return {
            "id": self.id,
            "instruction": self.instruction,
            "input": self.input,
            "response": self.response,
            "rejected": self.rejected,
            "domain": self.domain,
            "source": self.source,
            "licence": self.licence,
            "turn_ids": list(self.turn_ids),
            "raters": list(self.raters),
            "split": "held-out" if self.held_out else "train",
            "messages": [{"role": message.role, "content": message.content} for message in self.messages],
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All examples of a night in one file, named by its content: equal examples give equal bytes."""

    path: Path
    sha256: str


def write_snapshot(examples: Iterable[Example], folder: Path) -> Snapshot:
    """Keeps the examples, sorted by id, as JSONL under `folder`. Raises OSError."""
    rows = [json.dumps(example.row(), ensure_ascii=False, sort_keys=True) for example in sorted(examples, key=lambda each: each.id)]
    content = "".join(f"{row}\n" for row in rows).encode()
    digest = hashlib.sha256(content).hexdigest()
    path = folder / f"{digest[:16]}.jsonl"
    if not path.exists() or path.read_bytes() != content:
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(content)
        part.replace(path)
    return Snapshot(path.resolve(), digest)


def read_snapshot(path: Path) -> list[Example]:
    """What a snapshot has to train on, in its order; which group an example belonged to it does not say."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [_unpacked(row) for row in rows if row["split"] == "train"]


def _unpacked(row: Mapping[str, Any]) -> Example:
    plain = {name: row[name] for name in ("id", "response", "domain", "source", "licence", "rejected")}
    return Example(**plain, group="", messages=to_messages(row["messages"]), turn_ids=tuple(row["turn_ids"]), raters=tuple(row["raters"]))


def texts(examples: Iterable[Example]) -> list[str]:
    """Everything that is said in examples, to look for it elsewhere."""
    return [text for each in examples for text in (each.instruction, each.response, each.whole)]


def shipped(system_prompt: str) -> list[Example]:
    """What ships with CARE: the starter set (telecom, medical and banking support, with triage, refusals and hand-over), and the
    frozen items of each domain."""
    return [
        _shipped_example(json.loads(line), path, system_prompt)
        for source in (STARTER, FROZEN)
        for path in sorted((_FOLDER / source).glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def _shipped_example(row: Mapping[str, object], path: Path, system_prompt: str) -> Example:
    source = path.parent.name
    name = f"{source}/{row['id']}"
    history = to_messages(cast("Sequence[Mapping[str, str]]", row.get("history", [])))
    messages = (Message("system", system_prompt), *history, Message("user", str(row["instruction"])))
    return Example(name, name, messages, str(row["response"]), path.stem, source, "as CARE")


def to_messages(raw: Sequence[Mapping[str, str]]) -> tuple[Message, ...]:
    """Messages from their JSON. Raises KeyError or ValueError."""
    roles = {"system", "user", "assistant"}
    if any(message["role"] not in roles for message in raw):
        raise ValueError(f"a role is none of {', '.join(sorted(roles))}")
    return tuple(Message(cast(Role, message["role"]), message["content"]) for message in raw)
