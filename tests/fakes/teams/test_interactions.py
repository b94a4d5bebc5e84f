"""People press, and see what they would see in Teams."""

import json

import pytest
from aiohttp import web

from tests.fakes.teams import ADA, GRACE, SUPPORT, FakeTeams, Message
from tests.fakes.teams.conftest import App
from tests.fakes.teams.interactions import ERROR, MESSAGE
from tests.fakes.teams.world import CARD, Json

FORM: Json = {
    "type": "AdaptiveCard",
    "version": "1.4",
    "body": [
        {"type": "TextBlock", "text": "What was wrong?"},
        {"type": "Input.Text", "id": "reason", "label": "Reason", "isRequired": True, "errorMessage": "Say why"},
        {"type": "Input.Text", "id": "correction", "label": "Better"},
    ],
    "actions": [{"type": "Action.Submit", "title": "Send", "data": {"kind": "feedback"}}],
}
RATE: Json = {
    "type": "AdaptiveCard",
    "version": "1.4",
    "body": [{"type": "TextBlock", "text": "Did this help?"}, {"type": "Input.Text", "id": "why"}],
    "actions": [
        {"type": "Action.Execute", "title": "👍", "verb": "rate", "data": {"verdict": 1}},
        {"type": "Action.Submit", "title": "Later", "data": {"later": True}},
        {"type": "Action.OpenUrl", "title": "Read", "url": "https://example.com/"},
    ],
}
DONE: Json = {"type": "AdaptiveCard", "version": "1.4", "body": [{"type": "TextBlock", "text": "Thank you."}]}


async def posted(teams: FakeTeams, app: App, **fields: object) -> Message:
    """A message of the app's in Ada's chat."""
    await app.post(teams.personal(ADA), "An answer", **fields)
    return teams.posts(teams.personal(ADA))[-1]


def answering(app: App, **bodies: object) -> None:
    """The app's answers to invokes, by the last word of their name."""

    async def answer(activity: Json) -> web.Response | None:
        body = bodies.get(str(activity.get("name")).rpartition("/")[2])
        return None if activity["type"] != "invoke" or body is None else web.json_response(body)

    app.answer = answer


def attached(card: Json) -> list[Json]:
    return [{"contentType": CARD, "content": card}]


async def test_a_thumb_with_a_comment_names_its_message(teams: FakeTeams, app: App) -> None:
    answering(app, submitAction={})
    answer = await posted(teams, app, channelData={"feedbackLoop": {"type": "default"}})
    outcome = await teams.feedback(ADA, answer, "dislike", "It is wrong")
    told = app.told[-1]
    assert not outcome.failed
    assert (told["name"], told["replyToId"], told["from"]["id"]) == ("message/submitAction", answer.id, ADA.id)
    assert told["value"] == {
        "actionName": "feedback",
        "actionValue": {"reaction": "dislike", "feedback": '{"feedbackText": "It is wrong"}'},
    }


async def test_the_playground_names_none(teams: FakeTeams, app: App) -> None:
    answering(app, submitAction={})
    answer = await posted(teams, app, channelData={"feedbackLoop": {"type": "default"}})
    await teams.feedback(ADA, answer, "like", "Fine", playground=True)
    assert app.told[-1]["value"]["actionValue"] == {"reaction": "like", "feedback": "Fine"}
    assert "replyToId" not in app.told[-1]


async def test_a_message_without_thumbs_can_not_be_rated_so(teams: FakeTeams, app: App) -> None:
    with pytest.raises(AssertionError, match="no thumbs"):
        await teams.feedback(ADA, await posted(teams, app), "like")


@pytest.mark.parametrize("answer", [{"ok": True}, [1], "Thanks"])
async def test_any_words_in_the_answer_to_a_thumb_are_an_error(teams: FakeTeams, app: App, answer: object) -> None:
    answering(app, submitAction=answer)
    rated = await posted(teams, app, channelData={"feedbackLoop": {"type": "default"}})
    assert (await teams.feedback(ADA, rated, "like")).failed


@pytest.mark.parametrize("nested", [False, True])
async def test_a_custom_loop_opens_a_form_and_sends_it(teams: FakeTeams, app: App, nested: bool) -> None:
    task = {"task": {"type": "continue", "value": {"title": "Tell us", "card": {"contentType": CARD, "content": FORM}}}}
    answering(app, fetchTask=task, submitAction={})
    teams.nested_fetch = nested
    answer = await posted(teams, app, channelData={"feedbackLoop": {"type": "custom"}})
    outcome = await teams.feedback(ADA, answer, "dislike", inputs={"reason": "Outdated", "correction": "It is 5 €"})
    fetched, submitted = app.told[-2:]
    about = {"actionName": "feedback", "actionValue": {"reaction": "dislike"}}
    assert fetched["value"] == ({"data": about} if nested else about)
    assert json.loads(submitted["value"]["actionValue"]["feedback"]) == {
        "kind": "feedback",
        "reason": "Outdated",
        "correction": "It is 5 €",
    }
    assert not outcome.failed
    with pytest.raises(AssertionError, match="required"):
        await teams.feedback(ADA, answer, "dislike")


@pytest.mark.parametrize(
    "task",
    [
        {},
        {"task": {"type": "continue", "value": {}}},
        {"task": {"type": "continue", "value": {"card": {"contentType": CARD, "content": {}}}}},
    ],
)
async def test_a_form_that_is_none_is_an_error(teams: FakeTeams, app: App, task: Json) -> None:
    answering(app, fetchTask=task)
    answer = await posted(teams, app, channelData={"feedbackLoop": {"type": "custom"}})
    assert (await teams.feedback(ADA, answer, "like")).failed


