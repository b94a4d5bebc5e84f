"""How an answer to a deleted question is removed from Slack."""

from bot.connectors.removals import Removals
from bot.connectors.slack.errors import Gone, Refused, SlackError
from bot.connectors.slack.names import PLATFORM, parse
from bot.connectors.slack.workspace import Workspace

_PATIENCE_SECONDS = 600.0


def removals(workspace: Workspace) -> Removals:
    async def delete(message: str) -> None:
        name = parse(message)
        await workspace.api.delete(name.channel, name.ts, patience=_PATIENCE_SECONDS)

    return Removals(PLATFORM, workspace.service, delete, error=SlackError, gone=Gone, refused=Refused)
