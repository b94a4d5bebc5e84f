"""The replies that are on their way to Slack, and which of them Slack's Stop button means."""

from bot.connectors.delivery import ReplyDelivery
from bot.connectors.draft import Draft
from bot.connectors.slack.errors import Gone
from bot.connectors.slack.names import asked_in
from bot.connectors.slack.workspace import Workspace
from bot.connectors.slack.writer import Writer
from bot.turns import Turn


class Deliveries:
    """The replies that are on their way now."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._open: dict[str, ReplyDelivery[Writer]] = {}

    def open(self, turn: Turn) -> ReplyDelivery[Writer]:
        """A delivery for a turn, in the thread of the message that asked; of one from before this start Slack is asked for it."""
        question, draft = asked_in(turn), Draft()
        delivery = ReplyDelivery(
            turn,
            draft,
            Writer(self._workspace, turn, question, self._workspace.remembered_root(question), draft),
            hosts=self._workspace.hosts,
            tasks=self._workspace.tasks,
            gone=Gone,
            closed=self._close,
            fetched=self._workspace.service.fetched,
            before=self._open.get(turn.question.replaces) if turn.question.replaces is not None else None,
        )
        self._open[turn.id] = delivery
        return delivery

    def stop(self, channel: str, thread: str) -> list[str]:
        """Slack's Stop button was pressed in a thread: the turns that were being answered there."""
        found = [turn_id for turn_id, each in self._open.items() if (each.writer.channel, each.writer.thread) == (channel, thread)]
        for turn_id in found:
            self._open[turn_id].stop()
        return found

    def _close(self, turn_id: str) -> None:
        self._open.pop(turn_id, None)
