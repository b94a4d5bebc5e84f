"""The keys with which Microsoft signs what it sends: fetched in the background of the event loop, kept for a day. Knows no token.

The SDK fetches them with a blocking call that may take for ever, and stumbles over a key that it does not know. Here whoever needs a key
waits five seconds for it at most, all for the same fetch; a key that nobody knows is looked for again, but so seldom that nobody can make
CARE hammer the key server.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm
from yarl import URL

from bot.connectors.teams.http import Http, body_of
from bot.settings import is_loopback

log = logging.getLogger(__name__)

# Teams sends an activity again after 15 s without an answer.
_SECONDS = 5.0
_GOOD_SECONDS = 24 * 3600.0
_STALE_SECONDS = 48 * 3600.0  # for as long as the key server is away
_UNKNOWN_PAUSE = 60.0
_BROKEN_PAUSE = 2.0


class UnknownKey(Exception):
    """Microsoft has no such key."""


class KeysAway(Exception):
    """The key server can't be asked now."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key, and the channels whose activities it may sign."""

    public: RSAPublicKey
    endorsements: frozenset[str]


class Keys:
    """Of one key server; `url` is its OpenID document."""

    def __init__(self, url: str, http: Http, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self._keys: Mapping[str, Key] = {}
        self._fetched_at: float | None = None
        self._broke_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def get(self, kid: str) -> Key:
        """Raises UnknownKey or KeysAway."""
        age = self._age(self._fetched_at)
        if age > _STALE_SECONDS or (kid not in self._keys and age > _UNKNOWN_PAUSE):
            await asyncio.shield(self._fetch())
        elif age > _GOOD_SECONDS and self._age(self._broke_at) > _BROKEN_PAUSE:
            self._fetch()  # nobody has to wait for it
        try:
            return self._keys[kid]
        except KeyError:
            raise UnknownKey("it is signed with a key that Microsoft does not have") from None

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _age(self, at: float | None) -> float:
        return float("inf") if at is None else self._clock() - at

    def _fetch(self) -> "asyncio.Task[None]":
        """The fetch that runs, or a new one. Raises KeysAway where one failed a moment ago."""
        if self._fetching is None or self._fetching.done():
            if self._age(self._broke_at) < _BROKEN_PAUSE:
                raise KeysAway("the key server could not be asked a moment ago")
            self._fetching = asyncio.create_task(self._replace(), name="teams keys")
            self._fetching.add_done_callback(lambda task: task.cancelled() or task.exception())  # the last who waited may have left
        return self._fetching

    async def _replace(self) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                document = await self._object(self._url)
                found = await self._object(_safe(document.get("jwks_uri")))
            keys = _readable(found.get("keys"))
            if not keys:
                raise ValueError("it has no key that can be read")  # good ones are kept
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, RecursionError) as error:
            self._broke_at = self._clock()
            log.warning("the key server can't be asked", extra={"url": self._url, "error": f"{type(error).__name__}: {error}"[:200]})
            raise KeysAway(f"the key server can't be asked ({type(error).__name__})") from None
        self._keys, self._fetched_at, self._broke_at = keys, self._clock(), None
        log.info("fetched the keys of Teams", extra={"keys": len(self._keys)})

    async def _object(self, url: str) -> dict[str, Any]:
        async with self._http().get(url, allow_redirects=False) as response:
            body = await body_of(response)
        found = json.loads(body)
        if response.status != 200 or not isinstance(found, dict):
            raise ValueError(f"it answers with {response.status}")
        return found


def _safe(url: object) -> str:
    """Where the keys are: over TLS, as everything that trust comes from."""
    if not isinstance(url, str):
        raise ValueError("the OpenID document names no keys")  # what a server says wrongly is no error of ours
    parts = URL(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.host or "")):
        raise ValueError("the OpenID document names keys without TLS")
    return url


def _readable(keys: object) -> dict[str, Key]:
    """What is no RSA key that signs is left out."""
    found: dict[str, Key] = {}
    for each in keys if isinstance(keys, list) else []:
        if not isinstance(each, dict) or not isinstance(each.get("kid"), str):
            continue
        endorsements = each.get("endorsements")
        try:
            public = RSAAlgorithm.from_jwk({name: each.get(name) for name in ("kty", "n", "e")})
        except (jwt.InvalidKeyError, ValueError, TypeError, KeyError):
            continue
        if isinstance(public, RSAPublicKey):
            endorsed = [name for name in endorsements if isinstance(name, str)] if isinstance(endorsements, list) else []
            found[each["kid"]] = Key(public, frozenset(endorsed))
    return found
