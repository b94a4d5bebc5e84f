"""Whether it was Teams that sent a request, for this app, in this tenant. Decides; fetches nothing itself.

A request carries a token of the Bot Framework's: signed with RS256 by a key that is endorsed for Teams, for this app, and for the service
URL to which answers go. The SDK accepts tokens of emulators and skills as well, keys of any channel, tokens that never end, and every
tenant; nothing of it is on the way in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from bot.connectors.teams.keys import Keys, UnknownKey

ISSUER = "https://api.botframework.com"
CHANNEL = "msteams"
_ALGORITHM = "RS256"
_LEEWAY_SECONDS = 300
_MOST_TOKEN = 16 * 1024


class Forged(Exception):
    """Not sent by Teams to this app now: 401."""


class Foreign(Exception):
    """Sent by Teams, but not to be served: 403."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Of a token that Teams signed for this app."""

    service_url: str


class Trust:
    """As one app in one tenant."""

    def __init__(self, app_id: str, tenant: str, keys: Keys) -> None:
        self._app_id = app_id
        self._tenant = tenant
        self._keys = keys

    async def check(self, authorization: str) -> Claims:
        """What the header of a request proves. Raises Forged, or KeysAway where nobody can tell now."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > _MOST_TOKEN:
            raise Forged("it has no bearer token")
        try:
            key = await self._keys.get(_kid(token))
            if CHANNEL not in key.endorsements:
                raise Forged("its key is not endorsed for Teams")
            claims = self._verified(token, key.public)
        except (jwt.PyJWTError, ValueError, RecursionError, UnknownKey) as error:
            raise Forged(str(error)) from None
        service_url = claims.get("serviceurl")
        if not isinstance(service_url, str) or not service_url:
            raise Forged("its token is for no service URL")
        return Claims(service_url)

    def require_ours(self, claims: Claims, activity: Mapping[str, Any], tenant: str | None) -> None:
        """Whether a token goes with the activity that came with it, and that with this tenant. Raises Forged or Foreign."""
        if str(activity.get("serviceUrl")).rstrip("/") != claims.service_url.rstrip("/"):
            raise Forged("its token is for another service URL")
        if tenant is None or tenant.lower() != self._tenant:
            raise Foreign("it is of another tenant than TEAMS_TENANT_ID")

    async def close(self) -> None:
        await self._keys.close()

    def _verified(self, token: str, key: Any) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            audience=self._app_id,
            issuer=ISSUER,
            leeway=_LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud"], "strict_aud": True},
        )


def _kid(token: str) -> str:
    """The key that a token names. Its issuer and algorithm are looked at first: for a stranger's nobody asks the key server."""
    found = jwt.api_jwt.decode_complete(token, options={"verify_signature": False})
    header, issuer = found["header"], found["payload"].get("iss")
    if header.get("alg") != _ALGORITHM:
        raise Forged("it is not signed with RS256")
    if issuer != ISSUER:
        raise Forged("its token is not issued by the Bot Framework")
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise Forged("its token names no key")
    return kid
