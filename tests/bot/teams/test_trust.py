"""Whom CARE believes: Teams, for this app, in this tenant, now. Everybody else gets 401 or 403, never 500."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.bot.teams.door import Door, opened
from tests.fakes.teams import ADA, GONE, OTHER_TENANT, STRANGER, FakeTeams
from tests.fakes.teams.keys import jwk, rsa_key


def now() -> int:
    return int(time.time())


FORGED = {
    "expired": {"exp": now() - 400, "nbf": now() - 4000, "iat": now() - 4000},
    "not yet valid": {"nbf": now() + 4000},
    "issued tomorrow": {"iat": now() + 86400},
    "without an end": {"exp": None},
    "with an end that is no number": {"exp": "tomorrow"},
    "for another app": {"aud": "00000000-0000-0000-0000-000000000000"},
    "for several apps": {"aud": ["c9e8c047-2a74-40a2-b28a-b162d5f5327c", "another"]},
    "for no app": {"aud": None},
    "of no issuer": {"iss": None},
    "of an emulator": {"iss": "https://sts.windows.net/d6d49420-f39b-4df7-a1dc-d59a935871db/", "appid": "c9e8c047", "ver": "1.0"},
    "of a skill": {"iss": "https://login.microsoftonline.com/d6d49420-f39b-4df7-a1dc-d59a935871db/v2.0", "azp": "x", "ver": "2.0"},
    "of the government's cloud": {"iss": "https://api.botframework.us"},
    "for no service url": {"serviceurl": None},
    "for another service url": {"serviceurl": "https://smba.trafficmanager.net/emea/"},
    "for a service url that is no text": {"serviceurl": 5},
}


@pytest.mark.parametrize("claims", FORGED.values(), ids=FORGED)
async def test_a_token_that_says_the_wrong_thing_is_refused(teams: FakeTeams, door: Door, claims: dict) -> None:
    assert await door.knock(teams.activity(ADA, "Hello"), teams.token(**claims)) == 401
    assert door.heard == []


async def test_clocks_may_differ_by_five_minutes(teams: FakeTeams, door: Door) -> None:
    assert await door.knock(teams.activity(ADA, "Hello"), teams.token(exp=now() - 200, nbf=now() - 4000)) == 201
    assert await door.knock(teams.activity(ADA, "Hello"), teams.token(nbf=now() + 200, iat=now() + 200)) == 201


def with_the_public_key(teams: FakeTeams) -> str:
    """HS256 with what everybody knows as the secret: libraries refuse to sign so, forgers do not."""
    claims = jwt.decode(teams.token(), options={"verify_signature": False})
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT", "kid": "teams-key"}, claims)]
    signing = ".".join(encoded(part) for part in parts)
    secret = rsa_key("teams-key").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return f"{signing}.{encoded(hmac.new(secret, signing.encode(), hashlib.sha256).digest())}"


def without_a_key(teams: FakeTeams) -> str:
    claims = jwt.decode(teams.token(), options={"verify_signature": False})
    return jwt.encode(claims, rsa_key("teams-key"), algorithm="RS256")


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def header_and_payload(header: object, payload: object) -> str:
    return ".".join(encoded(part) for part in (json.dumps(header).encode(), json.dumps(payload).encode(), b"x" * 256))


RS256 = {"alg": "RS256", "kid": "teams-key"}
WRONG_KEYS: dict[str, Callable[[FakeTeams], str]] = {
    "by a key that nobody published": lambda teams: teams.token(key="unknown-key"),
    "by another key under a published name": lambda teams: teams.token(key="unknown-key", kid="teams-key"),
    "by a key of another channel": lambda teams: teams.token(key="webchat-key"),
    "by a key without a name": without_a_key,
    "by nobody": lambda teams: teams.token(algorithm="none"),
    "with a shared secret": lambda teams: teams.token(algorithm="HS256"),
    "with the public key as a shared secret": with_the_public_key,
    "with RS512": lambda teams: teams.token(algorithm="RS512"),
    "and changed afterwards": lambda teams: teams.token()[:-8] + "AAAAAAAA",
    "and cut": lambda teams: teams.token().rpartition(".")[0],
    "and is garbage": lambda _: "garbage",
    "and is three times nothing": lambda _: "e30.e30.e30",
    "and is no ASCII": lambda _: "ä.ö.ü",
    "and is endless": lambda _: "a" * 7000,
    "by a key that is a number": lambda _: header_and_payload({"alg": "RS256", "kid": 5}, {"iss": "https://api.botframework.com"}),
    "with a header that is a list": lambda _: header_and_payload([], {"iss": "https://api.botframework.com"}),
    "with claims that are a list": lambda _: header_and_payload(RS256, []),
    "with claims without end": lambda _: ".".join((encoded(json.dumps(RS256).encode()), encoded(b"[" * 4800), "x")),
    "by an issuer that is a list": lambda _: header_and_payload(RS256, {"iss": ["https://api.botframework.com"]}),
}


@pytest.mark.parametrize("forge", WRONG_KEYS.values(), ids=WRONG_KEYS)
async def test_a_token_signed_otherwise_is_refused(teams: FakeTeams, door: Door, forge: Callable[[FakeTeams], str]) -> None:
    assert await door.knock(teams.activity(ADA, "Hello"), forge(teams)) == 401
    assert door.heard == []


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Negotiate"])
async def test_a_request_without_a_token_is_refused(teams: FakeTeams, door: Door, header: str) -> None:
    assert await door.knock(teams.activity(ADA, "Hello"), None, **({"Authorization": header} if header else {})) == 401
    assert door.heard == []


async def test_for_a_stranger_nobody_reads_the_body_and_nobody_asks_the_key_server(teams: FakeTeams, door: Door) -> None:
    for token in (teams.token(iss="https://evil.example"), teams.token(algorithm="HS256"), "garbage"):
        assert await door.knock("{" * 300_000, token) == 401
    assert teams.keys.fetches == 0


FOREIGN = {
    "another tenant": {"conversation": {"id": "a:1", "conversationType": "personal", "tenantId": OTHER_TENANT}, "channelData": GONE},
    "another tenant by its channel data": {
        "conversation": {"id": "a:1", "conversationType": "personal"},
        "channelData": {"tenant": {"id": OTHER_TENANT}},
    },
    "no tenant": {"conversation": {"id": "a:1", "conversationType": "personal"}, "channelData": {}},
}


@pytest.mark.parametrize("fields", FOREIGN.values(), ids=FOREIGN)
async def test_another_tenant_is_not_served(teams: FakeTeams, door: Door, fields: dict) -> None:
    assert await door.knock(teams.activity(ADA, "Hello", **fields)) == 403
    assert door.heard == []


async def test_a_person_of_another_tenant_is_not_served(teams: FakeTeams, door: Door) -> None:
    assert (await teams.say(STRANGER, "Hello")).status == 403
    assert door.heard == []


HOSTS = {
    "somebody's host": "https://evil.example/",
    "an allowed host as a user name": "https://127.0.0.1@evil.example/",
    "an allowed host behind a user name": "https://evil.example@127.0.0.1/",
    "an allowed host behind a backslash": "https://evil.example\\@127.0.0.1/",
    "an allowed host as a part of the name": "https://127.0.0.1.evil.example/",
    "an allowed host as a query": "https://evil.example/?127.0.0.1",
    "a service of this machine": "http://localhost:8080/",
    "a broken port": "https://127.0.0.1:99999999/",
    "a broken address": "https://[127.0.0.1/",
    "a format": "https://127.0.0.1/{0}/",
    "no address": "127.0.0.1",
    "another protocol": "ftp://127.0.0.1/",
    "a file": "file:///etc/passwd",
    "two lines": "https://127.0.0.1/\r\nHost: evil.example/",
}


@pytest.mark.parametrize("url", HOSTS.values(), ids=HOSTS)
async def test_a_service_url_elsewhere_is_refused_even_when_teams_signed_it(teams: FakeTeams, door: Door, url: str) -> None:
    assert await door.knock(teams.activity(ADA, "Hello", serviceUrl=url), teams.token(serviceurl=url)) == 403
    assert door.heard == []


async def test_hosts_under_an_allowed_one_are_allowed_and_only_with_tls(teams: FakeTeams) -> None:
    allowed = ("https://teams.example/", "https://emea.teams.example/x/", "https://TEAMS.example/")
    others = ("http://teams.example/", "https://notteams.example/", "https://example/")
    async with opened(teams, teams_service_hosts=("teams.example",)) as door:
        for url in (*allowed, *others):
            status = await door.knock(teams.activity(ADA, "Hello", serviceUrl=url), teams.token(serviceurl=url))
            assert status == (201 if url in allowed else 403), url


async def test_who_could_not_be_verified_in_time_is_told_to_come_again(
    teams: FakeTeams, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.connectors.teams.keys._SECONDS", 0.1)
    monkeypatch.setattr("bot.connectors.teams.keys._BROKEN_PAUSE", 600.0)
    teams.faults.hold("keys")
    async with asyncio.timeout(5):
        assert await door.knock(teams.activity(ADA, "Hello")) == 503
    assert await door.knock(teams.activity(ADA, "Hello")) == 503, "at once: it was asked a moment ago"
    assert (teams.keys.fetches, door.heard) == (1, [])


@pytest.mark.parametrize("kind", ["openid", "keys"])
async def test_a_key_server_in_trouble_is_a_503_and_the_next_request_gets_in(
    teams: FakeTeams, door: Door, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("bot.connectors.teams.keys._BROKEN_PAUSE", 0.0)
    teams.faults.outage(kind)
    assert await door.knock(teams.activity(ADA, "Hello")) == 503
    teams.faults.break_off(kind, times=2)  # a call that changes nothing is sent again at once
    assert await door.knock(teams.activity(ADA, "Hello")) == 503
    assert await door.knock(teams.activity(ADA, "Hello")) == 201


async def test_the_loop_goes_on_while_the_keys_are_fetched_once_for_all_who_wait(teams: FakeTeams, door: Door) -> None:
    teams.faults.hold("keys")
    knocking = [asyncio.create_task(door.knock(teams.activity(ADA, "Hello"))) for _ in range(20)]
    await teams.until(lambda: teams.faults.held["keys"])  # which comes to nothing where the loop stands still
    assert await door.knock(teams.activity(ADA, "Hello"), None) == 401, "who needs no key is answered meanwhile"
    assert not any(each.done() for each in knocking)
    teams.faults.release()
    assert [await each for each in knocking] == [201] * 20
    assert teams.keys.fetches == 1


async def test_a_key_that_is_new_is_found_with_one_fetch(teams: FakeTeams, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await door.knock(teams.activity(ADA, "Hello")) == 201
    teams.keys.published = {"next-key": ["msteams"]}
    new = teams.token(key="next-key")
    assert await door.knock(teams.activity(ADA, "Hello"), new) == 401, "the keys were fetched a moment ago"
    monkeypatch.setattr("bot.connectors.teams.keys._UNKNOWN_PAUSE", 0.0)
    assert await door.knock(teams.activity(ADA, "Hello"), new) == 201
    assert await door.knock(teams.activity(ADA, "Hello"), new) == 201
    assert await door.knock(teams.activity(ADA, "Hello"), teams.token()) == 401, "the old key is good no more"


async def test_forged_names_of_keys_do_not_hammer_the_key_server(teams: FakeTeams, door: Door) -> None:
    for number in range(50):
        assert await door.knock(teams.activity(ADA, "Hello"), teams.token(kid=f"forged {number}")) == 401
    assert teams.keys.fetches == 1
    assert await door.knock(teams.activity(ADA, "Hello")) == 201


async def test_keys_that_are_a_day_old_are_replaced_while_nobody_waits(
    teams: FakeTeams, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await door.knock(teams.activity(ADA, "Hello")) == 201
    keys = door.keys
    monkeypatch.setattr(keys, "_clock", lambda: time.monotonic() + 25 * 3600)
    teams.faults.hold("keys")
    assert await door.knock(teams.activity(ADA, "Hello")) == 201
    await teams.until(lambda: teams.faults.held["keys"])
    teams.faults.release()
    await teams.until(lambda: teams.keys.fetches == 2)


async def test_keys_are_good_for_another_day_while_the_key_server_is_away(
    teams: FakeTeams, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await door.knock(teams.activity(ADA, "Hello")) == 201
    teams.faults.outage("openid", times=1000)
    for hours, status in ((25, 201), (47, 201), (49, 503)):
        monkeypatch.setattr(door.keys, "_clock", lambda later=hours * 3600: time.monotonic() + later)
        assert await door.knock(teams.activity(ADA, "Hello")) == status, hours


async def test_a_key_server_that_answers_without_keys_takes_none_of_the_good_ones(
    teams: FakeTeams, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await door.knock(teams.activity(ADA, "Hello")) == 201
    teams.keys.published = {}
    monkeypatch.setattr(door.keys, "_clock", lambda: time.monotonic() + 25 * 3600)
    assert await door.knock(teams.activity(ADA, "Hello")) == 201
    await teams.until(lambda: teams.keys.fetches == 2 and door.keys._fetching is not None and door.keys._fetching.done())
    assert await door.knock(teams.activity(ADA, "Hello")) == 201


GOOD = jwk("teams-key", ["msteams"])
DOCUMENTS = {
    "no keys": ({}, 503),
    "keys that are no list": ({"keys": 5}, 503),
    "keys that are no objects": ({"keys": [None, 5, "x", []]}, 503),
    "a key without a name": ({"keys": [{**GOOD, "kid": None}]}, 503),
    "a key without numbers": ({"keys": [{"kid": "teams-key", "kty": "RSA", "endorsements": ["msteams"]}]}, 503),
    "a key of another kind": ({"keys": [{"kid": "teams-key", "kty": "oct", "k": "c2VjcmV0", "endorsements": ["msteams"]}]}, 503),
    "a key that nobody endorsed": ({"keys": [{name: value for name, value in GOOD.items() if name != "endorsements"}]}, 401),
    "endorsements that are text": ({"keys": [{**GOOD, "endorsements": "msteams"}]}, 401),
    "a good one among broken ones": ({"keys": [None, {"kid": "x", "kty": "RSA", "n": "!", "e": 5}, GOOD]}, 201),
    "a list": ([], 503),
    "text": ("keys", 503),
}


@pytest.mark.parametrize(("document", "status"), DOCUMENTS.values(), ids=DOCUMENTS)
async def test_a_key_server_may_say_anything(teams: FakeTeams, document: object, status: int) -> None:
    async with key_server(document) as url, opened(teams, teams_openid_url=url) as door:
        assert await door.knock(teams.activity(ADA, "Hello")) == status


async def test_keys_that_are_elsewhere_without_tls_are_not_fetched(teams: FakeTeams) -> None:
    for elsewhere in ("http://keys.example/", "ftp://127.0.0.1/", "nothing", 5, None):
        async with key_server({"keys": [GOOD]}, jwks_uri=elsewhere) as url, opened(teams, teams_openid_url=url) as door:
            assert await door.knock(teams.activity(ADA, "Hello")) == 503


@asynccontextmanager
async def key_server(document: object, **fields: object) -> AsyncIterator[str]:
    """One that sends its keys in pieces."""

    async def openid(request: web.Request) -> web.Response:
        return web.json_response({"jwks_uri": str(request.url.with_path("/keys")), **fields})

    async def keys(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for character in json.dumps(document):
            await response.write(character.encode())
        return response

    app = web.Application()
    app.router.add_get("/openid", openid)
    app.router.add_get("/keys", keys)
    server = TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url("/openid"))
    finally:
        await server.close()
