"""What stands under a thread while there is nothing to read: a line, and Slack's Stop button. Best effort; knows no turn.

The line goes by itself once a new message is posted, not when one is updated; a session stays `processing` until somebody says otherwise.
"""

import asyncio

from bot.connectors.slack.errors import SlackError
from bot.connectors.slack.workspace import Workspace

LOOKING = "is looking into it…"
WRITING = "is writing…"
_FRESH_SECONDS = 100.0  # Slack forgets a line after two minutes
_PATIENCE_SECONDS = 60.0
_TITLE_LENGTH = 80  # Slack takes 200; a list shows about so much


class StatusLine:
    """Of one thread, for one reply."""

    def __init__(self, workspace: Workspace, channel: str) -> None:
        self._workspace = workspace
        self._channel = channel
        self._shown = ""
        self._shown_at = 0.0
        self._opening: asyncio.Task[None] | None = None
        self._works = True

    def due(self, line: str) -> bool:
        """Whether it is not shown, or soon not any more."""
        return self._works and (line != self._shown or asyncio.get_running_loop().time() - self._shown_at > _FRESH_SECONDS)

    async def show(self, thread: str, line: str) -> None:
        """Says what is going on, if Slack lets us."""
        if not self.due(line) or not self._workspace.budget.statuses.take():
            return
        try:
            await self._workspace.api.status(self._channel, thread, line)
        except SlackError:
            self._works = False  # nothing hangs on it: what is shown next is a message
        self._shown, self._shown_at = line, asyncio.get_running_loop().time()

    def went(self) -> None:
        """A new message was posted, and Slack took the line away."""
        self._shown = ""

    def open(self, thread: str, title: str) -> None:
        """Shows the Stop button, and the session under this title in the person's list."""
        if self._opening is None and self._workspace.budget.sessions.take():
            work = self._workspace.api.session(self._channel, thread, "processing", title=title[:_TITLE_LENGTH])
            self._opening = self._workspace.spawn(work, "a Stop button")

    def close(self, thread: str, *, idled: bool) -> None:
        """Takes away what did not go by itself: nothing more is coming."""
        self._workspace.spawn(self._close(thread, clear=bool(self._shown), idle=not idled), "the end of a status")

    async def _close(self, thread: str, *, clear: bool, idle: bool) -> None:
        if self._opening is not None:
            await asyncio.wait([self._opening])
            if idle:
                await self._workspace.api.session(self._channel, thread, "active", patience=_PATIENCE_SECONDS)
        if clear:
            await self._workspace.api.status(self._channel, thread, "")
