"""What somebody can ask of CARE itself in Teams, in a word."""

import asyncio
import json

import pytest

from bot.connectors import tasks, words
from bot.connectors.teams import cards, commands, files
from bot.service import Service
from bot.store import StorageFull
from tests.bot.teams.conftest import Care, Start
from tests.fakes.engine import ScriptedEngine
from tests.fakes.teams import ADA, EXPERTS, GRACE, SUPPORT, FakeTeams, Message
from tests.fakes.teams import cards as teams_cards

FORGED: tuple[object, ...] = (None, "", 7, True, [], {}, "x" * 5000, "http://[::1", "https://evil.example/x")


async def says(care: Care, asked: Message, words: str) -> Message:
    """A message of CARE's after another."""
    return (await care.teams.until(lambda: [each for each in care.teams.replies(asked) if words in each.reading]))[0]


async def told(care: Care, words: str, **where: object) -> str:
    """What CARE says to a command."""
    asked = await care.teams.say(ADA, words, **where)
    answer = await care.answer(asked)
    return answer.reading


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("help", "CARE answers support questions"),
        ("HELP ", "CARE answers support questions"),
        ("/help", "CARE answers support questions"),
        ("new", "look back at nothing"),
        ("New conversation", "look back at nothing"),
        ("status", "I'm well"),
        ("opt out", "nothing that you write or vote is used for training"),
        ("opt-in", "may be used for training"),
        ("human", "passed this conversation on to a person"),
        ("forget me", "This erases everything"),
        ("stop", "not writing anything"),
    ],
)
async def test_a_word_is_a_command_and_no_question(care: Care, words: str, expected: str) -> None:
    assert expected in await told(care, words)
    assert care.turns() == []
    assert care.engine.requests == []


@pytest.mark.parametrize(
    "words", ["help me with my bill", "How do I opt out of roaming?", "new phone", "stop my contract", "Is export a tax?"]
)
async def test_a_question_with_such_a_word_is_answered(care: Care, words: str) -> None:
    assert f"You asked: {words}" in await told(care, words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("help", "CARE answers support questions"),
        ("new", "every thread is a conversation of its own"),
        ("export", "our personal chat"),
        ("status", "I'm well"),
        ("opt out", "nothing that you write"),
        ("human", "passed this conversation on"),
    ],
)
async def test_in_a_channel_a_mention_gives_a_command_and_the_thread_has_its_answer(care: Care, words: str, expected: str) -> None:
    asked = await care.teams.say(ADA, words, in_=SUPPORT)
    assert expected in (await care.answer(asked)).reading
    assert care.turns() == []


async def test_without_a_mention_a_word_in_a_channel_is_nobodys_command(care: Care) -> None:
    asked = await care.teams.say(ADA, "Why is my bill so high?", in_=SUPPORT)
    await care.answer(asked)
    await care.teams.say(ADA, "opt out", in_=SUPPORT, thread=asked, mention=False)
    await care.idle()
    assert await care.service.learns_from("teams", ADA.id)


async def test_a_command_that_is_told_twice_is_done_once(care: Care) -> None:
    said = await care.teams.say(ADA, "help")
    await care.teams.redeliver(said)
    await care.teams.redeliver(said, new_id=True)
    await care.idle()
    assert len(care.teams.replies(said)) == 1


async def test_new_begins_a_conversation_that_knows_nothing_of_the_last(care: Care) -> None:
    for chat in (care.teams.personal(ADA), care.teams.group(ADA, GRACE)):
        care.engine.requests.clear()
        await care.answer(await care.teams.say(ADA, "My router is red", in_=chat))
        await care.answer(await care.teams.say(ADA, "new", in_=chat))
        await care.answers(await care.teams.say(ADA, "And now?", in_=chat), 1)
        assert "My router is red" not in [message.content for message in care.engine.requests[1].messages]
        await care.answer(await care.teams.say(ADA, "And then?", in_=chat))
        assert "And now?" in [message.content for message in care.engine.requests[2].messages]


async def test_new_sent_again_after_a_restart_forgets_nothing_that_was_said_since(start: Start, teams: FakeTeams) -> None:
    async with start() as care:
        new = await teams.say(ADA, "new")
        await care.answer(new)
        await care.answer(await teams.say(ADA, "My router is red"))
    async with start() as care:
        await teams.redeliver(new, new_id=True)
        await care.answer(await teams.say(ADA, "And now?"))
        assert "My router is red" in [message.content for message in care.engine.requests[-1].messages]


