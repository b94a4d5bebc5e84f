"""What Teams does not take, the fake does not take."""

import pytest

from tests.fakes.teams import ADA, GRACE, STRANGER, SUPPORT, FakeTeams
from tests.fakes.teams.cards import check
from tests.fakes.teams.conftest import App
from tests.fakes.teams.connector import DOCUMENTED_RATES
from tests.fakes.teams.refusals import Refused
from tests.fakes.teams.world import CARD, CONSENT, Json

LABEL: Json = {"type": "https://schema.org/Message", "@type": "Message", "@context": "https://schema.org"}
CLAIM: Json = {"@type": "Claim", "position": 1, "appearance": {"@type": "DigitalDocument", "name": "A page", "abstract": "Words"}}
TAP: Json = {"type": "imBack", "title": "New", "value": "new"}


# Who calls


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 200),
        ({"client_secret": "wrong"}, 401),
        ({"client_id": "another"}, 400),
        ({"grant_type": "password"}, 400),
        ({"scope": "https://graph.microsoft.com/.default"}, 400),
    ],
)
async def test_a_token_is_given_for_id_and_secret(app: App, fields: dict[str, str], status: int) -> None:
    assert (await app.log_in(**fields))[0] == status


async def test_another_tenant_gives_none(app: App, teams: FakeTeams) -> None:
    async with app.session.post(f"{teams.url}/login/contoso/oauth2/v2.0/token", data={}) as response:
        assert response.status == 400


async def test_calls_need_a_token_that_is_still_good(teams: FakeTeams, app: App) -> None:
    chat, now = teams.personal(ADA), [100.0]
    teams.now = lambda: now[0]
    await app.log_in()
    assert (await app.post(chat))[0] == 201
    now[0] += 3600
    assert (await app.post(chat))[0] == 401
    await app.log_in()
    assert (await app.post(chat))[0] == 201
    teams.login.revoke()
    assert (await app.post(chat))[0] == 401
    app.token = "made-up"
    assert (await app.post(chat))[0] == 401


# Where


@pytest.mark.parametrize("place", ["19:nowhere@thread.v2", f"{SUPPORT.id};messageid=1", "a:1;messageid=2"])
async def test_unknown_conversations(app: App, place: str) -> None:
    status, answer = await app.post(place)
    assert (status, answer["error"]["code"]) == (404, "ConversationNotFound")


async def test_only_ones_own_messages_that_are_there_are_changed(teams: FakeTeams, app: App) -> None:
    asked = await teams.say(ADA, "Hello")
    _, posted = await app.post(asked.place)
    other = teams.personal(GRACE)
    for method, body in (("PUT", {"type": "message", "text": "Hi"}), ("DELETE", None)):
        for place, wanted, status in ((asked.place, "1", 404), (other.id, posted["id"], 404), (asked.place, asked.id, 403)):
            assert (await app.call(method, f"/{place}/activities/{wanted}", body))[0] == status
    assert (await app.call("DELETE", f"/{asked.place}/activities/{posted['id']}"))[0] == 200
    assert (await app.call("DELETE", f"/{asked.place}/activities/{posted['id']}"))[0] == 404
    assert teams.replies(asked) == []


async def test_a_blocked_app_is_told_so(teams: FakeTeams, app: App) -> None:
    teams.block(ADA)
    status, answer = await app.post(teams.personal(ADA))
    assert (status, answer["error"]["code"]) == (403, "ConversationBlockedByUser")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"members": [{"id": ADA.id}], "tenantId": ADA.tenant}, 201),
        ({"members": [{"id": ADA.aad_id}], "channelData": {"tenant": {"id": ADA.tenant}}}, 201),
        ({"members": [{"id": ADA.id}]}, 400),
        ({"members": [{"id": ADA.id}, {"id": GRACE.id}], "tenantId": ADA.tenant}, 400),
        ({"members": [{"id": ADA.id}], "tenantId": ADA.tenant, "isGroup": True}, 400),
        ({"members": [{"id": "29:nobody"}], "tenantId": ADA.tenant}, 403),
        ({"members": [{"id": STRANGER.id}], "tenantId": ADA.tenant}, 403),
        ({"members": [{"id": ADA.id}], "tenantId": ADA.tenant, "bot": {"id": "28:another"}}, 400),
        ({"channelData": {"channel": {"id": SUPPORT.id}}}, 400),
        ({"channelData": {"channel": {"id": "19:x@thread.tacv2"}}, "activity": {"type": "message", "text": "Hi"}}, 404),
        ({"channelData": {"channel": {"id": SUPPORT.id}}, "activity": {"type": "message"}}, 400),
    ],
)
async def test_new_conversations(app: App, body: Json, status: int) -> None:
    assert (await app.call("POST", "", body))[0] == status


