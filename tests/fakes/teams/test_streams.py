"""Streams are refused where Teams refuses them."""

import pytest

from tests.fakes.teams import ADA, GRACE, SUPPORT, FakeTeams
from tests.fakes.teams.conftest import App
from tests.fakes.teams.refusals import COMPLETED, NOT_ALLOWED, OVER_TIME, STOPPED
from tests.fakes.teams.world import CARD, Chat, Json


@pytest.fixture
def chat(teams: FakeTeams) -> Chat:
    teams.streams.gap = 0.0
    return teams.personal(ADA)


def said(answer: tuple[int, Json]) -> tuple[int, str]:
    """Status and words of a refusal."""
    return answer[0], answer[1]["error"]["message"]


async def begun(app: App, chat: Chat, text: str = "Looking…", kind: str = "informative") -> str:
    status, answer = await app.stream(chat, text, kind=kind)
    assert status == 201
    return str(answer["id"])


async def test_a_stream_grows_and_ends_as_one_message(teams: FakeTeams, app: App, chat: Chat) -> None:
    stream = await begun(app, chat)
    assert (await app.stream(chat, "One", 2, stream))[0] == 202
    assert (await app.stream(chat, "One two", 3, stream))[0] == 202
    (message,) = teams.posts(chat)
    assert (message.text, message.final) == ("One two", False)
    assert await app.stream(chat, "One two three.", None, stream, "final") == (202, {})
    assert (message.id, message.text, message.final, len(message.history)) == (stream, "One two three.", True, 4)


async def test_informative_updates_do_not_count_as_words(app: App, chat: Chat) -> None:
    stream = await begun(app, chat)
    assert (await app.stream(chat, "Still looking…", 2, stream, "informative"))[0] == 202
    assert (await app.stream(chat, "Here", 3, stream))[0] == 202
    assert (await app.stream(chat, "Looking again…", 4, stream, "informative"))[0] == 400


@pytest.mark.parametrize("where", ["group", "channel"])
async def test_only_personal_chats_stream(teams: FakeTeams, app: App, where: str) -> None:
    assert (await app.stream(teams.group(ADA, GRACE) if where == "group" else SUPPORT, "Hi"))[0] == 405


async def test_one_stream_at_a_time_in_a_chat(teams: FakeTeams, app: App, chat: Chat) -> None:
    first = await begun(app, chat)
    assert said(await app.stream(chat, "Hi")) == (403, NOT_ALLOWED)
    assert (await app.stream(teams.personal(GRACE), "Hi"))[0] == 201
    assert (await app.post(chat))[0] == 201
    await app.stream(chat, "Done", None, first, "final")
    assert (await app.stream(chat, "Hi"))[0] == 201


async def test_one_request_a_second(teams: FakeTeams, app: App, chat: Chat) -> None:
    teams.streams.gap, now = 1.0, [100.0]
    teams.now = lambda: now[0]
    await app.log_in()
    stream = await begun(app, chat)
    now[0] += 0.5
    assert (await app.stream(chat, "Hi", 2, stream))[0] == 429
    now[0] += 0.5
    assert (await app.stream(chat, "Hi", 2, stream))[0] == 202
    assert (await app.stream(chat, "Hi.", None, stream, "final"))[0] == 202


async def test_two_minutes(teams: FakeTeams, app: App, chat: Chat) -> None:
    now = [100.0]
    teams.now = lambda: now[0]
    await app.log_in()
    stream = await begun(app, chat)
    now[0] += 121
    assert said(await app.stream(chat, "Hi", 2, stream)) == (403, OVER_TIME)
    assert said(await app.stream(chat, "Hi", None, stream, "final")) == (403, OVER_TIME)
    assert (await app.call("PUT", f"/{chat.id}/activities/{stream}", {"type": "message", "text": "Hi."}))[0] == 200
    (message,) = teams.posts(chat)
    assert (message.text, message.final, message.updates) == ("Hi.", True, 1)


async def test_stop_ends_it_and_what_stands_there_stays(teams: FakeTeams, app: App, chat: Chat) -> None:
    assert not await teams.stop(chat)
    stream = await begun(app, chat)
    await app.stream(chat, "One", 2, stream)
    assert await teams.stop(chat)
    for kind, number in (("streaming", 3), ("final", None)):
        assert said(await app.stream(chat, "One two", number, stream, kind)) == (403, STOPPED)
    assert teams.posts(chat)[0].text == "One"


