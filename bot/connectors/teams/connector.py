"""Teams as the service and the application see it: started, stopped, and what the service brings there. Puts the parts together."""

import logging

from aiohttp import web

from bot.connectors.base import Delivery
from bot.connectors.delivery import Deliveries
from bot.connectors.draft import Draft
from bot.connectors.teams.api import TeamsApi
from bot.connectors.teams.buttons import Buttons
from bot.connectors.teams.commands import Commands
from bot.connectors.teams.errors import Gone
from bot.connectors.teams.files import Files
from bot.connectors.teams.handover import Handovers
from bot.connectors.teams.keys import Keys
from bot.connectors.teams.listeners import Listeners
from bot.connectors.teams.names import PLATFORM, asked_in
from bot.connectors.teams.news import News
from bot.connectors.teams.orders import Orders
from bot.connectors.teams.removals import removals
from bot.connectors.teams.sdk import Dispatch, Ears
from bot.connectors.teams.trust import Trust
from bot.connectors.teams.votes import Votes
from bot.connectors.teams.webhook import Webhook
from bot.connectors.teams.workspace import Workspace
from bot.connectors.teams.writer import Writer
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
        self._deliveries = _deliveries(self._workspace)
        self._handovers = Handovers(self._workspace)
        self._news = News(self._workspace)
        self._listeners, ears = self._ears()
        self._webhook = door(settings, self._workspace.api, ears)

    def _ears(self) -> tuple[Listeners, Ears]:
        files, votes = Files(self._workspace), Votes(self._workspace)
        commands = Commands(self._workspace, self._handovers, files)
        orders = Orders(self._workspace)
        buttons = Buttons(self._workspace, votes.verbs(), self._handovers.verbs(), commands.verbs(), orders.verbs())
        listeners = Listeners(self._workspace, self._handovers, (buttons.submitted, commands.hear))
        return listeners, Ears(
            message=listeners.message,
            edited=listeners.edited,
            deleted=listeners.deleted,
            reacted=votes.reacted,
            installed=listeners.installed,
            joined=listeners.joined,
            left=listeners.left,
            invokes={
                "message/fetchTask": votes.opened,
                "message/submitAction": votes.explained,
                "adaptiveCard/action": buttons.pressed,
                "fileConsent/invoke": files.consented,
            },
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
        self._workspace.spawn(self._listeners.greet(), "welcomes that a stop came before")

    async def stop_intake(self) -> None:
        """Nothing new from now on: Teams sends it again, to the next start."""
        self._webhook.stop()

    async def close(self) -> None:
        """After the drain."""
        await self._webhook.close()
        await self._workspace.close()

    def open(self, turn: Turn) -> Delivery:
        return self._deliveries.open(turn)

    async def tell(self, notice: Notice) -> bool:
        return await self._news.tell(notice)

    async def hand_over(self, handover: Handover, turns: tuple[Turn, ...]) -> str | None:
        return await self._handovers.post(handover, turns)

    async def relay(self, handover: Handover, turn: Turn) -> None:
        await self._handovers.relay(handover, turn)

    async def expert_replied(self, handover: Handover, reply: ExpertReply) -> None:
        await self._handovers.bring(handover, reply)


def door(settings: Settings, api: TeamsApi, ears: Ears) -> Webhook:
    """Where Teams' requests come in. Without an app id anybody's: the settings allow that on this machine alone."""
    if settings.teams_app_id is None:
        assert settings.teams_no_auth, "the application makes it for an app id, or without authentication on purpose"
        return Webhook(None, api.hosts, Dispatch(ears).take)
    assert settings.teams_tenant_id is not None, "the settings belong together"
    trust = Trust(settings.teams_app_id, settings.teams_tenant_id, Keys(settings.teams_openid_url, api.http))
    return Webhook(trust, api.hosts, Dispatch(ears).take)


def _deliveries(workspace: Workspace) -> Deliveries[Writer]:
    """Each where it was asked."""

    def writer(turn: Turn, draft: Draft) -> Writer:
        return Writer(workspace, turn, asked_in(turn), draft)

    return Deliveries(writer, hosts=workspace.hosts, tasks=workspace.tasks, gone=Gone, service=workspace.service)