async def test_a_button_replaces_its_card(teams: FakeTeams, app: App) -> None:
    answering(app, action={"statusCode": 200, "type": CARD, "value": DONE})
    card = await posted(teams, app, attachments=attached(RATE))
    outcome = await teams.press(ADA, card, "rate", {"why": "Short"})
    action = {"type": "Action.Execute", "title": "👍", "verb": "rate", "data": {"verdict": 1, "why": "Short"}}
    assert app.told[-1]["value"] == {"action": action, "trigger": "manual"}
    assert outcome.card == card.cards[0] == DONE
    with pytest.raises(AssertionError, match="no button"):
        await teams.press(ADA, card, "rate")


async def test_a_button_may_be_answered_with_words(teams: FakeTeams, app: App) -> None:
    answering(app, action={"statusCode": 200, "type": MESSAGE, "value": "Only Ada may."})
    card = await posted(teams, app, attachments=attached(RATE))
    outcome = await teams.press(GRACE, card, "👍", in_=teams.personal(GRACE))
    assert (outcome.said, outcome.failed, card.cards) == ("Only Ada may.", False, [RATE])
    assert app.told[-1]["conversation"]["id"] == teams.personal(GRACE).id
    answering(app, action={"statusCode": 412, "type": ERROR, "value": {"code": "412", "message": "Not you."}})
    assert (await teams.press(GRACE, card, "👍")).said == "Not you."


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"statusCode": 200, "type": CARD, "value": {}},
        {"type": MESSAGE, "value": "Hi"},
        {"statusCode": 200, "type": "text", "value": "Hi"},
        {"statusCode": 403, "type": ERROR, "value": {"code": "403", "message": "Not you."}},
        {"statusCode": 404, "type": ERROR, "value": {"code": "404", "message": "Not here."}},
    ],
)
async def test_an_answer_that_is_none_is_an_error(teams: FakeTeams, app: App, body: Json) -> None:
    answering(app, action=body)
    card = await posted(teams, app, attachments=attached(RATE))
    assert (await teams.press(ADA, card, "rate")).failed
    assert card.cards == [RATE]


async def test_a_submit_is_a_message_without_words(teams: FakeTeams, app: App) -> None:
    card = await posted(teams, app, attachments=attached(RATE))
    await teams.press(ADA, card, "Later")
    told = app.told[-1]
    assert (told["type"], told["value"], told["replyToId"]) == ("message", {"later": True}, card.id)
    assert "text" not in told


async def test_a_suggested_action_is_said(teams: FakeTeams, app: App) -> None:
    action = {"type": "imBack", "title": "New conversation", "value": "new"}
    answer = await posted(teams, app, suggestedActions={"actions": [action]})
    await teams.choose(ADA, answer, "New conversation")
    assert app.told[-1]["text"] == "new"


async def test_teams_shows_the_first_three_suggested_actions_and_nobody_presses_another(teams: FakeTeams, app: App) -> None:
    actions = [{"type": "imBack", "title": str(number), "value": "new"} for number in range(4)]
    answer = await posted(teams, app, suggestedActions={"actions": actions})
    assert answer.suggested == ["0", "1", "2"]
    with pytest.raises(AssertionError, match="is shown"):
        await teams.choose(ADA, answer, "3")


async def test_a_file_goes_where_consent_was_given(teams: FakeTeams, app: App) -> None:
    answering(app, invoke={})
    consent = {"contentType": "application/vnd.microsoft.teams.card.file.consent", "name": "export.json"}
    content = {"description": "Yours", "sizeInBytes": 2, "acceptContext": {"id": "1"}, "declineContext": {"id": "2"}}
    card = await posted(teams, app, attachments=[{**consent, "content": content}])
    await teams.consent(ADA, card, accept=False)
    assert app.told[-1]["value"] == {"type": "fileUpload", "action": "decline", "context": {"id": "2"}}
    told = await teams.consent(ADA, card)
    url = told.activity["value"]["uploadInfo"]["uploadUrl"]
    for headers, status in (({}, 416), ({"Content-Range": "bytes 0-1/2"}, 201), ({"Content-Range": "bytes 0-1/2"}, 404)):
        async with app.session.put(url, data=b"{}", headers=headers) as response:
            assert response.status == status
    assert teams.files == {"export.json": b"{}"}


async def test_edits_deletions_reactions_and_installations_look_like_teams(teams: FakeTeams, app: App) -> None:
    asked = await teams.say(ADA, "Hello", in_=SUPPORT)
    await teams.edit(asked, "Hello there")
    await teams.delete(asked)
    await teams.undelete(asked)
    await app.post(asked.place, "Hi")
    await teams.react(ADA, teams.posts(SUPPORT)[0], "like")
    await teams.install(ADA)
    await teams.uninstall(ADA)
    kinds = [(told["type"], told["channelData"].get("eventType")) for told in app.told]
    edits = [
        ("message", None),
        ("messageUpdate", "editMessage"),
        ("messageDelete", "softDeleteMessage"),
        ("messageUpdate", "undeleteMessage"),
    ]
    assert kinds == [
        *edits,
        ("messageReaction", None),
        ("installationUpdate", None),
        ("conversationUpdate", None),
        ("installationUpdate", None),
    ]
    assert app.told[1]["id"] == asked.id
    assert app.told[1]["text"] == "<at>CARE</at> Hello there"
    assert app.told[1]["timestamp"] > app.told[0]["timestamp"]
    assert (app.told[4]["reactionsAdded"], app.told[4]["replyToId"]) == ([{"type": "like"}], teams.posts(SUPPORT)[0].id)
    assert (await app.post(teams.personal(ADA)))[0] == 403
