"""Who Teams is: RSA keys, the tokens signed with them, and the server that publishes them."""

import base64
import functools
import time
from typing import TYPE_CHECKING

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakes.teams.world import APP_ID, Json

if TYPE_CHECKING:
    from tests.fakes.teams.fake import FakeTeams

ISSUER = "https://api.botframework.com"
OPENID_PATH = "/v1/.well-known/openidconfiguration"
PUBLISHED = {"teams-key": ["msteams", "msteams-extra"], "webchat-key": ["webchat"]}  # key id → channels it vouches for
_HOUR = 3600


@functools.cache  # a key takes a tenth of a second to make; all fakes of a test run share them
def rsa_key(kid: str) -> rsa.RSAPrivateKey:
    """The key of this name."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _number(value: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()


def jwk(kid: str, endorsements: list[str]) -> Json:
    """A key as the key server publishes it."""
    numbers = rsa_key(kid).public_key().public_numbers()
    return {
        "kty": "RSA",
        "use": "sig",
        "kid": kid,
        "x5t": kid,
        "n": _number(numbers.n),
        "e": _number(numbers.e),
        "endorsements": endorsements,
    }


class Keys:
    """Signs; publishes. One signature for each address is kept: signing takes a millisecond."""

    def __init__(self, teams: "FakeTeams") -> None:
        self._teams = teams
        self._kept: dict[str, str] = {}
        self.published = dict(PUBLISHED)
        self.fetches = 0  # of the key set

    def kept(self, service_url: str) -> str:
        """A good token for activities with this address."""
        if service_url not in self._kept:
            self._kept[service_url] = self.token(serviceurl=service_url)
        return self._kept[service_url]

    def token(self, *, key: str = "teams-key", kid: str | None = None, algorithm: str = "RS256", **claims: object) -> str:
        """A token; `claims` replace, or with None remove, what a good one says. A `key` that is not published forges."""
        now = int(time.time())
        good = {"iss": ISSUER, "aud": APP_ID, "serviceurl": self._teams.service_url, "iat": now, "nbf": now - 300, "exp": now + _HOUR}
        said = {name: value for name, value in {**good, **claims}.items() if value is not None}
        secret = "" if algorithm == "none" else rsa_key(key) if algorithm.startswith("RS") else "a" * 64
        return jwt.encode(said, secret, algorithm=algorithm, headers={"kid": kid or key, "x5t": kid or key})

    def routes(self) -> list[web.RouteDef]:
        """The key server."""
        return [web.get(OPENID_PATH, self._openid), web.get("/v1/.well-known/keys", self._jwks)]

    async def _openid(self, request: web.Request) -> web.StreamResponse:
        await self._teams.faults.meet("openid", request)
        ways = {"id_token_signing_alg_values_supported": ["RS256"], "token_endpoint_auth_methods_supported": ["private_key_jwt"]}
        return web.json_response({"issuer": ISSUER, "jwks_uri": f"{self._teams.url}/v1/.well-known/keys", **ways})

    async def _jwks(self, request: web.Request) -> web.StreamResponse:
        self.fetches += 1
        await self._teams.faults.meet("keys", request)
        return web.json_response({"keys": [jwk(kid, channels) for kid, channels in self.published.items()]})
