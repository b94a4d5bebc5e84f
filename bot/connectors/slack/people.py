"""Who people are: their names, and whether they belong to another organisation. Asks Slack once a person, and never for long."""

import asyncio
import logging
from collections import OrderedDict

from bot.connectors.slack.api import Person
from bot.connectors.slack.errors import SlackError
from bot.connectors.slack.events import Said
from bot.connectors.slack.workspace import Workspace

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0  # an acknowledgement may have to wait for it
_MOST = 10_000


class People:
    """Those whom CARE has met since it started."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: OrderedDict[str, Person] = OrderedDict()
        self._asking: set[str] = set()

    def name(self, user: str) -> str | None:
        """As Slack shows it; None until Slack has said, which nobody waits for."""
        if user in self._known:
            return self._known[user].name
        if user not in self._asking:
            self._asking.add(user)
            self._workspace.spawn(self._learn(user), "a person's name")
        return None

    def forget(self, user: str) -> None:
        """Their name, too."""
        self._known.pop(user, None)

    async def stranger(self, said: Said) -> bool:
        """Whether a message comes from somebody that CARE does not serve."""
        if self._workspace.settings.slack_external:
            return False
        if said.team is not None and said.team != self._workspace.identity.team:
            return await self.is_stranger(said.user, said.team)
        return said.team is None and said.shared and await self.is_stranger(said.user, None)

    async def is_stranger(self, user: str, team: str | None) -> bool:
        """Whether somebody is of another organisation, as far as Slack says; in doubt they are."""
        if self._workspace.settings.slack_external:
            return False
        me = self._workspace.identity
        if team == me.team:
            return False
        person = await self._person(user)
        if person is None:
            return True
        ours = person.team == me.team or (me.enterprise is not None and person.enterprise == me.enterprise)
        return person.stranger or not ours

    async def _person(self, user: str) -> Person | None:
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._learn(user)
        except (SlackError, TimeoutError) as error:
            log.info("Slack did not say who somebody is", extra={"error": type(error).__name__})
        return self._known.get(user)

    async def _learn(self, user: str) -> None:
        if user in self._known:
            return
        self._asking.add(user)
        try:
            self._known[user] = await self._workspace.api.person(user)
        finally:
            self._asking.discard(user)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