async def test_human_sent_again_after_a_restart_asks_for_one_person(start: Start, teams: FakeTeams) -> None:
    async with start() as care:
        human = await teams.say(ADA, "human")
        await care.answer(human)
        await care.service.postman.go_round()
    async with start() as care:
        await teams.redeliver(human, new_id=True)
        await care.idle()
        await care.service.postman.go_round()
        assert len(care.rows("SELECT * FROM handovers")) == 1
        assert len(teams.posts(EXPERTS)) == 1
        assert "already has this conversation" in teams.posts(teams.personal(ADA))[-1].text


async def test_forget_me_sent_again_after_a_restart_erases_nothing_unasked(start: Start, teams: FakeTeams) -> None:
    async with start() as care:
        await care.answer(await teams.say(ADA, "My card number is 4111"))
        wish = await teams.say(ADA, "forget me")
        await care.idle()
    async with start() as care:
        await teams.redeliver(wish, new_id=True)
        await care.idle()
        assert len(care.turns()) == 1
        assert [each["type"] for card in teams.posts(teams.personal(ADA))[-1].cards for each in teams_cards.actions(card)]


async def test_the_button_below_an_answer_begins_anew_too(care: Care) -> None:
    answer = await care.answer(await care.teams.say(ADA, "My router is red"))
    pressed = await care.teams.choose(ADA, answer, "New conversation")
    assert "look back at nothing" in (await care.answer(pressed)).reading


async def test_opting_out_and_in_again_is_kept(care: Care) -> None:
    await told(care, "opt out")
    assert not await care.service.learns_from("teams", ADA.id)
    await told(care, "opt in")
    assert await care.service.learns_from("teams", ADA.id)


async def test_stop_ends_the_answer_that_is_being_written(start: Start) -> None:
    going = asyncio.Event()

    async def step() -> None:
        if going.is_set():
            await asyncio.Event().wait()
        going.set()

    async with start(ScriptedEngine(lambda request: ["First ", "second "], step)) as care:
        asked = await care.teams.say(ADA, "Tell me everything")
        await care.teams.until(going.is_set)
        await care.teams.say(GRACE, "stop")
        await care.teams.until(lambda: any(commands.NOTHING_TO_STOP in each.text for each in care.teams.posts(care.teams.personal(GRACE))))
        assert care.turns()[0]["status"] in ("received", "answering")
        await care.teams.say(ADA, "stop")
        await care.teams.until(lambda: care.turns()[0]["status"] == "cancelled")
        await care.idle()
        assert ["Stopped" in each.text for each in care.teams.replies(asked)] == [True], "the answer says so, and nothing else does"
        assert care.teams.replies(asked)[0].ai_label


async def test_stop_after_new_ends_the_answer_of_the_conversation_before(start: Start) -> None:
    async with start(ScriptedEngine(step=asyncio.Event().wait)) as care:
        await care.teams.say(ADA, "Tell me everything")
        await says(care, await care.teams.say(ADA, "new"), words.NEW_BEGUN)
        await care.teams.say(ADA, "stop")
        await care.teams.until(lambda: care.turns()[0]["status"] == "cancelled")


async def test_stop_stops_nothing_in_another_chat(start: Start) -> None:
    async with start(ScriptedEngine(step=asyncio.Event().wait)) as care:
        await care.teams.say(ADA, "Tell me everything", in_=care.teams.group(ADA, GRACE))
        await says(care, await care.teams.say(ADA, "stop"), commands.NOTHING_TO_STOP)
        assert care.turns()[0]["status"] in ("received", "answering")


# Export.


async def test_an_export_comes_as_a_file_once_its_person_agrees(care: Care) -> None:
    await care.answer(await care.teams.say(ADA, "Why is my bill so high?"))
    asked = await care.teams.say(ADA, "export")
    offer = (await care.teams.until(lambda: [each for each in care.teams.replies(asked) if each.consents]))[0]
    assert care.teams.files == {}
    assert (await care.teams.consent(ADA, offer)).status == 200
    await says(care, asked, files.UPLOADED)
    [content] = care.teams.files.values()
    kept = json.loads(content)
    assert kept["person"] == f"teams:{ADA.id}"
    assert "Why is my bill so high?" in json.dumps(kept)
    await care.idle()
    assert offer.deleted
    assert len(care.turns()) == 1


async def test_the_signed_address_of_a_file_is_used_as_it_is(care: Care) -> None:
    asked = await care.teams.say(ADA, "export")
    offer = (await care.teams.until(lambda: [each for each in care.teams.replies(asked) if each.consents]))[0]
    signed = "/upload/x?tempauth=a%2Fb%2Bc%3d%3D&name=%7Ea%27b"
    await care.teams.consent(ADA, offer, upload_url=care.teams.url + signed)
    await care.teams.until(lambda: care.teams.file_server.places)
    assert care.teams.file_server.places == [signed]


