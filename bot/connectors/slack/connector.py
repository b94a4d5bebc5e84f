"""Slack as the service and the application see it: started, stopped, and what the service brings there. Puts the parts together."""

import asyncio
import logging

from aiohttp import web

from bot.connectors.base import Delivery
from bot.connectors.delivery import Deliveries
from bot.connectors.draft import Draft
from bot.connectors.slack import blocks
from bot.connectors.slack.actions import Actions
from bot.connectors.slack.api import SlackApi
from bot.connectors.slack.bolt import Bolt, Ears
from bot.connectors.slack.commands import Commands
from bot.connectors.slack.errors import Gone, SlackError
from bot.connectors.slack.handover import Handovers
from bot.connectors.slack.listeners import Listeners
from bot.connectors.slack.names import PLATFORM, asked_in
from bot.connectors.slack.news import News
from bot.connectors.slack.people import People
from bot.connectors.slack.removals import removals
from bot.connectors.slack.sockets import Envelope, Sockets
from bot.connectors.slack.votes import Votes
from bot.connectors.slack.webhook import Answer, Request, Signatures, Webhook
from bot.connectors.slack.workspace import Workspace
from bot.connectors.slack.writer import Writer
from bot.notices import Notice
from bot.service import Service
from bot.settings import Settings
from bot.turns import ExpertReply, Handover, Turn

log = logging.getLogger(__name__)

_INTRODUCE_SECONDS = 60.0
_INTRODUCE_PAUSE = 1.0
_MOST_INTRODUCE_PAUSE = 60.0


class SlackConnector:
    """One workspace. Socket Mode with an app token, HTTP without."""

    platform = PLATFORM

    def __init__(self, settings: Settings, service: Service) -> None:
        assert settings.slack_bot_token is not None, "the application makes it for a bot token"
        self._settings = settings
        self._workspace = Workspace(settings, service, SlackApi(settings.slack_bot_token, settings.slack_api_url))
        self._deliveries = _deliveries(self._workspace)
        self._handovers = Handovers(self._workspace)
        self._news = News(self._workspace)
        self._bolt = Bolt(self._workspace, self._ears())
        self._webhook: Webhook | None = None
        self._sockets: Sockets | None = None
        if settings.slack_app_token is not None:
            self._sockets = Sockets(self._workspace.api, settings.slack_app_token, settings.slack_sockets, self._take)
        elif settings.slack_signing_secret is not None:
            self._webhook = Webhook(Signatures(settings.slack_signing_secret), self._receive)
        self._starting: asyncio.Task[None] | None = None

    def _ears(self) -> Ears:
        people = People(self._workspace)
        listeners = Listeners(self._workspace, people, self._deliveries, self._handovers)
        votes = Votes(self._workspace, people)
        actions = Actions(self._workspace, people, self._handovers)
        commands = Commands(self._workspace, people, self._handovers)
        return Ears(
            events={
                "app_mention": listeners.mention,
                "message": listeners.message,
                "agent_session_stopped": listeners.stopped,
                "reaction_added": votes.reacted,
                "reaction_removed": votes.took_back,
                "app_home_opened": actions.opened,
                "tokens_revoked": actions.uninstalled,
                "app_uninstalled": actions.uninstalled,
            },
            actions={
                blocks.FEEDBACK: votes.pressed,
                blocks.HAND_BACK: actions.hand_back,
                blocks.PROMOTE: actions.promote,
                blocks.ROLLBACK: actions.roll_back,
            },
            views={blocks.CORRECTION: votes.explained, blocks.FORGET: commands.forget},
            shortcuts={blocks.TEACH: actions.teach},
            commands={blocks.COMMAND: commands.care},
        )

    def routes(self) -> list[web.RouteDef]:
        """Nothing in Socket Mode."""
        return [] if self._webhook is None else self._webhook.routes()

    async def start(self) -> None:
        """Returns at once: Slack may be away, and comes in when it is there."""
        self._starting = self._workspace.spawn(self._start(), "the start")

    async def _start(self) -> None:
        pause = _INTRODUCE_PAUSE
        while True:
            try:
                me = await self._workspace.introduce(_INTRODUCE_SECONDS)
                break
            except SlackError as error:
                log.warning("Slack does not say who CARE is there; trying again", extra={"error": str(error), "again_in": pause})
                await asyncio.sleep(pause)
                pause = min(2 * pause, _MOST_INTRODUCE_PAUSE)
        log.info("connected to Slack", extra={"team": me.team, "by": "sockets" if self._sockets is not None else "HTTP"})
        if self._sockets is not None:
            self._sockets.start()
        self._workspace.spawn(removals(self._workspace).go_on(), "answers to questions that were deleted before")

    async def stop_intake(self) -> None:
        """Nothing new from now on: Slack keeps it for the next start."""
        if self._starting is not None:
            self._starting.cancel()
        if self._webhook is not None:
            self._webhook.stop()
        if self._sockets is not None:
            await self._sockets.stop()

    async def close(self) -> None:
        """After the drain."""
        if self._webhook is not None:
            await self._webhook.close()
        await self._workspace.close()

    async def _take(self, envelope: Envelope) -> dict[str, object] | None:
        return await self._bolt.socket(envelope.payload)

    async def _receive(self, request: Request) -> Answer:
        response = await self._bolt.http(request.body, request.content_type)
        kind = response.first_headers().get("content-type", "text/plain").partition(";")[0]
        return Answer(response.status, response.body or "", kind)

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


def _deliveries(workspace: Workspace) -> Deliveries[Writer]:
    """Each in the thread of the message that asked; for one from before this start Slack is asked which that is."""

    def writer(turn: Turn, draft: Draft) -> Writer:
        question = asked_in(turn)
        return Writer(workspace, turn, question, workspace.remembered_root(question), draft)

    return Deliveries(writer, hosts=workspace.hosts, tasks=workspace.tasks, gone=Gone, service=workspace.service)
