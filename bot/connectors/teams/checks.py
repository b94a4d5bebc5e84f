"""What `care doctor` looks at in Teams: id, secret and tenant, the keys of what comes in, the way in and out, channels. Posts nothing."""

import asyncio
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from bot.checks import Check, failed, passed, warned
from bot.connectors import inside
from bot.home import running
from bot.settings import Settings, is_loopback

SECTION = "teams"
PATH: Final = "/api/messages"
_SECONDS = 10
_OURS = "not a request of Teams'"  # what CARE's door says to whoever comes without a token
_GCC = "smba.infra.gcc.teams.microsoft.com"
_SCOPE = "https://api.botframework.com/.default"
_PORTAL = "https://entra.microsoft.com, App registrations"
_RENEW = f'make a new secret at {_PORTAL}, "Certificates & secrets", and copy its Value (not its Secret ID) into TEAMS_APP_PASSWORD'

# Entra's codes (login.microsoftonline.com/error): which setting is wrong, what that means, what to do.
_REFUSALS: Final[Mapping[str, tuple[str, str, str]]] = {
    "7000215": ("secret", "TEAMS_APP_PASSWORD is not a secret of this app", _RENEW),
    "7000222": ("secret", "the secret has expired", _RENEW),
    "7000218": ("secret", "Entra wants another kind of credentials of this app", f"make a client secret at {_PORTAL}"),
    "700016": (
        "app id",
        "the tenant knows no app with TEAMS_APP_ID",
        f'copy "Application (client) ID" and "Directory (tenant) ID" of the same app from {_PORTAL}, "Overview"',
    ),
    "7000229": (
        "app id",
        "the app has no service principal in its tenant",
        f'az ad sp create --id <TEAMS_APP_ID>, or at {_PORTAL}, "Overview": "Create Service Principal"',
    ),
    "7000112": ("app id", "the app is disabled in its tenant", "let an administrator enable it under Enterprise applications"),
    "90002": ("tenant", "there is no tenant with TEAMS_TENANT_ID", f'copy "Directory (tenant) ID" from {_PORTAL}, "Overview"'),
    "900023": ("tenant", "TEAMS_TENANT_ID is no id of a tenant", f'copy "Directory (tenant) ID" from {_PORTAL}, "Overview"'),
    "53003": ("login", "a Conditional Access policy forbids it", "let an administrator exclude this app, or this machine's address"),
}

NOTHING_COMES = (
    "ask CARE something there while it runs; if no answer comes, see whether the Azure Bot's messaging endpoint is "
    f"https://…{PATH}, whether its channel Microsoft Teams is on, and whether the reverse proxy's log shows the requests"
)


async def checks(settings: Settings) -> list[Check]:
    """All that can be known without posting. Every call has a deadline of ten seconds."""
    if settings.teams_no_auth:
        return [_no_auth(settings), *_uses(settings)]
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as http:
        asked = [_login(http, settings), _keys(http, settings), _way_in(http, settings)]
        asked += [_way_out(http, host) for host in settings.teams_service_hosts if not is_loopback(host)]
        login, keys, way_in, *out = await asyncio.gather(*asked)
    return [login, keys, way_in, *_without_gcc(out), *_uses(settings)]


async def _login(http: aiohttp.ClientSession, settings: Settings) -> Check:
    """Asks for the token that CARE's answers carry."""
    url = f"{settings.teams_login_url}{settings.teams_tenant_id}/oauth2/v2.0/token"
    form = {
        "grant_type": "client_credentials",
        "client_id": settings.teams_app_id or "",
        "client_secret": settings.teams_app_password or "",
        "scope": _SCOPE,
    }
    try:
        async with http.post(url, data=form, allow_redirects=False) as answer:
            status, found = answer.status, inside.parsed(await answer.read())
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return _unreachable("login", settings.teams_login_url, "TEAMS_LOGIN_URL", error)
    if status == HTTPStatus.OK and isinstance(found.get("access_token"), str):
        return passed(SECTION, "login", f"app {settings.teams_app_id} gets its token from tenant {settings.teams_tenant_id}")
    return _refused(status, found)


def _refused(status: int, found: Mapping[str, Any]) -> Check:
    code = _code(found)
    if code is not None and code in _REFUSALS:
        name, what, then = _REFUSALS[code]
        return failed(SECTION, name, f"{what} (AADSTS{code})", then)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
        return failed(SECTION, "login", f"the login server has trouble of its own ({status})", "try again later")
    if code is None:
        return failed(SECTION, "login", f"the login server answers {status} and no token", "see whether TEAMS_LOGIN_URL is right")
    return failed(SECTION, "login", f"refused with AADSTS{code}", f"see https://login.microsoftonline.com/error?code={code}")


def _code(found: Mapping[str, Any]) -> str | None:
    """Entra's number for what is wrong; the answer's text is not shown, it may quote what was sent."""
    codes = found.get("error_codes")
    if isinstance(codes, list) and codes and isinstance(codes[0], int):
        return str(codes[0])
    named = re.match(r"AADSTS(\d{4,9})\b", str(found.get("error_description") or ""))
    return named.group(1) if named else None


