"""The local page's own API."""

import asyncio
import json

import pytest

from bot.archive import Archive
from bot.notices import Notice
from bot.store import Store
from bot.turns import now
from tests.bot.conftest import USER, Care, StartCare
from tests.fakes.engine import ScriptedEngine


async def ask(care: Care, text: str = "Why is my bill so high?", question_id: str = "q1", conversation: str = "c1", **fields) -> list:
    """The events of an answer as (event, data)."""
    response = await care.client.post(f"/api/conversations/{conversation}/turns", json={"id": question_id, "text": text, **fields})
    assert response.status == 200, await response.text()
    blocks = [block.split("\n") for block in (await response.text()).split("\n\n") if block]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


async def conversation(care: Care, conversation_id: str = "c1") -> list:
    return (await (await care.client.get(f"/api/conversations/{conversation_id}")).json())["turns"]


async def test_a_receipt_comes_first_then_pieces_then_the_stored_end(care: Care) -> None:
    events = await ask(care, "Is it **bold**?")
    assert [events[0][0], events[-1][0]] == ["turn", "done"]
    assert events[0][1]["status"] == "received"
    assert "".join(data["text"] for event, data in events if event == "piece") == "You asked: Is it **bold**? Bye."
    assert "<strong>bold</strong>" in events[-1][1]["html"]
    assert events[-1][1]["status"] == "answered"


async def test_a_conversation_is_remembered(care: Care) -> None:
    await ask(care, "First?", "q1")
    await ask(care, "Second?", "q2")
    assert [message.content for message in care.engine.requests[1].messages][1:] == ["First?", "You asked: First? Bye.", "Second?"]
    assert [turn["question"] for turn in await conversation(care)] == ["First?", "Second?"]
    listed = (await (await care.client.get("/api/conversations")).json())["conversations"]
    assert [(head["id"], head["title"]) for head in listed] == [("c1", "First?")]


async def test_a_question_sent_twice_is_answered_once(care: Care) -> None:
    await ask(care)
    again = await ask(care)
    assert [event for event, _ in again] == ["turn", "done"]
    assert again[-1][1]["answer"] == "You asked: Why is my bill so high? Bye."
    assert len(care.engine.requests) == 1


async def test_a_question_sent_twice_at_once_is_answered_once(care: Care) -> None:
    both = await asyncio.gather(ask(care), ask(care))
    assert both[0][-1][1]["answer"] == both[1][-1][1]["answer"] != ""
    assert len(care.engine.requests) == 1


async def test_asking_again_replaces_the_answer(care: Care) -> None:
    first = (await ask(care, "Why?", "q1"))[-1][1]
    await ask(care, "Why?", "q2", replaces=first["id"])
    assert [turn["replaces"] for turn in await conversation(care)] == [first["id"]]
    assert [message.role for message in care.engine.requests[1].messages] == ["system", "user"]


async def test_stop_keeps_what_was_written(start_care: StartCare) -> None:
    gate = asyncio.Semaphore(2)
    async with start_care(ScriptedEngine(step=gate.acquire)) as care:
        response = await care.client.post("/api/conversations/c1/turns", json={"id": "q1", "text": "Why?"})
        turn = json.loads((await response.content.readuntil(b"\n\n")).split(b"data: ")[1])
        while b'"asked: "' not in await response.content.readuntil(b"\n\n"):
            pass
        stopped = await care.client.post(f"/api/turns/{turn['id']}/stop", json={})
        assert (await stopped.json()) == {"stopped": True}
        assert '"status": "cancelled"' in await response.text()
        (kept,) = await conversation(care)
        assert (kept["status"], kept["answer"]) == ("cancelled", "You asked: ")


async def test_a_rating_is_there_after_a_reload(care: Care) -> None:
    turn = (await ask(care))[-1][1]
    rating = {"turn_id": turn["id"], "user_id": "ada", "verdict": -1, "reason": "Wrong facts", "correction": "It is 42."}
    response = await care.client.post("/api/ratings", json=rating)
    assert response.status == 200
    assert (await conversation(care))[0]["rating"] == {"verdict": -1, "reason": "Wrong facts", "correction": "It is 42."}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"verdict": 2}, 422),
        ({"verdict": "up"}, 422),
        ({"verdict": True}, 422),
        ({"verdict": None}, 422),
        ({"verdict": 1.0}, 422),
        ({"turn_id": "never"}, 404),
        ({"turn_id": 5}, 422),
        ({"turn_id": ""}, 422),
        ({"user_id": "eve"}, 403),
        ({"user_id": None}, 422),
        ({"reason": 5}, 422),
        ({"reason": "x" * 1001}, 422),
        ({"correction": "x" * 20_001}, 422),
        ({"correction": "\ud800"}, 422),
    ],
)
async def test_a_wrong_rating_is_refused_and_nothing_kept(care: Care, change: dict, status: int) -> None:
    turn = (await ask(care))[-1][1]
    body = json.dumps({"turn_id": turn["id"], "user_id": "ada", "verdict": 1, **change})
    response = await care.client.post("/api/ratings", data=body, headers={"Content-Type": "application/json"})
    assert response.status == status, await response.text()
    assert (await response.json())["error"]["message"]
    assert care.store.verdicts() == {}