async def test_who_does_not_want_the_file_gets_none(care: Care) -> None:
    asked = await care.teams.say(ADA, "export")
    offer = (await care.teams.until(lambda: [each for each in care.teams.replies(asked) if each.consents]))[0]
    assert (await care.teams.consent(ADA, offer, accept=False)).status == 200
    await says(care, asked, files.DECLINED)
    assert care.teams.files == {}


@pytest.mark.parametrize("accept", [True, False])
async def test_a_consent_that_is_told_twice_is_heard_once(care: Care, accept: bool) -> None:
    asked = await care.teams.say(ADA, "export")
    offer = (await care.teams.until(lambda: [each for each in care.teams.replies(asked) if each.consents]))[0]
    consented = await care.teams.consent(ADA, offer, accept=accept)
    await care.idle()
    said = care.teams.replies(asked)
    again = await care.teams.redeliver(consented)
    await care.idle()
    assert again.status == 200
    assert care.teams.replies(asked) == said
    assert [each.text for each in said if each.text] == [files.UPLOADED if accept else files.DECLINED]


async def test_another_persons_consent_brings_what_is_kept_of_themselves(care: Care) -> None:
    await care.answer(await care.teams.say(ADA, "My card number is 4111"))
    asked = await care.teams.say(ADA, "export")
    offer = (await care.teams.until(lambda: [each for each in care.teams.replies(asked) if each.consents]))[0]
    await care.teams.consent(GRACE, offer, in_=care.teams.personal(GRACE))
    await care.teams.until(lambda: care.teams.files)
    assert all(json.loads(each)["person"] == f"teams:{GRACE.id}" for each in care.teams.files.values())
    assert b"4111" not in b"".join(care.teams.files.values())
    assert (await care.teams.consent(GRACE, offer, in_=SUPPORT)).status == 403


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/file",
        "http://contoso.sharepoint.com/file",
        "https://sharepoint.com.evil.example/file",
        "https://evilsharepoint.com/file",
        "https://user:secret@contoso.sharepoint.com/file",
        "file:///etc/passwd",
        "http://169.254.169.254/latest",
        "https://evil.example\\.sharepoint.com/file",
        "https://contoso.sharepoint.com/file HTTP/1.1\r\nHost: evil.example\r\n",
    ],
)
async def test_the_file_goes_to_no_other_host(care: Care, url: str) -> None:
    asked = await care.teams.say(ADA, "export")
    offer = (await care.teams.until(lambda: [each for each in care.teams.replies(asked) if each.consents]))[0]
    consented = await care.teams.consent(ADA, offer, upload_url=url)
    assert consented.status == 400
    assert files.NO_PLACE in json.dumps(consented.response)


async def test_an_upload_that_fails_says_so(care: Care) -> None:
    asked = await care.teams.say(ADA, "export")
    offer = (await care.teams.until(lambda: [each for each in care.teams.replies(asked) if each.consents]))[0]
    care.teams.faults.outage("upload")
    await care.teams.consent(ADA, offer)
    await says(care, asked, files.NOT_UPLOADED)


async def test_a_client_without_files_gets_the_export_as_text(care: Care) -> None:
    await care.answer(await care.teams.say(ADA, "Why is my bill so high?"))
    care.teams.faults.refuse("create", 400)
    asked = await care.teams.say(ADA, "export")
    shown = await says(care, asked, f"teams:{ADA.id}")
    assert shown.text.startswith("```json")


@pytest.mark.parametrize("path", [(), ("action",), ("uploadInfo",), ("uploadInfo", "uploadUrl")])
async def test_a_consent_with_anything_missing_or_wrong_is_refused(care: Care, path: tuple[str, ...]) -> None:
    asked = await care.teams.say(ADA, "export")
    offer = (await care.teams.until(lambda: [each for each in care.teams.replies(asked) if each.consents]))[0]
    for new in FORGED:
        value: dict[str, object] = {"type": "fileUpload", "action": "accept", "uploadInfo": {"uploadUrl": "https://evil.example"}}
        whole: object = value
        if not path:
            whole = new
        elif len(path) == 1:
            value[path[0]] = new
        else:
            value["uploadInfo"] = {"uploadUrl": new}
        sent = await care.teams.invoke(ADA, "fileConsent/invoke", whole, replyToId=offer.id)
        assert sent.status == 400, (new, sent.response)
    assert care.teams.files == {}


# Forgetting.


async def _asked_to_forget(care: Care) -> Message:
    await care.answer(await care.teams.say(ADA, "My card number is 4111"))
    await care.answer(await care.teams.say(GRACE, "And mine?"))
    asked = await care.teams.say(ADA, "forget me")
    return (await care.teams.until(lambda: [each for each in care.teams.replies(asked) if each.cards]))[0]


