"""What CARE tells people in Slack unasked: the operators in the admin channel, others in their direct messages."""

import asyncio
import logging

from bot.connectors import nights
from bot.connectors.slack import notes, report
from bot.connectors.slack.errors import Gone, SlackError
from bot.connectors.slack.mrkdwn import mrkdwn_escape
from bot.connectors.slack.workspace import Workspace
from bot.notices import OPERATORS, Notice

log = logging.getLogger(__name__)

CHART = "The night in a chart"
_PATIENCE_SECONDS = 5.0  # the postman comes again, and brings what is for others meanwhile


class News:
    """Notices from the outbox."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def tell(self, notice: Notice) -> bool:
        """Whether there was anybody to tell. Raises SlackError: then it is tried again."""
        if notice.platform == OPERATORS:
            return await self._tell_operators(notice)
        text = mrkdwn_escape(notice.text)
        try:
            channel = await self._workspace.api.direct(notice.user_id)
            await self._workspace.api.post(channel, text, notes.note(text), patience=_PATIENCE_SECONDS)
        except Gone:  # they have left: nobody will hear it, now or later
            return False
        return True

    async def _tell_operators(self, notice: Notice) -> bool:
        channel = self._workspace.settings.slack_admin_channel
        if channel is None:
            return False
        text = mrkdwn_escape(notice.text)
        if notice.kind != "report":
            await self._workspace.api.post(channel, text, notes.note(text), patience=_PATIENCE_SECONDS)
            return True
        night = await asyncio.to_thread(nights.read, notice)
        shown = notes.marked(report.report_blocks(notice, night))
        ts = await self._workspace.api.post(channel, text, shown, patience=_PATIENCE_SECONDS)
        if night is not None and night.chart is not None:
            self._workspace.spawn(self._chart(channel, ts, night.chart), "the night's chart")
        return True

    async def _chart(self, channel: str, ts: str, chart: bytes) -> None:
        """Below the report. The report stands already: a picture that Slack won't take is no reason to post it again."""
        try:
            await self._workspace.api.upload(channel, "report.png", chart, "The night in a picture", thread_ts=ts)
        except SlackError as error:
            log.warning("the night's chart was not posted", extra={"error": str(error)})
