"""/v1 as OpenAI's clients use it, against a scripted engine."""

import asyncio
import io
import json

import pytest

from model.errors import GenerationFailed
from tests.bot.conftest import Care, StartCare
from tests.fakes.engine import ScriptedEngine

ASK = {"model": "care", "messages": [{"role": "user", "content": "Why?"}]}


async def test_a_question_is_answered_and_kept(care: Care) -> None:
    answer = await care.ask("Why is my bill so high?")
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "You asked: Why is my bill so high? Bye.", "refusal": None}
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]
    turn = await care.service.wait(answer["id"])
    assert (turn.status, turn.reply.text, turn.domain) == ("delivered", "You asked: Why is my bill so high? Bye.", "other")
    assert (turn.question.platform, turn.question.user_id, turn.question.private) == ("api", "anonymous", False)


async def test_a_stream_brings_the_same_text_in_pieces(care: Care) -> None:
    response = await care.client.post("/v1/chat/completions", json={**ASK, "stream": True, "stream_options": {"include_usage": True}})
    lines = [line.removeprefix("data: ") for line in (await response.text()).split("\n\n") if line]
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    pieces = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]]
    assert "".join(pieces) == "You asked: Why? Bye."
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"]][-1] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 4


async def test_the_messages_are_the_whole_context(care: Care) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "there"}]},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "Why?"},
    ]
    await care.ask(messages=messages, metadata={"conversation_id": "c1"}, user="ada")
    await care.ask("And now?", metadata={"conversation_id": "c1"}, user="ada")
    first, second = care.engine.requests
    assert [(message.role, message.content) for message in first.messages] == [
        ("system", "Be brief."),
        ("user", "Hello\nthere"),
        ("assistant", "Hi."),
        ("user", "Why?"),
    ]
    assert [message.role for message in second.messages] == ["system", "user"]
    assert second.messages[0].content.startswith("You are CARE")


async def test_the_conversation_and_the_user_are_kept_with_the_turn(care: Care) -> None:
    answer = await care.ask(user="grace", metadata={"conversation_id": "c9", "user_name": "Grace Hopper"})
    turn = await care.service.turn(answer["id"])
    assert (turn.question.user_id, turn.question.conversation_id, turn.question.private) == ("grace", "c9", True)
    assert turn.question.user_name == "Grace Hopper"


async def test_identical_requests_are_separate_turns(care: Care) -> None:
    assert (await care.ask("Why?"))["id"] != (await care.ask("Why?"))["id"]


async def test_sampling_reaches_the_engine(care: Care) -> None:
    await care.ask(temperature=0, top_p=0.5, seed=7, stop=["\n", "END"], max_tokens=3)
    await care.ask(stop="END", max_completion_tokens=5)
    first, second = (request.sampling for request in care.engine.requests)
    assert (first.temperature, first.top_p, first.seed, first.stop, first.max_tokens) == (0, 0.5, 7, ("\n", "END"), 3)
    assert (second.stop, second.max_tokens) == (("END",), 5)


async def test_models_are_listed(care: Care) -> None:
    listed = await (await care.client.get("/v1/models")).json()
    assert [model["id"] for model in listed["data"]] == ["care", "base"]
    assert (await (await care.client.get("/v1/models/base")).json())["id"] == "base"
    assert (await care.client.get("/v1/models/gpt-4")).status == 404


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"messages": []}, 422, "messages"),
        ({"messages": "hello"}, 422, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, 422, None),
        ({"messages": [{"role": "user", "content": " \u0000\n"}]}, 422, None),
        ({"messages": [{"role": "user"}]}, 422, None),
        ({"messages": [{"role": "user", "content": 3}]}, 422, "messages.0.content"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, 422, "messages"),
        ({"messages": [{"role": "wizard", "content": "Hi"}]}, 400, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, 400, "messages.0.content.0.type"),
        ({"messages": [{"role": "user", "content": "\ud83d"}]}, 422, "messages.0.content"),
        ({"temperature": -1}, 422, "temperature"),
        ({"temperature": "hot"}, 422, "temperature"),
        ({"temperature": 2.5}, 422, "temperature"),
        ({"top_p": 1.1}, 422, "top_p"),
        ({"max_tokens": 0}, 422, "max_tokens"),
        ({"max_tokens": 1.5}, 422, "max_tokens"),
        ({"stop": ["a"] * 17}, 422, "stop"),
        ({"stop": ""}, 422, "stop"),
        ({"seed": 2**70}, 422, "seed"),
        ({"stream": "yes"}, 422, "stream"),
        ({"user": ""}, 422, "user"),
        ({"metadata": {"conversation_id": 5}}, 422, "metadata.conversation_id"),
        ({"model": "gpt-4"}, 404, "model"),
        ({"model": None}, 422, "model"),
        ({"n": 2}, 400, "n"),
        ({"tools": [{"type": "function"}]}, 400, "tools"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format"),
        ({"logprobs": True}, 400, "logprobs"),
        ({"presence_penalty": 1}, 400, "presence_penalty"),
        ({"top_k": 5}, 400, "top_k"),
    ],
)
async def test_a_bad_field_is_named(care: Care, change: dict, status: int, param: str | None) -> None:
    body = json.dumps({**ASK, **change})
    response = await care.client.post("/v1/chat/completions", data=body, headers={"Content-Type": "application/json"})
    error = (await response.json())["error"]
    assert response.status == status, error
    if param is not None:
        assert error["param"] == param
    assert error["message"]
    assert care.store.counts() == {}


@pytest.mark.parametrize("field", ["store", "service_tier", "parallel_tool_calls"])
async def test_fields_that_change_nothing_are_taken(care: Care, field: str) -> None:
    assert (await care.ask(**{field: True}))["status"] == 200