async def test_forget_me_asks_first_and_then_leaves_nothing(care: Care) -> None:
    card = await _asked_to_forget(care)
    assert len(care.turns()) == 2
    pressed = await care.teams.press(ADA, card, cards.FORGET)
    assert "tell you here when it is done" in json.dumps(pressed.card)
    await care.teams.until(lambda: any(commands.FORGOTTEN in each.text for each in care.teams.posts(care.teams.personal(ADA))))
    await care.idle()
    assert [turn["user_id"] for turn in care.turns()] == [GRACE.id]
    assert care.rows(f"SELECT * FROM addresses WHERE user_id = '{ADA.id}'") == []


async def test_an_erasure_that_is_told_twice_is_done_and_said_once(care: Care) -> None:
    card = await _asked_to_forget(care)
    pressed = await care.teams.press(ADA, card, cards.FORGET)
    await care.teams.until(lambda: any(commands.FORGOTTEN in each.text for each in care.teams.posts(care.teams.personal(ADA))))
    await care.answer(await care.teams.say(ADA, "Hello again"))
    again = await care.teams.redeliver(pressed.deliveries[0])
    await care.idle()
    assert again.status == 200
    assert sum(commands.FORGOTTEN in each.text for each in care.teams.posts(care.teams.personal(ADA))) == 1
    assert [turn["question"] for turn in care.turns() if turn["user_id"] == ADA.id] == ["Hello again"]


async def test_who_keeps_it_is_not_forgotten(care: Care) -> None:
    card = await _asked_to_forget(care)
    pressed = await care.teams.press(ADA, card, cards.KEEP)
    assert commands.KEPT in json.dumps(pressed.card)
    await care.idle()
    assert len(care.turns()) == 2


async def test_only_who_asked_can_have_themselves_erased(care: Care) -> None:
    asked = await care.teams.say(ADA, "forget me", in_=SUPPORT)
    card = (await care.teams.until(lambda: [each for each in care.teams.replies(asked) if each.cards]))[0]
    await care.answer(await care.teams.say(GRACE, "And mine?"))
    await care.answer(await care.teams.say(ADA, "And mine?"))
    for verb in (cards.FORGET, cards.KEEP):
        pressed = await care.teams.press(GRACE, card, verb)
        assert (pressed.status, pressed.said) == (200, commands.NOT_YOURS)
    for who in (ADA.id, None, 7, "", [], {}):
        action = {"type": "Action.Execute", "verb": cards.FORGET, "data": {cards.WHO: who}}
        sent = await care.teams.invoke(GRACE, "adaptiveCard/action", {"action": action}, replyToId=card.id)
        assert commands.NOT_YOURS in json.dumps(sent.response)
    await care.idle()
    assert len(care.turns()) == 2


async def test_a_wish_to_be_forgotten_survives_a_stop(start: Start, teams: FakeTeams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_CLOSE_SECONDS", 0.1)
    monkeypatch.setattr(Service, "forget", lambda *_: asyncio.Event().wait())
    async with start() as care:
        card = await _asked_to_forget(care)
        pressed = await teams.press(ADA, card, cards.FORGET)
        assert "restarted meanwhile, it is done all the same, but you hear nothing more" in json.dumps(pressed.card)
        assert len(care.turns()) == 2
    async with start() as care:
        await care.service.finish_forgetting()
        await care.idle()
        assert [turn["user_id"] for turn in care.turns()] == [GRACE.id]
        assert not any("is erased" in each.text for each in teams.posts(teams.personal(ADA)))


async def test_what_could_not_be_erased_at_once_is_said(care: Care, monkeypatch: pytest.MonkeyPatch) -> None:
    card = await _asked_to_forget(care)

    async def full(*_: object) -> None:
        raise StorageFull("no space")

    monkeypatch.setattr(Service, "forget", full)
    await care.teams.press(ADA, card, cards.FORGET)
    await care.teams.until(lambda: any(commands.NOT_YET_FORGOTTEN in each.text for each in care.teams.posts(care.teams.personal(ADA))))


async def test_what_people_rated_without_an_answer_is_exported_and_forgotten(care: Care) -> None:
    value = {"actionName": "feedback", "actionValue": {"reaction": "dislike", "feedback": "my secret comment"}}
    await care.teams.invoke(ADA, "message/submitAction", value)
    assert "my secret comment" in await care.service.export("teams", ADA.id)
    await care.service.forget("teams", ADA.id)
    assert care.rows("SELECT * FROM unattributed_ratings") == []