async def test_a_post_in_a_bare_channel_begins_a_thread(teams: FakeTeams, app: App) -> None:
    _, answer = await app.post(SUPPORT)
    assert teams.posts(SUPPORT)[0].place == f"{SUPPORT.id};messageid={answer['id']}"


# How often, how large


async def test_seven_sends_a_second_in_a_conversation(teams: FakeTeams, app: App) -> None:
    now = [100.0]
    teams.now = lambda: now[0]
    await app.log_in()
    assert [(await app.post(teams.personal(ADA)))[0] for _ in range(8)] == [201] * 7 + [429]
    assert (await app.post(teams.personal(GRACE)))[0] == 201
    now[0] += 1.01
    assert (await app.post(teams.personal(ADA)))[0] == 201


async def test_the_documented_rates_are_narrower(teams: FakeTeams, app: App) -> None:
    now = [100.0]
    teams.now, teams.connector.rates = (lambda: now[0]), DOCUMENTED_RATES
    await app.log_in()
    statuses = []
    for _ in range(9):
        now[0] += 0.2
        statuses.append((await app.post(teams.personal(ADA)))[0])
    assert statuses == [201] * 8 + [429]


async def test_retry_after_stands_in_the_headers(teams: FakeTeams, app: App) -> None:
    teams.faults.limit(retry_after=3)
    headers = {"Authorization": f"Bearer {app.token}"}
    url = f"{teams.service_url}v3/conversations/{teams.personal(ADA).id}/activities"
    async with app.session.post(url, json={"type": "message", "text": "Hi"}, headers=headers) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "3")


async def test_what_is_too_large(teams: FakeTeams, app: App) -> None:
    status, answer = await app.post(teams.personal(ADA), "x" * 41_000)
    assert (status, answer["error"]["code"]) == (413, "MessageSizeTooBig")
    assert teams.connector.largest > 41_000


# What


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "dance"},
        {"type": "message", "text": ""},
        {"text": 5},
        {"entities": {}},
        {"entities": ["streaminfo"]},
        {"from": {"id": "28:another"}},
        {"conversation": {"id": "19:another@thread.v2"}},
        {"textFormat": "html"},
        {"channelData": {"feedbackLoop": {"type": "loud"}}},
        {"channelData": {"feedbackLoop": True}},
        {"entities": [LABEL, LABEL]},
        {"entities": [{**LABEL, "@type": "Thing"}]},
        {"entities": [{**LABEL, "additionalType": ["AI"]}]},
        {"entities": [{**LABEL, "citation": [CLAIM] * 21}]},
        {"entities": [{**LABEL, "citation": [{**CLAIM, "appearance": {}}]}]},
        {"entities": [{**LABEL, "citation": [{**CLAIM, "appearance": {**CLAIM["appearance"], "abstract": "x" * 161}}]}]},
        {"suggestedActions": {"actions": []}},
        {"suggestedActions": {"actions": [{**TAP, "type": "openUrl"}]}},
        {"suggestedActions": {"actions": [TAP] * 7}},
        {"attachments": [{"contentType": "application/x-strange"}]},
        {"attachments": [{"contentType": CARD, "content": {"type": "AdaptiveCard"}}]},
        {"attachments": [{"contentType": CONSENT, "name": "x.json", "content": {}}]},
    ],
)
async def test_messages_that_are_refused(teams: FakeTeams, app: App, fields: Json) -> None:
    status, answer = await app.call("POST", f"/{teams.personal(ADA).id}/activities", {"type": "message", "text": "Hi", **fields})
    assert status in (400, 403)
    assert answer["error"]["message"]


async def test_messages_that_are_taken(teams: FakeTeams, app: App) -> None:
    everything = {
        "entities": [{**LABEL, "additionalType": ["AIGeneratedContent"], "citation": [CLAIM]}],
        "channelData": {"feedbackLoop": {"type": "custom"}},
        "suggestedActions": {"to": [ADA.id], "actions": [TAP]},
        "from": {"id": f"28:{teams.app_id}"},
        "textFormat": "markdown",
    }
    assert (await app.post(teams.personal(ADA), **everything))[0] == 201
    (message,) = teams.posts(teams.personal(ADA))
    assert (message.ai_label, message.feedback, message.suggested) == (True, "custom", ["New"])
    assert [citation["name"] for citation in message.citations] == ["A page"]


async def test_suggested_actions_and_files_are_for_personal_chats(teams: FakeTeams, app: App) -> None:
    group = teams.group(ADA, GRACE)
    assert (await app.post(group, suggestedActions={"actions": [TAP]}))[0] == 400
    consent = {"contentType": CONSENT, "name": "x.json", "content": {"sizeInBytes": 2}}
    assert (await app.post(group, attachments=[consent]))[0] == 400
    assert (await app.post(teams.personal(ADA), text="", attachments=[consent]))[0] == 201


