"""The messages that carry one reply, in order, and what the store knows of them: for votes, deletions and the next start.

Knows no platform. One writer a reply: nothing here may run twice at a time.
"""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from bot.service import Service
from bot.store import UnknownTurn


class Post(Protocol):
    """A message that stands."""

    written: bool  # by this process

    async def remove(self, patience: float) -> None:
        """Takes it away."""
        ...


P = TypeVar("P", bound=Post)


class Carriers(Generic[P]):
    """Of a turn. `name` is a message's for the store, None for one that can't be found again; `gone` is raised for one that is deleted."""

    def __init__(self, service: Service, platform: str, turn_id: str, name: Callable[[P], str | None], gone: type[Exception]) -> None:
        self._service = service
        self._platform = platform
        self._turn_id = turn_id
        self._name = name
        self._gone = gone
        self._untold: list[P] = []
        self.posts: list[P] = []

    def begin(self, posts: Iterable[P], untold: Iterable[P]) -> None:
        """These carry it so far; of the `untold` among them the store has still to hear."""
        self.posts, self._untold = list(posts), [post for post in untold if self._name(post) is not None]

    async def own(self, post: P) -> None:
        """This one comes next. Raises StoreError; `tell` then makes up for it."""
        self.posts.append(post)
        if self._name(post) is not None:
            self._untold.append(post)
        await self.tell()

    async def tell(self) -> None:
        """Tells the store what it does not know yet. Raises StoreError."""
        while self._untold:
            name = self._name(self._untold[0])
            assert name is not None, "no others are kept"
            await self._service.carries(self._platform, name, self._turn_id)
            del self._untold[0]

    async def settled(self, number: int, complete: Callable[[P], Awaitable[None]]) -> bool:
        """Completes the message with this number; False where there is none.

        One that somebody deleted before it was this process's is none: the words come anew. Raises what `complete` raises, and StoreError.
        """
        while number < len(self.posts):
            post = self.posts[number]
            try:
                await complete(post)
            except self._gone:
                if post.written:
                    raise
                await self.drop(post)
            else:
                return True
        return False

    async def is_erased(self) -> bool:
        """Whether the question was deleted, or its asker forgotten, while this was written or waited. Raises StoreError."""
        try:
            await self._service.turn(self._turn_id)
        except UnknownTurn:
            return True
        return False

    async def keep(self, first: int, patience: float) -> None:
        """Takes all others away: those of an earlier, longer answer. Raises what `remove` raises but `gone`, and StoreError."""
        while len(self.posts) > first:
            with suppress(self._gone):
                await self.posts[-1].remove(patience)
            await self.drop(self.posts[-1])

    async def drop(self, post: P) -> None:
        """It stands there no more. Raises StoreError."""
        name = self._name(post)
        if name is not None:
            await self._service.carries_no_more(self._platform, name)
        self.posts.remove(post)
        self._untold = [each for each in self._untold if each is not post]
