"""What CARE tells people in Teams unasked: the operators in the admin channel, others in their personal chats."""

import asyncio
import logging

from bot.connectors import nights
from bot.connectors.teams import cards, report
from bot.connectors.teams.address import Address
from bot.connectors.teams.errors import Gone, Refused
from bot.connectors.teams.names import PLATFORM
from bot.connectors.teams.wording import worded
from bot.connectors.teams.workspace import Workspace
from bot.notices import OPERATORS, Notice

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 5.0  # the postman comes again, and brings what is for others meanwhile


class News:
    """Notices from the outbox."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def tell(self, notice: Notice) -> bool:
        """Whether there was anybody to tell. Raises TeamsError: then it is tried again."""
        if notice.platform == OPERATORS:
            return await self._tell_operators(notice)
        head, _, rest = notice.text.partition("\n")
        try:
            chat = await self._chat(notice.user_id)
            for shape in worded(head, rest, bold=False):
                await self._workspace.api.post(chat, shape, patience=_PATIENCE_SECONDS)
        except (Gone, Refused):  # they have left, or want none of CARE: nobody will hear it, now or later
            return False
        return True

    async def _chat(self, user: str) -> Address:
        """Where they wrote to CARE themselves, or a new chat with them. Raises TeamsError."""
        known = await self._workspace.service.personal_address(PLATFORM, user)
        if known is not None:
            return Address.parse(known)
        like = await self._workspace.anywhere()
        chat = await self._workspace.api.open_direct(user, like)
        await self._workspace.service.reached(PLATFORM, chat.place, chat.text(), user)
        return chat

    async def _tell_operators(self, notice: Notice) -> bool:
        channel_id = self._workspace.settings.teams_admin_channel
        if channel_id is None:
            return False
        night = await asyncio.to_thread(nights.read, notice) if notice.kind == "report" else None
        shape = cards.message(report.report_card(notice, night), cards.cut(notice.text.partition("\n")[0], 150))
        await self._workspace.begin(channel_id, shape, patience=_PATIENCE_SECONDS)
        return True
