"""What people may ask of CARE about themselves: all that is kept of them, and to be forgotten. Knows no platform."""

import asyncio
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from bot import forgetting
from bot.answering import Answering
from bot.archive import Archive
from bot.forgetting import Receipt
from bot.postman import Postman
from bot.settings import Settings
from bot.store import Store, StoreError
from bot.turns import new_id, now
from model.errors import EngineError
from model.shelf import Shelf

log = logging.getLogger(__name__)


class Privacy(ABC):
    """Methods of `Service`."""

    _archive: Archive
    _answering: Mapping[str, Answering]
    _settings: Settings
    _shelf: Shelf
    _clearing: set[asyncio.Task[None]]
    postman: Postman

    @abstractmethod
    async def _stop(self, turn_ids: Iterable[str]) -> None: ...

    async def export(self, platform: str, user_id: str) -> str:
        """All that is kept of a person, as JSON."""
        return exported(platform, user_id, await self._archive.run(Store.kept_of, platform, user_id))

    async def wish_to_be_forgotten(self, platform: str, user_id: str) -> None:
        """Keeps that this person has to be forgotten: should `forget` not come to its end, the next start does it."""
        await self._archive.run(Store.wish_to_be_forgotten, platform, user_id, new_id(), now())

    async def forget(self, platform: str, user_id: str) -> Receipt:
        """Erases everything of a person; LoRAs that were trained on it never answer again. Their opt-out stays.

        An answer that is being written for them stops. Raises StoreError, Busy or OSError; what was left to do then is done at the next
        start, or by another call.
        """
        await self._stop([turn_id for turn_id, each in self._answering.items() if each.asked_by(platform, user_id)])
        receipt = await asyncio.to_thread(self._forget, platform, user_id)
        self.postman.wake()
        return receipt

    def _forget(self, platform: str, user_id: str) -> Receipt:
        """Over a connection of its own: it takes longer than other statements may wait."""
        store = Store(self._settings.database)
        try:
            return forgetting.forget(store, self._shelf, self._settings.home, platform, user_id)
        finally:
            store.close()

    def _clear_away(self) -> None:
        """What nights left of something that was just deleted goes while others are answered."""
        clearing = asyncio.create_task(self.finish_forgetting())
        self._clearing.add(clearing)
        clearing.add_done_callback(self._clearing.discard)

    async def finish_forgetting(self) -> None:
        """Goes on with what was deleted and is not cleared away yet, after a crash too: then before anybody is answered.

        What can't be cleared away now keeps nobody from being answered: it stays pending.
        """
        try:
            wishes = await self._archive.run(Store.wishes_to_be_forgotten)
            pending = await self._archive.run(Store.pending_erasures)
            if wishes or pending:
                await asyncio.to_thread(self._finish)
        except (StoreError, EngineError, OSError) as error:
            log.error(
                "what is left of something deleted could not be cleared away; the next start tries again", extra={"error": str(error)}
            )

    def _finish(self) -> None:
        store = Store(self._settings.database)
        try:
            forgetting.finish(store, self._shelf, self._settings.home)
        finally:
            store.close()


def exported(platform: str, user_id: str, kept: Mapping[str, object]) -> str:
    """The JSON of an export."""
    return json.dumps({"person": f"{platform}:{user_id}", **kept}, indent=2, ensure_ascii=False)
