"""Where the experts have which conversation since the start, and what they are to be told once they have it. Knows no platform.

The store hears of a post a moment later. There is room for the newest only, and nothing stays of who is forgotten.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST = 1000


class Posts(Generic[T]):
    """Of one platform; T is what experts are told."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._names: OrderedDict[str, str] = OrderedDict()  # of posts, by hand-over
        self._waiting: OrderedDict[str, list[tuple[str, T]]] = OrderedDict()  # with whose it is, by hand-over

    def name(self, handover_id: str) -> str | None:
        """Where the experts have it; None where that is not known here."""
        return self._names.get(handover_id)

    def made(self, handover_id: str, name: str) -> list[T]:
        """The experts have it now; what waited for that."""
        _keep(self._names, handover_id, name, self._most)
        return [told for _, told in self._waiting.pop(handover_id, ())]

    def wait(self, handover_id: str, user: str, told: T) -> None:
        """To be told once the experts have it."""
        _keep(self._waiting, handover_id, [*self._waiting.get(handover_id, ()), (user, told)][-self._most :], self._most)

    def forget(self, user: str) -> None:
        """Nothing of this person waits any more."""
        for handover_id, waiting in list(self._waiting.items()):
            left = [(whose, told) for whose, told in waiting if whose != user]
            if left:
                self._waiting[handover_id] = left
            else:
                del self._waiting[handover_id]


V = TypeVar("V")


def _keep(of: OrderedDict[str, V], name: str, value: V, most: int) -> None:
    of[name] = value
    of.move_to_end(name)
    if len(of) > most:
        of.popitem(last=False)