async def _keys(http: aiohttp.ClientSession, settings: Settings) -> Check:
    """Whether what comes in can be verified."""
    url, name = settings.teams_openid_url, "keys"
    try:
        metadata = await _get(http, url)
        jwks, issuer = metadata.get("jwks_uri"), metadata.get("issuer")
        if not isinstance(jwks, str) or not isinstance(issuer, str):
            return failed(SECTION, name, f"{url} names no keys", "mend TEAMS_OPENID_URL")
        keys = (await _get(http, jwks)).get("keys")
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return _unreachable(name, url, "TEAMS_OPENID_URL", error)
    if not isinstance(keys, list) or not keys:
        return failed(SECTION, name, f"{jwks} holds no keys", "mend TEAMS_OPENID_URL")
    return passed(SECTION, name, f"{len(keys)} of {issuer}: what comes in can be verified")


async def _get(http: aiohttp.ClientSession, url: str) -> Mapping[str, Any]:
    async with http.get(url, allow_redirects=False) as answer:
        answer.raise_for_status()
        return inside.parsed(await answer.read())


async def _way_out(http: aiohttp.ClientSession, host: str) -> Check:
    """Any answer will do: what is asked for here is no call."""
    try:
        async with http.get(f"https://{host}/", allow_redirects=False):
            return passed(SECTION, host, "can be reached")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        then = "let this machine reach it on port 443 if your Teams is there, or take it out of TEAMS_SERVICE_HOSTS"
        return warned(SECTION, host, f"can't be reached ({type(error).__name__}): answers to it would not leave", then)


def _without_gcc(out: list[Check]) -> list[Check]:
    """The host of Microsoft's GCC is of no use to most: where the others answer, its silence is no warning."""
    if any(check.state != "ok" for check in out if check.name != _GCC) or [check.name for check in out] == [_GCC]:
        return out
    needless = passed(SECTION, _GCC, "can't be reached; needed only if your Teams is in GCC")
    return [needless if check.name == _GCC and check.state != "ok" else check for check in out]


async def _way_in(http: aiohttp.ClientSession, settings: Settings) -> Check:
    """Knocks without a token at the address that Teams posts to: CARE's own refusal shows that everything before it works."""
    if settings.teams_public_url is None:
        detail = f"CARE listens on {settings.host}:{settings.port}; whether Teams can reach it is not known"
        then = f"let a reverse proxy bring https://…{PATH} there, and set TEAMS_PUBLIC_URL to that address: then it is tried"
        return warned(SECTION, "events", detail, then)
    url = settings.teams_public_url.rstrip("/") + ("" if urlsplit(settings.teams_public_url).path.strip("/") else PATH)
    try:
        async with http.post(url, json={}, allow_redirects=False) as answer:
            status, said = answer.status, inside.parsed(await answer.content.read(10_000)).get("error")
    except aiohttp.ClientSSLError as error:
        then = "get a certificate for this name that everybody trusts, with its whole chain (Caddy does it by itself)"
        return failed(SECTION, "events", f"{url}: its TLS is no good ({type(error).__name__})", then)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        then = "mend name (DNS), firewall or proxy; if only this machine can't reach it, leave TEAMS_PUBLIC_URL empty"
        return failed(SECTION, "events", f"{url} can't be reached ({type(error).__name__})", then)
    if status == HTTPStatus.UNAUTHORIZED and isinstance(said, dict) and said.get("message") == _OURS:
        return passed(SECTION, "events", f"{url} leads to CARE, which refuses whoever is not Teams")
    return _not_ours(url, status, settings)


def _not_ours(url: str, status: int, settings: Settings) -> Check:
    """Something else answered."""
    here = f"{settings.host}:{settings.port}"
    if status in (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT):
        if running(settings.home) is None:
            return warned(SECTION, "events", f"{url} answers {status}: CARE is not running", "start it, then run `care doctor` again")
        return failed(SECTION, "events", f"{url} answers {status}: the proxy does not find CARE", f"let it bring {PATH} to {here}")
    what, then = "and CARE would answer 401", f"let the proxy bring {PATH} to {here}, and name that address in TEAMS_PUBLIC_URL"
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        what = "the path is wrong, there or in the proxy"
    elif status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        what, then = "not CARE refuses but something before it", f"let {PATH} through without a login; CARE verifies each request itself"
    elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        what, then = "it leads elsewhere", "write the address that it leads to, there and as the Azure Bot's messaging endpoint"
    return failed(SECTION, "events", f"{url} answers {status}: {what}", then)


def _no_auth(settings: Settings) -> Check:
    detail = f"TEAMS_NO_AUTH=1: whoever reaches {settings.host}:{settings.port} is believed"
    return warned(
        SECTION, "events", detail, "for development only; Teams itself needs TEAMS_APP_ID, TEAMS_APP_PASSWORD and TEAMS_TENANT_ID"
    )


def _uses(settings: Settings) -> list[Check]:
    """What works only once it is set."""
    made = []
    if settings.teams_handover_channel is None:
        made.append(warned(SECTION, "hand-over", "nobody takes over conversations", "set TEAMS_HANDOVER_CHANNEL to the link to a channel"))
    if settings.teams_admin_channel is None:
        made.append(warned(SECTION, "reports", "the nightly report is not posted", "set TEAMS_ADMIN_CHANNEL to the link to a channel"))
    elif not any(operator.startswith("teams:") for operator in settings.operators):
        said = "name them: CARE_OPERATORS=teams:<the person's Object ID in Entra>"
        made.append(warned(SECTION, "operators", "nobody may press Promote or Roll back", said))
    return made


def _unreachable(name: str, url: str, setting: str, error: Exception) -> Check:
    detail = f"{url} can't be reached ({type(error).__name__})"
    return failed(SECTION, name, detail, f"let this machine reach it on port 443, or mend {setting}")
