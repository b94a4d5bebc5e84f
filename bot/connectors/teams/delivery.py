"""The replies that are on their way to Teams."""

from bot.connectors.delivery import ReplyDelivery
from bot.connectors.draft import Draft
from bot.connectors.teams.errors import Gone
from bot.connectors.teams.names import asked_in
from bot.connectors.teams.workspace import Workspace
from bot.connectors.teams.writer import Writer
from bot.turns import Turn


class Deliveries:
    """The replies that are on their way now."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._open: dict[str, ReplyDelivery[Writer]] = {}

    def open(self, turn: Turn) -> ReplyDelivery[Writer]:
        """A delivery for a turn, where it was asked."""
        draft = Draft()
        delivery = ReplyDelivery(
            turn,
            draft,
            Writer(self._workspace, turn, asked_in(turn), draft),
            hosts=self._workspace.hosts,
            tasks=self._workspace.tasks,
            gone=Gone,
            closed=self._close,
            fetched=self._workspace.service.fetched,
            before=self._open.get(turn.question.replaces) if turn.question.replaces is not None else None,
        )
        self._open[turn.id] = delivery
        return delivery

    def _close(self, turn_id: str) -> None:
        self._open.pop(turn_id, None)
