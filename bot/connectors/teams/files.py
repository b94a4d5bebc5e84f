"""The export of what is kept of a person, as a file: Teams asks them first, and gives it a place in their OneDrive."""

import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from bot.connectors import inside
from bot.connectors.cutting import split
from bot.connectors.tasks import Once
from bot.connectors.teams import shapes
from bot.connectors.teams.address import Address
from bot.connectors.teams.errors import Refused, TeamsError, Unreachable
from bot.connectors.teams.events import Said
from bot.connectors.teams.names import PLATFORM
from bot.connectors.teams.presses import named, presser
from bot.connectors.teams.sdk import InvokeRefused
from bot.connectors.teams.workspace import Workspace
from bot.store import StoreError

log = logging.getLogger(__name__)

Json = Mapping[str, Any]

CONSENT = "application/vnd.microsoft.teams.card.file.consent"
INFO = "application/vnd.microsoft.teams.card.file.info"
NAME = "care-export.json"
DESCRIPTION = "Everything that CARE keeps of you."
IN_PRIVATE = "Only you should see that: write `export` to me in our personal chat."
DECLINED = "Then I keep it to myself. Write `export` whenever you want it."
UPLOADED = "Here is everything that I keep of you."
NOT_UPLOADED = "I could not put the file there. Please write `export` again in a few minutes."
NO_PLACE = "uploadInfo.uploadUrl must be an https address of SharePoint"
_STORAGE = ".sharepoint.com"
_UPLOAD_SECONDS = 60.0
_PATIENCE_SECONDS = 60.0
_PIECE_BYTES = 9000


class Files:
    """Offered, and once they agree brought."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._service = workspace.service
        self._once = Once()

    async def offer(self, said: Said) -> str | None:
        """What to tell them, where it can't be offered here."""
        if not said.private:
            return IN_PRIVATE
        self._workspace.spawn(self._offer(said.user, await self._workspace.address_of(said.name.place)), "an export")
        return None

    async def _offer(self, user: str, chat: Address) -> None:
        found = await self._service.export(PLATFORM, user)
        content = {"description": DESCRIPTION, "sizeInBytes": len(found.encode()), "acceptContext": {}, "declineContext": {}}
        asked = {"type": "message", "attachments": [{"contentType": CONSENT, "name": NAME, "content": content}]}
        try:
            await self._workspace.api.post(chat, asked, patience=_PATIENCE_SECONDS)
        except Refused:  # a client without files
            for shape in as_code(found):
                await self._workspace.api.post(chat, shape, patience=_PATIENCE_SECONDS)

    async def consented(self, activity: Json) -> Json:
        """`fileConsent/invoke`: whoever presses gets what is kept of them, and nobody else's. Raises InvokeRefused."""
        by = presser(activity)
        value = inside.inner(activity, "value")
        action = inside.text(value, "action")
        if action not in ("accept", "decline"):
            raise InvokeRefused(400, "value.action must be accept or decline")
        if not by.address.private:
            raise InvokeRefused(403, IN_PRIVATE)
        if action == "decline":
            if self._once.first(by.event_id):
                self._workspace.tell(by.address, shapes.note(DECLINED))
            return {}
        info = inside.inner(value, "uploadInfo")
        if not self._may_upload(inside.text(info, "uploadUrl")):
            raise InvokeRefused(400, NO_PLACE)
        asked = named(by.place, inside.text(activity, "replyToId"))
        if self._once.first(by.event_id):  # the place for the file takes one
            self._workspace.spawn(self._bring(by.user, by.address, info, "" if asked is None else asked.id), "an upload")
        return {}

    def _may_upload(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            return False
        if parts.username is not None or parts.password is not None or "\\" in parts.netloc or not url.isprintable() or " " in url:
            return False
        if parts.scheme == "https" and host.endswith(_STORAGE):
            return True
        return self._workspace.api.hosts.allows(parts._replace(query="", fragment="").geturl())

    async def _bring(self, user: str, chat: Address, info: Json, asked: str) -> None:
        try:
            await self._upload(inside.text(info, "uploadUrl"), (await self._service.export(PLATFORM, user)).encode())
        except (Unreachable, Refused, StoreError) as error:
            log.warning("an export was not brought", extra={"error": f"{type(error).__name__}: {error}"})
            await self._workspace.api.post(chat, shapes.note(NOT_UPLOADED), patience=_PATIENCE_SECONDS)
            return
        content = {"uniqueId": inside.text(info, "uniqueId"), "fileType": inside.text(info, "fileType") or "json"}
        file = {"contentType": INFO, "name": NAME, "contentUrl": inside.text(info, "contentUrl"), "content": content}
        await self._workspace.api.post(chat, {**shapes.note(UPLOADED), "attachments": [file]}, patience=_PATIENCE_SECONDS)
        if asked:  # Teams leaves its question there, and would take the file again
            try:
                await self._workspace.api.delete(chat, asked, patience=_PATIENCE_SECONDS)
            except TeamsError as error:
                log.info("a question for consent was not taken away", extra={"error": str(error)})

    async def _upload(self, url: str, content: bytes) -> None:
        """Raises Unreachable or Refused. The address is signed: not a character of it is written in another way."""
        headers = {"Content-Type": "application/json", "Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}"}
        wait, place = aiohttp.ClientTimeout(total=_UPLOAD_SECONDS), URL(url, encoded=url.isascii())
        try:
            async with self._workspace.api.http().put(place, data=content, headers=headers, timeout=wait, allow_redirects=False) as answer:
                if answer.status >= 300:
                    raise Refused(f"upload: {answer.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"the place for the file is not reached ({type(error).__name__})", sent=True) from None


def as_code(found: str) -> list[dict[str, Any]]:
    """The export in messages, each a code block."""
    shown = json.dumps(json.loads(found), indent=1, ensure_ascii=False).replace("```", "'''")
    return [shapes.note(piece) for piece in split(f"```json\n{shown}\n```", _PIECE_BYTES)]