async def test_a_turn_of_the_api_can_be_rated_too(care: Care) -> None:
    answer = await care.ask()
    response = await care.client.post("/api/ratings", json={"turn_id": answer["id"], "user_id": "anybody", "verdict": 1})
    assert response.status == 200


async def test_a_deleted_conversation_is_gone(care: Care) -> None:
    await ask(care)
    assert await (await care.client.delete("/api/conversations/c1")).json() == {"deleted": 1}
    assert (await care.client.get("/api/conversations/c1")).status == 404
    assert care.store.counts() == {}


async def test_deleting_a_conversation_stops_its_answer(start_care: StartCare) -> None:
    gate = asyncio.Semaphore(1)
    async with start_care(ScriptedEngine(step=gate.acquire)) as care:
        asking = asyncio.create_task(ask(care))
        while care.engine.status().running == 0 or gate.locked() is False:
            await asyncio.sleep(0)
        assert await (await care.client.delete("/api/conversations/c1")).json() == {"deleted": 1}
        assert (await asking)[-1][1]["status"] == "cancelled"
        assert care.store.counts() == {}


async def test_another_persons_conversation_stays_theirs(care: Care) -> None:
    turn = (await ask(care))[-1][1]
    care.client.session.cookie_jar.update_cookies({"care_user": "eve"}, care.client.make_url("/"))
    assert (await care.client.get("/api/conversations/c1")).status == 404
    assert (await care.client.delete("/api/conversations/c1")).status == 404
    assert (await care.client.post(f"/api/turns/{turn['id']}/stop", json={})).status == 403
    assert (await care.client.post("/api/conversations/c1/turns", json={"id": "q9", "text": "Mine?"})).status == 403


async def test_a_browser_is_known_by_its_cookie(care: Care) -> None:
    assert (await (await care.client.get("/api/me")).json())["user_id"] == "ada"
    care.client.session.cookie_jar.clear()
    assert (await care.client.get("/api/conversations")).status == 401
    first = await care.client.get("/api/me")
    assert "HttpOnly" in first.headers["Set-Cookie"]
    assert "SameSite=Strict" in first.headers["Set-Cookie"]
    assert (await (await care.client.get("/api/me")).json())["user_id"] == (await first.json())["user_id"]


@pytest.mark.parametrize("text", ["", "   ", "\u0000"])
async def test_an_empty_question_is_refused(care: Care, text: str) -> None:
    response = await care.client.post("/api/conversations/c1/turns", json={"id": "q1", "text": text})
    assert response.status == 422


@pytest.mark.parametrize("text", ["مرحبا كيف أعيد ضبط جهاز التوجيه؟", "a\x00b\x1b[31m", "🙂" * 100, "<script>alert(1)</script>"])
async def test_odd_text_is_answered(care: Care, text: str) -> None:
    done = (await ask(care, text))[-1][1]
    assert done["status"] == "answered"
    assert "<script" not in done["html"]


async def test_the_page_and_its_files_are_served_with_a_strict_policy(care: Care) -> None:
    page = await care.client.get("/")
    assert page.status == 200
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert (await care.client.get("/static/style.css")).status == 200
    assert (await care.client.get("/static/../page.py")).status == 404
    assert (await (await care.client.get("/nothing")).json())["error"]["code"] == "not_found"


async def test_a_page_that_left_before_its_receipt_finds_the_answer_when_it_asks_again(care: Care, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, real = asyncio.Event(), Archive.run

    async def slow(archive: Archive, method, *args, **kwargs):
        if method is Store.receive:
            await gate.wait()
        return await real(archive, method, *args, **kwargs)

    monkeypatch.setattr(Archive, "run", slow)
    asking = asyncio.create_task(ask(care))
    while not care.service._receiving:
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    await asyncio.sleep(0.05)  # the server notices that the connection has gone
    gate.set()
    again = await ask(care)
    assert again[-1][1]["answer"] == "You asked: Why is my bill so high? Bye."
    assert len(care.engine.requests) == 1


async def test_who_opts_out_is_remembered_and_may_come_back(care: Care) -> None:
    for allowed in (False, True):
        response = await care.client.put("/api/me/learning", json={"allowed": allowed})
        assert (response.status, await response.json()) == (200, {"learning": allowed})
        assert (await (await care.client.get("/api/me")).json())["learning"] is allowed
        assert care.store.opted_out() == (frozenset() if allowed else frozenset({f"web:{USER}"}))
    assert (await care.client.put("/api/me/learning", json={"allowed": "no"})).status == 422


async def test_a_notice_is_told_to_its_reader_alone_until_it_was_seen(care: Care) -> None:
    care.store.notify([Notice(f"n-{user}", "taught", "web", user, "puffin", "You taught me this.", now()) for user in (USER, "bo")])
    told = (await (await care.client.get("/api/notices")).json())["notices"]
    assert told == [{"id": f"n-{USER}", "kind": "taught", "text": "You taught me this."}]
    for notice_id in (f"n-{USER}", "n-bo"):
        assert (await care.client.post(f"/api/notices/{notice_id}/seen", json={})).status == 200
    assert (await (await care.client.get("/api/notices")).json())["notices"] == []
    assert len(care.store.unsent_notices("web", "bo")) == 1
