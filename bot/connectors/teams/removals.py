"""How an answer to a deleted question is removed from Teams."""

from bot.connectors.removals import Removals
from bot.connectors.teams.address import Address
from bot.connectors.teams.errors import Gone, Refused, TeamsError
from bot.connectors.teams.names import PLATFORM, parse
from bot.connectors.teams.workspace import Workspace

_PATIENCE_SECONDS = 600.0


def removals(workspace: Workspace) -> Removals:
    async def address(message: str) -> Address:
        kept = await workspace.service.way_to_removal(PLATFORM, message)
        return await workspace.address_of(parse(message).place) if kept is None else Address.parse(kept)

    async def delete(message: str) -> None:
        await workspace.api.delete(await address(message), parse(message).id, patience=_PATIENCE_SECONDS)

    return Removals(PLATFORM, workspace.service, delete, error=TeamsError, gone=Gone, refused=Refused)
