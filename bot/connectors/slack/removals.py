"""Takes the answers to deleted questions away: which those are stands in the database until Slack has removed them. Knows no event."""

import asyncio
import logging

from bot.connectors.slack.errors import Gone, Limited, Refused, Unreachable
from bot.connectors.slack.names import PLATFORM, parse
from bot.connectors.slack.workspace import Workspace

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 600.0
_AGAIN_SECONDS = 60.0


async def take_away(workspace: Workspace, message: str) -> None:
    """Insists until Slack has removed it, or never will. What a stop cuts off, the next start goes on with. Raises StoreError."""
    name = parse(message)
    while True:
        try:
            await workspace.api.delete(name.channel, name.ts, patience=_PATIENCE_SECONDS)
            break
        except Gone:
            break
        except Refused as error:
            log.error("Slack does not remove an answer to a deleted question; the next start tries again", extra={"error": str(error)})
            return
        except (Limited, Unreachable) as error:
            log.warning("an answer to a deleted question waits for Slack", extra={"error": str(error)})
            await asyncio.sleep(_AGAIN_SECONDS)
    await workspace.service.taken_away(PLATFORM, message)


async def go_on(workspace: Workspace) -> None:
    """Takes away what an earlier process left. Raises StoreError."""
    for message in await workspace.service.to_take_away(PLATFORM):
        await take_away(workspace, message)