async def test_neutral_values_of_unsupported_fields_are_taken(care: Care) -> None:
    neutral = {"n": 1, "logprobs": False, "presence_penalty": 0, "tools": None, "tool_choice": "none", "response_format": {"type": "text"}}
    assert (await care.ask(**neutral))["status"] == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 400),
        (b"\xff\xfe\x00binary", 400),
        (b'{"model": NaN}', 400),
        (b"[" * 20_000, 400),
        (b"[]", 422),
        (b'"text"', 422),
        (b"9" * 5000, 400),
    ],
)
async def test_malformed_json_is_refused(care: Care, body: bytes, status: int) -> None:
    response = await care.client.post("/v1/chat/completions", data=body, headers={"Content-Type": "application/json"})
    assert response.status == status
    assert (await response.json())["error"]["message"]


async def test_a_body_that_is_not_packed_as_it_says_is_refused(care: Care) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = await care.client.post("/v1/chat/completions", data=json.dumps(ASK).encode(), headers=headers)
    assert (response.status, (await response.json())["error"]["code"]) == (400, "bad_request")


async def test_a_body_over_one_mebibyte_is_refused(care: Care) -> None:
    body = io.BytesIO(json.dumps({**ASK, "user": "x" * 1024 * 1024}).encode())
    response = await care.client.post("/v1/chat/completions", data=body, headers={"Content-Type": "application/json"})
    assert (response.status, (await response.json())["error"]["code"]) == (413, "too_large")


async def test_a_body_that_is_not_called_json_is_refused(care: Care) -> None:
    response = await care.client.post("/v1/chat/completions", data=b"{}", headers={"Content-Type": "text/plain"})
    assert response.status == 415


async def test_a_question_over_the_context_is_refused_before_it_is_recorded(care: Care) -> None:
    answer = await care.ask("word " * 600)
    assert (answer["status"], answer["error"]["code"]) == (400, "context_length_exceeded")
    assert care.store.counts() == {}


async def test_when_every_place_is_taken_the_next_is_told_to_come_back(start_care: StartCare) -> None:
    gate = asyncio.Event()
    async with start_care(ScriptedEngine(step=gate.wait, slots=1, queue=1)) as care:
        waiting = [asyncio.create_task(care.ask()) for _ in range(2)]
        while care.store.counts().get("answering", 0) < 2:
            await asyncio.sleep(0)
        refused = await care.client.post("/v1/chat/completions", json=ASK)
        assert refused.status == 429
        assert int(refused.headers["Retry-After"]) > 0
        assert (await refused.json())["error"]["type"] == "rate_limit_error"
        gate.set()
        assert [answer["status"] for answer in await asyncio.gather(*waiting)] == [200, 200]


async def test_before_the_model_is_loaded_people_are_told_to_come_back(start_care: StartCare) -> None:
    async with start_care(ready=False) as care:
        response = await care.client.post("/v1/chat/completions", json=ASK)
        assert (response.status, response.headers["Retry-After"]) == (503, "5")


async def test_a_failing_model_is_an_error_and_a_failed_turn(start_care: StartCare) -> None:
    def broken(request: object) -> list[str]:
        raise GenerationFailed("the model failed under this request")

    async with start_care(ScriptedEngine(broken)) as care:
        answer = await care.ask()
        assert (answer["status"], answer["error"]["code"]) == (500, "generation_failed")
        response = await care.client.post("/v1/chat/completions", json={**ASK, "stream": True})
        assert "generation_failed" in await response.text()
        assert care.store.counts() == {"failed": 2}


async def test_a_reader_who_leaves_makes_the_turn_cancelled(start_care: StartCare) -> None:
    gate = asyncio.Semaphore(3)
    async with start_care(ScriptedEngine(step=gate.acquire)) as care:
        response = await care.client.post("/v1/chat/completions", json={**ASK, "stream": True})
        for _ in range(3):
            await response.content.readuntil(b"\n\n")
        response.close()
        while not care.store.counts().get("cancelled"):
            await asyncio.sleep(0)
        gate.release()
        assert care.engine.status().running == 0
        (turn,) = care.store._select("1 = 1")
        assert turn.reply.text.startswith("You asked: ")


async def test_the_emergency_services_come_before_the_answer(care: Care) -> None:
    answer = await care.ask("I have chest pain, what do I do?")
    text = answer["choices"][0]["message"]["content"]
    assert text.startswith("**This may be an emergency.**")
    assert text.endswith("Bye.")
    calm = await care.ask("My router is slow")
    assert "emergency" not in calm["choices"][0]["message"]["content"]


async def test_a_reader_is_told_when_the_answer_is_interrupted(start_care: StartCare) -> None:
    async with start_care(ScriptedEngine(step=asyncio.Event().wait)) as care:
        stream = await care.client.post("/v1/chat/completions", json={**ASK, "stream": True})
        whole = asyncio.create_task(care.ask())
        while care.store.counts().get("answering", 0) < 2:
            await asyncio.sleep(0)
        await care.service.drain(0)
        assert '"code": "not_ready"' in await stream.text()
        assert ((await whole)["status"], care.store.counts()) == (503, {"answering": 2})


async def test_a_stream_that_waits_is_kept_alive(start_care: StartCare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.connectors.web.feed._SILENCE_SECONDS", 0.001)
    gate = asyncio.Event()
    async with start_care(ScriptedEngine(step=gate.wait)) as care:
        response = await care.client.post("/v1/chat/completions", json={**ASK, "stream": True})
        await response.content.readuntil(b": waiting\n\n")
        gate.set()
        assert "[DONE]" in await response.text()
