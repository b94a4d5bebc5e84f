"""Teams as the service and the application see it: started, stopped, and what the service brings there. Puts the parts together."""

import logging

from aiohttp import web

from bot.connectors.base import Delivery
from bot.connectors.teams.api import TeamsApi
from bot.connectors.teams.delivery import Deliveries
from bot.connectors.teams.events import Said
from bot.connectors.teams.keys import Keys
from bot.connectors.teams.listeners import Listeners
from bot.connectors.teams.names import PLATFORM
from bot.connectors.teams.removals import removals
from bot.connectors.teams.sdk import Dispatch, Ears
from bot.connectors.teams.trust import Trust
from bot.connectors.teams.webhook import Webhook
from bot.connectors.teams.workspace import Workspace
from bot.notices import Notice
from bot.service import Service
from bot.settings import Settings
from bot.turns import ExpertReply, Handover, Turn

log = logging.getLogger(__name__)


class TeamsConnector:
    """One app in one tenant."""

    platform = PLATFORM

    def __init__(self, settings: Settings, service: Service) -> None:
        self._settings = settings
        self._workspace = Workspace(settings, service, TeamsApi(settings))
        self._deliveries = Deliveries(self._workspace)
        self._webhook = door(settings, self._workspace.api, self._ears())

    def _ears(self) -> Ears:
        listeners = Listeners(self._workspace, _NoExperts(), ())
        return Ears(
            message=listeners.message,
            edited=listeners.edited,
            deleted=listeners.deleted,
            reacted=listeners.joined,
            installed=listeners.installed,
            joined=listeners.joined,
            left=listeners.left,
        )

    def routes(self) -> list[web.RouteDef]:
        return self._webhook.routes()

    async def start(self) -> None:
        """Returns at once: Teams comes by itself, and may be away."""
        if self._settings.teams_no_auth:
            log.warning(
                "TEAMS_NO_AUTH=1: whoever can reach this machine's loopback may speak for anybody in Teams; never do this in service"
            )
        log.info("listening to Teams", extra={"tenant": self._settings.teams_tenant_id})
        self._workspace.spawn(removals(self._workspace).go_on(), "answers to questions that were deleted before")

    async def stop_intake(self) -> None:
        """Nothing new from now on: Teams sends it again, to the next start."""
        self._webhook.stop()

    async def close(self) -> None:
        """After the drain."""
        await self._workspace.close()
        await self._webhook.close()

    def open(self, turn: Turn) -> Delivery:
        return self._deliveries.open(turn)

    async def tell(self, notice: Notice) -> bool:
        return False

    async def hand_over(self, handover: Handover, turns: tuple[Turn, ...]) -> str | None:
        return None

    async def relay(self, handover: Handover, turn: Turn) -> None:
        return None

    async def expert_replied(self, handover: Handover, reply: ExpertReply) -> None:
        return None


class _NoExperts:
    async def asked_for(self, said: Said, conversation: str) -> None: ...

    async def files_came(self, said: Said, conversation: str) -> None: ...

    async def expert_wrote(self, said: Said) -> bool:
        return False


def door(settings: Settings, api: TeamsApi, ears: Ears) -> Webhook:
    """Where Teams' requests come in. Without an app id anybody's: the settings allow that on this machine alone."""
    if settings.teams_app_id is None:
        assert settings.teams_no_auth, "the application makes it for an app id, or without authentication on purpose"
        return Webhook(None, api.hosts, Dispatch(ears).take)
    assert settings.teams_tenant_id is not None, "the settings belong together"
    trust = Trust(settings.teams_app_id, settings.teams_tenant_id, Keys(settings.teams_openid_url, api.http))
    return Webhook(trust, api.hosts, Dispatch(ears).take)