async def test_nothing_follows_the_end(app: App, chat: Chat) -> None:
    stream = await begun(app, chat)
    await app.stream(chat, "Done", None, stream, "final")
    assert said(await app.stream(chat, "Done it", 2, stream)) == (403, COMPLETED)
    assert said(await app.stream(chat, "Done it", None, stream, "final")) == (403, COMPLETED)


@pytest.mark.parametrize(
    ("text", "sequence", "kind", "status"),
    [
        ("", 1, "informative", 400),
        ("x" * 1001, 1, "informative", 400),
        ("x" * 1000, 1, "informative", 201),
        ("Hi", 2, "streaming", 400),
        ("Hi", None, "streaming", 400),
        ("Hi", None, "final", 400),
        ("Hi", 1, "strange", 400),
    ],
)
async def test_how_a_stream_may_begin(app: App, chat: Chat, text: str, sequence: int | None, kind: str, status: int) -> None:
    assert (await app.stream(chat, text, sequence, kind=kind))[0] == status


async def test_every_chunk_begins_with_the_one_before(app: App, chat: Chat) -> None:
    stream = await begun(app, chat, "One two", "streaming")
    assert (await app.stream(chat, "One three", 2, stream))[0] == 400
    assert (await app.stream(chat, "One two three", 2, stream))[0] == 202
    assert (await app.stream(chat, "Something else", None, stream, "final"))[0] == 202


async def test_what_comes_out_of_order_is_dropped(teams: FakeTeams, app: App, chat: Chat) -> None:
    stream = await begun(app, chat)
    await app.stream(chat, "One two", 3, stream)
    status, answer = await app.stream(chat, "One two three", 2, stream)
    assert (status, answer["error"]["code"]) == (202, "ContentStreamSequenceOrderPreConditionFailed")
    assert teams.posts(chat)[0].text == "One two"
    assert len(teams.streams.dropped) == 1


async def test_a_final_has_no_sequence_and_a_known_stream(app: App, chat: Chat) -> None:
    stream = await begun(app, chat)
    assert (await app.stream(chat, "Done", 2, stream, "final"))[0] == 400
    assert (await app.stream(chat, "Done", None, "12345", "final"))[0] == 400
    assert (await app.stream(chat, "", None, stream, "final"))[0] == 400


async def test_labels_thumbs_and_cards_come_with_the_end(app: App, chat: Chat) -> None:
    label = {
        "type": "https://schema.org/Message",
        "@type": "Message",
        "@context": "https://schema.org",
        "additionalType": ["AIGeneratedContent"],
    }
    card = {"type": "AdaptiveCard", "version": "1.4", "body": [{"type": "TextBlock", "text": "Hi"}]}
    extras: list[Json] = [{"channelData": {"feedbackLoop": {"type": "default"}}}, {"attachments": [{"contentType": CARD, "content": card}]}]
    stream = await begun(app, chat)
    for extra in extras:
        assert (await app.stream(chat, "Hi", 2, stream, **extra))[0] == 400
    info = {"type": "streaminfo", "streamId": stream, "streamType": "streaming", "streamSequence": 2}
    assert (await app.stream(chat, "Hi", entities=[info, label]))[0] == 400
    final = {"type": "streaminfo", "streamId": stream, "streamType": "final"}
    assert (await app.stream(chat, "Hi", kind="final", entities=[final, label], **extras[0]))[0] == 202


@pytest.mark.parametrize("allowed", [True, False])
async def test_an_update_ends_a_running_stream_or_is_refused(teams: FakeTeams, app: App, chat: Chat, allowed: bool) -> None:
    teams.streams.update_allowed = allowed
    stream = await begun(app, chat)
    status, _ = await app.call("PUT", f"/{chat.id}/activities/{stream}", {"type": "message", "text": "Hi."})
    assert status == (200 if allowed else 403)
    assert (await app.stream(chat, "Hi", 2, stream))[0] == (403 if allowed else 202)


async def test_a_chunk_too_large_is_a_streams_refusal(app: App, chat: Chat) -> None:
    stream = await begun(app, chat)
    assert said(await app.stream(chat, "x" * 50_000, 2, stream)) == (403, "Message size too large")
