"""A store in which people asked, were answered and said what they think: what a day leaves behind."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from bot.store import Store
from bot.turns import Prompt, Question, Rating, Reply, Status, Verdict, new_id

WORDS = re.findall(
    r"\w+",
    """router bill phone contract summer garden window number letter button battery travel office signal screen station kitchen bridge
    morning colour paper doctor market student weather village coffee brother holiday engine metal silver flower yellow winter picture
    basket corner mountain river dinner driver ticket ladder pocket teacher lawyer jacket blanket mirror island planet copper shadow""",
)
MORNING = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


@dataclass
class Day:
    """Writes through the store, as the bot does."""

    store: Store
    tick: int = 0
    turn_ids: list[str] = field(default_factory=list)

    def ask(
        self,
        question: str,
        answer: str = "Switch it off and on.",
        *,
        user: str = "ada",
        conversation: str | None = None,
        domain: str = "telecom",
        status: Status = Status.ANSWERED,
        private: bool = False,
        prompt: Prompt | None = None,
        user_name: str | None = None,
    ) -> str:
        """A turn with its reply; its id."""
        turn_id = f"t{len(self.turn_ids) + 1}"
        asked_at = self._now()
        asked = Question("web", new_id(), conversation or f"c-{turn_id}", user, question, asked_at, private, None, prompt, user_name)
        self.store.receive(asked, turn_id, domain)
        self.store.finish(turn_id, Reply(answer, None, status, asked_at))
        self.turn_ids.append(turn_id)
        return turn_id

    def rate(self, turn_id: str, verdict: Verdict, *, user: str = "ada", correction: str | None = None) -> None:
        self.store.rate(Rating(turn_id, user, verdict, self._now(), None, correction))

    def corrected_by_many(self, n: int, first: int = 0) -> None:
        """Corrections that have nothing in common, each by another person in a conversation of its own."""
        for number in range(first, first + n):
            said = Random(number)
            question = f"{' '.join(said.sample(WORDS, 6))}?"
            self.rate(
                self.ask(question, user=f"u{number}"), -1, user=f"u{number}", correction=f"{' '.join(said.sample(WORDS, 9))} {number}."
            )

    def voted_by_many(self, verdict: Verdict, n: int, first: int = 0, domain: str = "telecom") -> None:
        """Thumbs alone on answers that have nothing in common, each by another person in a conversation of its own."""
        for number in range(first, first + n):
            said = Random(number)
            question, answer = f"{' '.join(said.sample(WORDS, 6))}?", f"{' '.join(said.sample(WORDS, 9))} {number}."
            self.rate(self.ask(question, answer, user=f"u{number}", domain=domain), verdict, user=f"u{number}")

    def corrected(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Questions whose answers people corrected."""
        for question, correction in pairs:
            self.rate(self.ask(question), -1, correction=correction)

    def _now(self) -> datetime:
        self.tick += 1
        return MORNING + timedelta(seconds=20 * self.tick)
