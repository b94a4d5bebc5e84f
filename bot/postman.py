"""Brings to the platforms what nobody asked for: notices, and what was handed over to people. Knows no platform.

Everything it brings stands in the database until a connector has said that it was posted: what a crash cuts off is posted by the next
start. Only a crash between the post and that note makes a second post: what can't be noted now, on a full disk, is noted later.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from bot.archive import Archive
from bot.connectors.base import Connector
from bot.notices import Notice
from bot.store import Store, StoreError
from bot.turns import ExpertReply, Handover, Turn, now

log = logging.getLogger(__name__)

_POST_SECONDS = 60.0
_LOOK_SECONDS = 5.0  # the night writes notices in a process of its own
_AGAIN_SECONDS = (5.0, 15.0, 60.0, 300.0)
# A platform that is set up today is not told the reports of the last year.
_NEWS = timedelta(days=2)


# Keeps in the database that something was posted.
_Note = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Parcel:
    """One thing to bring to one platform. `bring` gives what is then to be noted; None: the platform has no place for it."""

    platform: str
    id: str
    bring: Callable[[], Awaitable[_Note | None]]


class Postman:
    """One round after another, from one task."""

    def __init__(self, archive: Archive, connectors: Mapping[str, Connector]) -> None:
        self._archive = archive
        self._connectors = connectors
        self._woken = asyncio.Event()
        self._stopping = False
        self._nowhere: set[tuple[str, str]] = set()  # what a connector has no place for: not asked again before the next start
        self._posted: dict[tuple[str, str], _Note] = {}  # and not noted yet
        self._failed: dict[tuple[str, str], tuple[int, float]] = {}  # how often, and when it may be tried again

    def wake(self) -> None:
        """There is something to bring now."""
        self._woken.set()

    async def follow(self) -> None:
        """Goes round again and again, until stopped or cancelled."""
        while not self._stopping:
            try:
                await self.go_round()
            except StoreError as error:
                log.warning("the outbox could not be read, trying again", extra={"error": str(error)})
            except Exception:  # the edge of a round
                log.exception("the postman stumbled")
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._woken.wait()
            self._woken.clear()

    def stop(self) -> None:
        """What is being posted is posted and noted, then `follow` returns."""
        self._stopping = True
        self._woken.set()

    async def go_round(self) -> None:
        """Brings what there is, to all platforms at once: one that is away holds up no other. Raises StoreError."""
        rounds = [self._go_to(connector) for connector in list(self._connectors.values())]
        for failed in await asyncio.gather(*rounds, return_exceptions=True):
            if isinstance(failed, BaseException):
                raise failed

    async def _go_to(self, connector: Connector) -> None:
        for parcels in (self._notices, self._handovers, self._relays, self._replies):
            for parcel in await parcels(connector):
                if not self._stopping:
                    await self._bring(parcel)

    async def _notices(self, connector: Connector) -> list[_Parcel]:
        found = await self._archive.run(Store.untold, connector.platform, now() - _NEWS)
        return [_Parcel(connector.platform, notice.id, partial(self._tell, connector, notice)) for notice in found]

    async def _handovers(self, connector: Connector) -> list[_Parcel]:
        found = await self._archive.run(Store.unposted_handovers, connector.platform)
        return [_Parcel(connector.platform, handover.id, partial(self._post, connector, handover)) for handover in found]

    async def _relays(self, connector: Connector) -> list[_Parcel]:
        found = await self._archive.run(Store.unsent_relays, connector.platform)
        return [_Parcel(connector.platform, turn.id, partial(self._relay, connector, handover, turn)) for handover, turn in found]

    async def _replies(self, connector: Connector) -> list[_Parcel]:
        found = await self._archive.run(Store.unsent_replies, connector.platform)
        return [_Parcel(connector.platform, reply.message, partial(self._reply, connector, handover, reply)) for handover, reply in found]

    async def _bring(self, parcel: _Parcel) -> None:
        """A parcel that can't be brought changes nothing for the others."""
        key = (parcel.platform, parcel.id)
        failures, not_before = self._failed.get(key, (0, 0.0))
        if key in self._nowhere or time.monotonic() < not_before:
            return
        try:
            async with asyncio.timeout(_POST_SECONDS):
                await self._post_and_note(key, parcel)
            self._failed.pop(key, None)
        except Exception as error:  # noqa: BLE001  # the edge of a parcel: whatever a platform or the disk does, the others go on
            pause = _AGAIN_SECONDS[min(failures, len(_AGAIN_SECONDS) - 1)]
            self._failed[key] = failures + 1, time.monotonic() + pause
            told = {"platform": parcel.platform, "id": parcel.id, "error": type(error).__name__, "again_in": pause}
            log.warning("could not be posted, or noted as posted, trying again", extra=told)

    async def _post_and_note(self, key: tuple[str, str], parcel: _Parcel) -> None:
        """What was posted before is only noted."""
        note = self._posted.get(key) or await parcel.bring()
        if note is None:
            self._nowhere.add(key)
            return
        self._posted[key] = note
        await note()
        del self._posted[key]

    async def _tell(self, connector: Connector, notice: Notice) -> _Note | None:
        if not await connector.tell(notice):
            return None
        return partial(self._archive.run, Store.told, notice, connector.platform, now())

    async def _post(self, connector: Connector, handover: Handover) -> _Note | None:
        turns = await self._archive.run(Store.thread, handover.platform, handover.conversation_id)
        message = await connector.hand_over(handover, tuple(turns))
        if message is None:
            return None
        return partial(self._archive.run, Store.handover_posted, handover.id, message, turns, now())

    async def _relay(self, connector: Connector, handover: Handover, turn: Turn) -> _Note | None:
        await connector.relay(handover, turn)
        return partial(self._archive.run, Store.relayed, turn.id, now())

    async def _reply(self, connector: Connector, handover: Handover, reply: ExpertReply) -> _Note | None:
        await connector.expert_replied(handover, reply)
        return partial(self._archive.run, Store.reply_sent, connector.platform, reply.message, now())
