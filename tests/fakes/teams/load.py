"""Many people at once: a mix of personal chats, groups and channels, with duplicates. Knows nothing of what is answered."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.fakes.teams.outbox import Delivery
from tests.fakes.teams.world import SUPPORT, Chat, Message, Person, group, personal

if TYPE_CHECKING:
    from tests.fakes.teams.fake import FakeTeams

PERSONAL, GROUPS = 120, 30  # so many chats that Teams' own limits for each are not met
_LATE = 50  # so many questions later


@dataclass
class Flood:
    """What was said, and how it was told."""

    asked: list[Message] = field(default_factory=list)
    repeated: list[Delivery] = field(default_factory=list)  # duplicates, every other under a new id

    def latencies(self) -> list[float]:
        """Seconds until the app had answered with a status, the longest last; duplicates too."""
        told = [said.delivery for said in self.asked] + self.repeated
        return sorted(each.acked_after for each in told if each is not None and each.acked_after is not None)

    def first_words(self, teams: "FakeTeams") -> list[float]:
        """Seconds until the app's message for each question stood in its chat, the longest last.

        In a chat the first question is matched with the app's first message, and so on; without one it is for ever.
        """
        seconds, posts = [], {chat.id: teams.posts(chat) for chat in teams.world.chats.values()}
        waiting: dict[str, list[float]] = {}
        for said in self.asked:
            if said.place not in waiting:
                waiting[said.place] = sorted(post.at for post in posts[said.chat.id] if post.place == said.place)
            first = waiting[said.place].pop(0) if waiting[said.place] else float("inf")
            seconds.append(first - said.at)
        return sorted(seconds)


class Crowd:
    """People who ask one question after the other."""

    def __init__(self, teams: "FakeTeams") -> None:
        self._teams = teams
        people = [Person(f"Person {number}") for number in range(PERSONAL)]
        self.personal = [teams.world.know(personal(person)) for person in people]
        self.groups = [teams.world.know(group(tuple(people[number : number + 3]))) for number in range(GROUPS)]
        teams.people.extend(people)

    def place(self, number: int) -> tuple[Person, Chat]:
        """Who asks the n-th question where: half of them in personal chats, the rest in groups and as posts in a channel."""
        if number % 2 == 0:
            chat = self.personal[number // 2 % PERSONAL]
        else:
            chat = self.groups[number // 4 % GROUPS] if number % 4 == 1 else SUPPORT
        return chat.people[number % len(chat.people)], chat

    async def flood(self, count: int, per_second: float, duplicates: float = 0.05, text: str = "Question {number}") -> Flood:
        """`count` activities at this rate, so many of them duplicates. Returns once all are told.

        Every other duplicate is under a new id; they come at once or late, two by two.
        """
        flood, begun = Flood(), time.monotonic()
        for told in range(count):
            doubled = len(flood.repeated)
            if int((told + 1) * duplicates) > doubled and flood.asked:
                back = min(1 if doubled % 4 < 2 else _LATE, len(flood.asked))
                flood.repeated.append(self._again(flood.asked[-back], doubled % 2 == 1))
            else:
                person, chat = self.place(len(flood.asked))
                flood.asked.append(self._teams.saying(person, text.format(number=len(flood.asked)), chat))
            await asyncio.sleep(max(0.0, begun + (told + 1) / per_second - time.monotonic()))
        await self._teams.settled(60)
        return flood

    def _again(self, said: Message, new_id: bool) -> Delivery:
        return self._teams.tell({**said.activity, "id": self._teams.world.new_id()} if new_id else said.activity)