async def test_text_and_card_become_two_messages_without_an_id_and_no_update(teams: FakeTeams, app: App) -> None:
    chat, shown = teams.personal(ADA), {"contentType": CARD, "content": card({"type": "TextBlock", "text": "x"})}
    assert await app.post(chat, "Hi", attachments=[shown]) == (202, {})
    assert [(message.text, len(message.cards)) for message in teams.posts(chat)] == [("Hi", 0), ("", 1)]
    _, posted = await app.post(chat)
    whole = {"type": "message", "text": "Hi", "attachments": [shown]}
    status, answer = await app.call("PUT", f"/{chat.id}/activities/{posted['id']}", whole)
    assert (status, answer["error"]["code"]) == (400, "BadSyntax")


async def test_an_update_is_a_whole_message(teams: FakeTeams, app: App) -> None:
    chat = teams.personal(ADA)
    _, posted = await app.post(chat)
    path = f"/{chat.id}/activities/{posted['id']}"
    assert (await app.call("PUT", path, {"type": "typing", "text": "Hi"}))[0] == 400
    assert (await app.call("PUT", path, [1]))[0] == 400
    assert (await app.call("PUT", path, {"type": "message", "text": "Hi", "entities": [{"type": "streaminfo"}]}))[0] == 400


def card(*body: Json, **fields: object) -> Json:
    return {"type": "AdaptiveCard", "version": "1.4", "body": list(body), **fields}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"type": "Card"}, "type"),
        (card({"type": "TextBlock", "text": "x"}, version="1.6"), "version"),
        (card({"type": "TextBlock", "text": "x"}, colour="red"), "colour"),
        (card(), "empty"),
        (card({"type": "Marquee"}), "Marquee"),
        (card({"type": "TextBlock"}), "text"),
        (card({"type": "TextBlock", "text": "x", "bold": True}), "bold"),
        (card({"type": "Container", "items": [{"type": "Marquee"}]}), "Marquee"),
        (card({"type": "ColumnSet", "columns": [{"type": "Column", "items": [{"type": "Marquee"}]}]}), "Marquee"),
        (card({"type": "Image", "url": "http://example.com/x.png"}), "url"),
        (card({"type": "Input.Text"}), "id"),
        (card({"type": "Input.Text", "id": "a", "isRequired": True}), "errorMessage"),
        (card({"type": "Input.Text", "id": "a"}, {"type": "Input.Text", "id": "a"}), "twice"),
        (card({"type": "Input.ChoiceSet", "id": "a", "choices": [{"title": "x"}]}), "choices"),
        (card({"type": "FactSet", "facts": [{"title": "x"}]}), "facts"),
        (card(actions=[{"type": "Action.Dance"}]), "Dance"),
        (card(actions=[{"type": "Action.Execute", "title": "x"}]), "verb"),
        (card(actions=[{"type": "Action.Execute", "verb": "x", "data": 5}]), "data"),
        (card(actions=[{"type": "Action.Execute", "verb": "x", "style": "loud"}]), "style"),
        (card(actions=[{"type": "Action.OpenUrl", "url": "javascript:x"}]), "url"),
        (card(actions=[{"type": "Action.ShowCard", "card": card({"type": "Marquee"})}]), "Marquee"),
        (card(actions=[{"type": "Action.Submit"}] * 7), "actions"),
        (card({"type": "Table", "columns": [{"width": 1}], "rows": [{"cells": [{"type": "TableCell", "items": [{"type": "X"}]}]}]}), "'X'"),
    ],
)
def test_cards_that_are_refused(bad: Json, words: str) -> None:
    with pytest.raises(Refused, match=words):
        check(bad)


def test_cards_that_are_taken() -> None:
    inner = card({"type": "Input.Text", "id": "b", "isMultiline": True, "maxLength": 5})
    image = {"type": "Image", "url": "data:image/png;base64,xx", "altText": "A chart", "size": "Stretch"}
    table = {"type": "Table", "columns": [{"width": 1}], "rows": [{"cells": [{"type": "TableCell", "items": [image]}]}]}
    facts = {"type": "FactSet", "facts": [{"title": "Won", "value": "5"}]}
    acts = [
        {"type": "Action.Execute", "verb": "rate", "title": "👍", "data": {}},
        {"type": "Action.ShowCard", "title": "More", "card": inner},
    ]
    check(card({"type": "TextBlock", "text": "x", "wrap": True}, facts, table, image, actions=acts))
