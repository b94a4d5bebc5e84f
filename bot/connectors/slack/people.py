"""Who people are: their names, and whether they belong to another organisation. Asks Slack once a person, and never for long."""

import asyncio
import logging
from collections import OrderedDict

from bot.connectors.slack.api import Person
from bot.connectors.slack.errors import Limited, SlackError, Unreachable
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
        self._asking: dict[str, asyncio.Future[Person]] = {}

    def name(self, user: str) -> str | None:
        """As Slack shows it; None until Slack has said, which nobody waits for."""
        if user in self._known:
            return self._known[user].name
        self._ask(user)
        return None

    def forget(self, user: str) -> None:
        """Their name, too."""
        self._known.pop(user, None)

    async def stranger(self, said: Said) -> bool:
        """Whether a message comes from somebody that CARE does not serve. Raises SlackError: not known yet, and to be asked again."""
        if said.user == self._workspace.identity.user:
            return True  # CARE itself
        if self._workspace.settings.slack_external:
            return False
        if said.team is not None and said.team != self._workspace.identity.team:
            return await self.is_stranger(said.user, said.team)
        return said.team is None and said.shared and await self.is_stranger(said.user, None)

    async def is_stranger(self, user: str, team: str | None) -> bool:
        """Whether somebody is of another organisation; who Slack won't tell us of is. Raises SlackError: not known yet, ask again."""
        if not user:
            return True  # an event that doesn't say who
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
        """None: Slack will never say. Raises Limited or Unreachable: it may the next time, so nobody may be sent away for it."""
        if user in self._known:
            return self._known[user]
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                return await asyncio.shield(self._ask(user))
        except TimeoutError:
            raise Unreachable(f"Slack did not say within {_LOOK_SECONDS:g} s who somebody is", sent=True) from None
        except (Limited, Unreachable):
            raise
        except SlackError as error:
            log.info("Slack does not say who somebody is", extra={"error": type(error).__name__})
            return None

    def _ask(self, user: str) -> "asyncio.Future[Person]":
        """Asks Slack, once at a time; goes on when nobody waits any more, so that the next event finds them known."""
        if user not in self._asking:
            self._asking[user] = asyncio.get_running_loop().create_future()
            self._workspace.spawn(self._learn(user, self._asking[user]), "who somebody is")
        return self._asking[user]

    async def _learn(self, user: str, answer: "asyncio.Future[Person]") -> None:
        try:
            self._known[user] = await self._workspace.api.person(user)
            answer.set_result(self._known[user])
        except SlackError as error:
            answer.set_exception(error)
            answer.exception()  # often nobody waits for it
            raise
        finally:
            answer.cancel()  # only one that has no result
            del self._asking[user]
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
