"""How an answer to a deleted question is removed from Teams."""

from bot.connectors.removals import Removals
from bot.connectors.teams.errors import Gone, Refused, TeamsError
from bot.connectors.teams.names import PLATFORM, parse
from bot.connectors.teams.workspace import Workspace

_PATIENCE_SECONDS = 600.0


def removals(workspace: Workspace) -> Removals:
    async def delete(message: str) -> None:
        name = parse(message)
        await workspace.api.delete(await workspace.address_of(name.place), name.id, patience=_PATIENCE_SECONDS)

    return Removals(PLATFORM, workspace.service, delete, error=TeamsError, gone=Gone, refused=Refused)
