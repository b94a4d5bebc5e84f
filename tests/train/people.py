"""A store in which people asked, were answered and said what they think: what a day leaves behind."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bot.store import Store
from bot.turns import Prompt, Question, Rating, Reply, Status, Verdict, new_id

MORNING = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


@dataclass
class Day:
    """Writes through the store, as the bot does."""

    store: Store
    minute: int = 0
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
    ) -> str:
        """A turn with its reply; its id."""
        turn_id = f"t{len(self.turn_ids) + 1}"
        asked_at = self._now()
        asked = Question("web", new_id(), conversation or f"c-{turn_id}", user, question, asked_at, private, None, prompt)
        self.store.receive(asked, turn_id, domain)
        self.store.finish(turn_id, Reply(answer, None, status, asked_at))
        self.turn_ids.append(turn_id)
        return turn_id

    def rate(self, turn_id: str, verdict: Verdict, *, user: str = "ada", correction: str | None = None) -> None:
        self.store.rate(Rating(turn_id, user, verdict, self._now(), None, correction))

    def corrected(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Questions whose answers people corrected."""
        for question, correction in pairs:
            self.rate(self.ask(question), -1, correction=correction)

    def _now(self) -> datetime:
        self.minute += 1
        return MORNING + timedelta(minutes=self.minute)
