"""Which messages of the app are whose answer, and where they can be reached."""

import pytest

from tests.fakes.teams import ADA, BOT_ID, GONE, GRACE, LINUS, STRANGER, SUPPORT, TENANT, FakeTeams
from tests.fakes.teams.conftest import App
from tests.fakes.teams.world import Json

LABEL: Json = {
    "type": "https://schema.org/Message",
    "@type": "Message",
    "@context": "https://schema.org",
    "additionalType": ["AIGeneratedContent"],
}


async def test_an_answer_comes_after_its_question(teams: FakeTeams, app: App) -> None:
    await app.post(teams.personal(ADA), "Welcome")
    asked = await teams.say(ADA, "Hello")
    assert teams.replies(asked) == []
    await app.post(asked.place, "Hi Ada")
    assert [answer.text for answer in teams.answers(asked)] == ["Hi Ada"]


async def test_an_answer_stands_in_the_thread_of_its_question(teams: FakeTeams, app: App) -> None:
    first, second = [await teams.say(ADA, "Hello", in_=SUPPORT) for _ in range(2)]
    below = await teams.say(GRACE, "Me too", in_=SUPPORT, thread=first)
    await app.post(second.place, "Hi Ada")
    assert (below.place == first.place, teams.answers(first), teams.answers(below)) == (True, [], [])
    assert len(teams.answers(second)) == 1


async def test_an_answer_to_another_question_is_none(teams: FakeTeams, app: App) -> None:
    first, second = [await teams.say(ADA, "Hello") for _ in range(2)]
    await app.post(first.place, "To the second", replyToId=second.id)
    await app.post(first.place, "To nobody known", replyToId="1")
    assert [answer.text for answer in teams.answers(first)] == ["To nobody known"]
    assert [answer.text for answer in teams.answers(second)] == ["To the second", "To nobody known"]


@pytest.mark.parametrize(
    ("text", "entities", "final"), [("Looking into it…", [], False), ("Well…", [LABEL], True), ("I am busy, ask me again.", [], True)]
)
async def test_what_is_still_looked_into_is_no_answer(teams: FakeTeams, app: App, text: str, entities: list[Json], final: bool) -> None:
    asked = await teams.say(ADA, "Hello", in_=teams.group(ADA, GRACE))
    await app.post(asked.place, text, entities=entities)
    assert len(teams.replies(asked)) == 1
    assert len(teams.answers(asked)) == final


async def test_a_message_is_reached_by_its_own_thread_or_the_channel(teams: FakeTeams, app: App) -> None:
    first, second = [await teams.say(ADA, "Hello", in_=SUPPORT) for _ in range(2)]
    _, posted = await app.post(first.place)
    hi = {"type": "message", "text": "Hi"}
    for place, status in ((second.place, 404), (first.place, 200), (SUPPORT.id, 200)):
        assert (await app.call("PUT", f"/{place}/activities/{posted['id']}", hi))[0] == status


async def test_what_people_write_looks_like_teams(teams: FakeTeams, app: App) -> None:
    private = await teams.say(ADA, "Why <b>?")
    group = await teams.say(ADA, "Why?", in_=teams.group(ADA, LINUS))
    post = await teams.say(ADA, "Why?", in_=SUPPORT)
    first, second, third = app.told
    assert first["conversation"] == {"conversationType": "personal", "tenantId": TENANT, "id": private.place}
    assert second["conversation"] == {"conversationType": "groupChat", "tenantId": TENANT, "id": group.place, "isGroup": True}
    assert third["conversation"]["id"] == f"{SUPPORT.id};messageid={post.id}"
    assert third["channelData"]["channel"] == {"id": SUPPORT.id}
    assert (first["text"], first["attachments"]) == ("Why <b>?", [{"contentType": "text/html", "content": "<p>Why &lt;b&gt;?</p>"}])
    assert second["text"] == "<at>CARE</at> Why?"
    assert [entity["mentioned"]["id"] for entity in second["entities"] if entity["type"] == "mention"] == [BOT_ID]
    assert first["from"] == {"id": ADA.id, "name": "Ada Lovelace", "aadObjectId": ADA.aad_id}
    assert first["timestamp"].endswith("Z")
    assert first["localTimestamp"].endswith("+01:00")


async def test_strangers_and_fields_of_ones_own(teams: FakeTeams, app: App) -> None:
    await teams.say(STRANGER, "Hello", localTimestamp=GONE, from_={"id": "29:me"})
    (told,) = app.told
    assert told["conversation"]["tenantId"] == told["channelData"]["tenant"]["id"] == STRANGER.tenant != TENANT
    assert (told["from"], "localTimestamp" in told) == ({"id": "29:me"}, False)
