"""Who may call: a token whenever one is set, otherwise this machine's own people only. Knows no handler."""

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from aiohttp import web

from bot.settings import Settings, is_loopback

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SESSION_COOKIE = "care_session"
_SESSION_SECONDS = 30 * 24 * 3600
_WRONG_TOKEN_PAUSE = 0.5
_TEAMS = "/api/messages"
# Open to everybody: the probes, what the login form needs, and what verifies signatures of its own.
_OPEN = ("/livez", "/readyz", "/login", "/static/", "/slack/events", _TEAMS)
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_FORWARDED = ("forwarded", "x-forwarded-")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer the login form would send "Origin: null"
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """This caller may not do this."""

    param = None

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Access:
    """The rules for one server."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.token
        self._bound_to_loopback = settings.loopback
        self._believes_anybody = settings.teams_no_auth

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuses who may not call."""
        self._check(request)
        return await handler(request)

    def _check(self, request: web.Request) -> None:
        if self._believes_anybody and request.path.startswith(_TEAMS):
            self._require_local(request)
        elif not request.path.startswith(_OPEN):
            self._require_known(request)
        if request.method not in _SAFE_METHODS:
            _require_same_origin(request)

    def _require_known(self, request: web.Request) -> None:
        if self._token is None:
            self._require_local(request)
        elif not (self._bearer_fits(request) or self._session_fits(request)):
            if request.path == "/":
                raise web.HTTPSeeOther("/login")
            raise Refused(401, "CARE_TOKEN is set: send it as `Authorization: Bearer …`, or log in at /login", "unauthorized")

    def _require_local(self, request: web.Request) -> None:
        forwarded = next((name for name in request.headers if name.lower().startswith(_FORWARDED)), None)
        if forwarded is not None:
            raise Refused(403, f"the request came through a proxy ({forwarded}); set CARE_TOKEN to allow that", "forbidden")
        if not (self._bound_to_loopback and _is_local_peer(request.remote) and is_loopback(_host_name(request.host))):
            raise Refused(403, "without CARE_TOKEN (or with TEAMS_NO_AUTH) only this machine may call, by a loopback name", "forbidden")

    def _bearer_fits(self, request: web.Request) -> bool:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._fits(given.strip())

    def _fits(self, given: str) -> bool:
        return self._token is not None and hmac.compare_digest(given.encode(errors="replace"), self._token.encode())

    def _session_fits(self, request: web.Request) -> bool:
        expires, _, _ = request.cookies.get(SESSION_COOKIE, "").partition(".")
        if not re.fullmatch(r"[0-9]{1,12}", expires) or int(expires) < time.time():
            return False
        given = request.cookies[SESSION_COOKIE].encode(errors="replace")
        return hmac.compare_digest(given, self._session(expires).encode())

    def _session(self, expires: str) -> str:
        """A session that outlives a restart without being kept: its end, signed with the token."""
        signature = hmac.new((self._token or "").encode(), f"care session {expires}".encode(), hashlib.sha256)
        return f"{expires}.{signature.hexdigest()}"

    async def login(self, request: web.Request) -> web.StreamResponse:
        """POST /login: exchanges the token for a session cookie."""
        try:
            form = await request.post()
        except (ValueError, LookupError) as error:
            raise Refused(400, f"the login form can't be read: {error}", "bad_request") from error
        if not self._fits(str(form.get("token", ""))):
            await asyncio.sleep(_WRONG_TOKEN_PAUSE)
            raise web.HTTPSeeOther("/login?wrong=1")
        response = web.Response(status=303, headers={"Location": "/"})
        session = self._session(str(int(time.time()) + _SESSION_SECONDS))
        secure = request.secure or request.headers.get("X-Forwarded-Proto") == "https"
        response.set_cookie(SESSION_COOKIE, session, max_age=_SESSION_SECONDS, httponly=True, samesite="Strict", secure=secure)
        return response


async def harden(request: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`: no answer is to be framed, sniffed or kept."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _require_same_origin(request: web.Request) -> None:
    """A page of another site must not write here with this browser's cookies or through its loopback."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin")
    if site not in ("same-origin", "none") or (origin is not None and origin.partition("://")[2] != request.host):
        raise Refused(403, "the request comes from another site", "forbidden")


def _is_local_peer(remote: str | None) -> bool:
    try:
        return remote is not None and ip_address(remote).is_loopback
    except ValueError:
        return False


def _host_name(host: str) -> str:
    """The name of a Host header without its port; of [::1]:8080 too."""
    return host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
