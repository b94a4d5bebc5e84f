"""Every field of every activity, at any depth, missing or of another type: through the real door, to the real listeners."""

import json
import logging
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import pytest

from bot.connectors.teams import cards
from tests.bot.teams.conftest import Start
from tests.fakes.teams import ADA, SUPPORT, FakeTeams, Message

GONE = object()
WRONG = (GONE, None, 5, "x", [], {}, True, [None], {"id": 5}, -1.5, "\x00", ["x"], [[]], "9" * 5000, {"type": {"type": "x"}})

Json = dict[str, Any]
Make = Callable[[FakeTeams, Message], Json]


def event(teams: FakeTeams, asked: Message, kind: str, **fields: object) -> Json:
    return {**teams.event(kind, ADA, asked.chat, asked.place), **fields}


def invoke(name: str, value: object) -> Make:
    return lambda teams, answer: event(teams, answer, "invoke", name=name, value=value, replyToId=answer.id)


FEEDBACK = {"reaction": "dislike", "feedback": json.dumps({"feedbackText": "no", "reason": "no", "correction": "yes"})}
UPLOAD = {"contentUrl": "https://127.0.0.1:9/", "uploadUrl": "https://127.0.0.1:9/", "name": "export.json"}
CONSENT = {"type": "fileUpload", "action": "accept", "context": {"x": 1}, "uploadInfo": UPLOAD}
BUTTON = {"type": "Action.Execute", "verb": cards.RATE, "data": {"verdict": 1}}
ACTIVITIES: dict[str, Make] = {
    "a message in private": lambda teams, _: teams.activity(ADA, "help"),
    "a message in a channel": lambda teams, _: teams.activity(ADA, "help", in_=SUPPORT),
    "a card that was sent": lambda teams, answer: event(teams, answer, "message", id="17", value={"verb": cards.RATE, "verdict": 1}),
    "an edit": lambda teams, answer: {**teams.activity(ADA, "help"), "type": "messageUpdate"},
    "a deletion": lambda teams, answer: event(teams, answer, "messageDelete", id="17"),
    "a reaction": lambda teams, answer: event(teams, answer, "messageReaction", replyToId=answer.id, reactionsAdded=[{"type": "like"}]),
    "a reaction taken back": lambda teams, answer: event(
        teams, answer, "messageReaction", replyToId=answer.id, reactionsRemoved=[{"type": "like"}]
    ),
    "an installation": lambda teams, answer: event(teams, answer, "installationUpdate", action="add"),
    "a removal": lambda teams, answer: event(teams, answer, "installationUpdate", action="remove"),
    "somebody who joins": lambda teams, answer: event(teams, answer, "conversationUpdate", membersAdded=[ADA.json()]),
    "a thumb": invoke("message/fetchTask", {"data": {"actionName": "feedback", "actionValue": {"reaction": "like"}}}),
    "a thumb with words": invoke("message/submitAction", {"actionName": "feedback", "actionValue": FEEDBACK}),
    "a button": invoke("adaptiveCard/action", {"action": BUTTON, "trigger": "manual"}),
    "a consent": invoke("fileConsent/invoke", CONSENT),
}


def mutants(activity: Json) -> Iterator[Json]:
    """Each part of it in turn missing, and something else."""
    wrongs = cycle(WRONG)
    for path in paths(activity):
        for wrong in (GONE, next(wrongs), next(wrongs)):
            yield changed(activity, path, wrong)


def paths(part: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for name, each in inner:
        yield (*path, name)
        yield from paths(each, (*path, name))


def changed(activity: Json, path: tuple[str | int, ...], value: object) -> Json:
    copy = json.loads(json.dumps(activity))
    part = copy
    for name in path[:-1]:
        part = part[name]
    if value is GONE:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return copy


@pytest.mark.parametrize("make", ACTIVITIES.values(), ids=ACTIVITIES)
async def test_nothing_that_anybody_sends_breaks_anything(
    start: Start, teams: FakeTeams, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    teams.connector.rates = ()
    teams.streams.gap = 0
    async with start() as care:
        asked = await teams.say(ADA, "Why is my bill so high?")
        answer = await care.answer(asked)
        for activity in mutants(make(teams, answer)):
            status, body = await teams.post_raw(activity, teams.bearer())
            assert status in (200, 201, 400, 401, 403, 404, 501), (status, body, activity)
        await care.idle()
        broken = [record for record in caplog.records if record.levelno >= logging.ERROR and record.name.startswith("bot")]
        assert not broken, [record.getMessage() for record in broken]
        assert (await care.answer(await teams.say(ADA, "And now?"))).text.startswith("You asked: And now? Bye.")
        assert care.turns()[0]["status"] == "delivered"
