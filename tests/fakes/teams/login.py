"""The login server: an app's id and secret against a bearer token for the connector."""

import uuid
from typing import TYPE_CHECKING

from aiohttp import web

from tests.fakes.teams.refusals import Refused
from tests.fakes.teams.world import APP_ID, TENANT, Json

if TYPE_CHECKING:
    from tests.fakes.teams.fake import FakeTeams

SCOPE = "https://api.botframework.com/.default"


class Login:
    """Issues tokens, and knows which are good."""

    def __init__(self, teams: "FakeTeams") -> None:
        self._teams = teams
        self.password = "fake-client-secret"
        self.expires_in = 3599.0
        self.issued = 0
        self._good: dict[str, float] = {}

    def routes(self) -> list[web.RouteDef]:
        """Where `TEAMS_LOGIN_URL` points."""
        return [
            web.post("/login/{tenant}/oauth2/v2.0/token", self._token),
            web.get("/login/{tenant}/v2.0/.well-known/openid-configuration", self._discovery),
        ]

    def check(self, authorization: str) -> None:
        """Raises Refused unless this header carries a token that was issued here and is still good."""
        token = authorization.removeprefix("Bearer ")
        if token == authorization or self._good.get(token, 0.0) <= self._teams.clock():
            raise Refused(401, "Unauthorized", "Authorization has been denied for this request.")

    def revoke(self) -> None:
        """No token that was issued so far is good any more."""
        self._good.clear()

    async def _token(self, request: web.Request) -> web.StreamResponse:
        await self._teams.faults.meet("token", request)
        form = await request.post()
        error = _wrong(request.match_info["tenant"], {name: str(value) for name, value in form.items()}, self.password)
        if error is not None:
            status, code, description = error
            return web.json_response({"error": code, "error_description": description, "trace_id": str(uuid.uuid4())}, status=status)
        self.issued += 1
        token = f"fake.{uuid.uuid4().hex}"
        self._good[token] = self._teams.clock() + self.expires_in
        seconds = int(self.expires_in)
        return web.json_response({"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token})

    async def _discovery(self, request: web.Request) -> web.StreamResponse:
        base = f"{self._teams.url}/login/{request.match_info['tenant']}"
        return web.json_response(
            {
                "issuer": f"{base}/v2.0",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
            }
        )


def _wrong(tenant: str, form: Json, password: str) -> tuple[int, str, str] | None:
    """Status, error and description, as Entra words them."""
    if tenant != TENANT:
        return 400, "invalid_request", f"AADSTS90002: Tenant '{tenant}' not found."
    if form.get("grant_type") != "client_credentials":
        return 400, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type."
    if form.get("client_id") != APP_ID:
        return (
            400,
            "unauthorized_client",
            f"AADSTS700016: Application with identifier '{form.get('client_id')}' was not found in the directory.",
        )
    if form.get("client_secret") != password:
        return 401, "invalid_client", "AADSTS7000215: Invalid client secret provided."
    if form.get("scope") != SCOPE:
        return 400, "invalid_scope", f"AADSTS70011: The provided value for the input parameter 'scope' is not valid: {form.get('scope')}."
    return None
