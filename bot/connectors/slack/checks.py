"""What `care doctor` looks at in Slack: tokens, scopes, the socket or the signing secret, channels. Reads only, posts nothing."""

import asyncio
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.checks import Check, failed, passed, warned
from bot.connectors.slack.errors import TOKEN
from bot.connectors.slack.manifest import APP_SCOPE, PATH, SCOPES
from bot.settings import Settings

SECTION = "slack"
_SECONDS = 10
_REINSTALL = 'renew the app\'s manifest with `care slack manifest`, then reinstall it under "Install App"'
_RENEW_BOT = 'copy the "Bot User OAuth Token" again from "OAuth & Permissions" into SLACK_BOT_TOKEN'
_RENEW_APP = f'make a token with {APP_SCOPE} under "Basic Information", "App-Level Tokens", and set SLACK_APP_TOKEN'

NOTHING_COMES = (
    "ask CARE something there while it runs; if no answer comes, its events are missing: paste `care slack manifest` under "
    '"App Manifest" again'
)


async def checks(settings: Settings) -> list[Check]:
    """All that can be known without posting. Every call has a deadline of ten seconds."""
    client = AsyncWebClient(settings.slack_bot_token, base_url=settings.slack_api_url, timeout=_SECONDS)
    made = await _bot_token(client, settings)
    if made[0].state == "failed":
        return [*made, await _way(client, settings)]
    channels = await asyncio.gather(*(_channel(client, channel, use) for channel, use in _channels(settings)))
    return [*made, await _way(client, settings), *channels, *_uses(settings)]


async def _bot_token(client: AsyncWebClient, settings: Settings) -> list[Check]:
    name = "bot token"
    if not (settings.slack_bot_token or "").startswith("xoxb-"):
        return [failed(SECTION, name, "SLACK_BOT_TOKEN is of another kind", "set the token that begins with xoxb-")]
    try:
        answer = await client.auth_test()
    except SlackApiError as error:
        code = _code(error)
        return [failed(SECTION, name, f"Slack says {code}", _RENEW_BOT if code in TOKEN else "see https://docs.slack.dev, then try again")]
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return [_unreachable(name, settings, error)]
    if not answer.get("bot_id"):
        return [failed(SECTION, name, "belongs to a person, not to the app", _RENEW_BOT)]
    said = passed(SECTION, name, f"valid: {answer.get('user')} in {answer.get('team')} ({answer.get('team_id')})")
    return [said, _scopes(answer.headers)]


def _scopes(headers: Any) -> Check:
    granted = {name.strip() for key, value in headers.items() if key.lower() == "x-oauth-scopes" for name in _flat(value).split(",")}
    if missing := [scope for scope in SCOPES if scope not in granted]:
        return failed(SECTION, "scopes", f"missing: {', '.join(missing)}", _REINSTALL)
    if more := sorted(scope for scope in granted - set(SCOPES) if scope):
        return warned(SECTION, "scopes", f"all there, and unused: {', '.join(more)}", "take away what CARE doesn't use: it is safer")
    return passed(SECTION, "scopes", f"exactly the {len(SCOPES)} that are used")


async def _way(client: AsyncWebClient, settings: Settings) -> Check:
    """How events come in."""
    if settings.slack_app_token is None:
        return _signing_secret(settings)
    if not settings.slack_app_token.startswith("xapp-"):
        return failed(SECTION, "app token", "SLACK_APP_TOKEN is of another kind", "set the token that begins with xapp-")
    try:
        await client.api_call("apps.connections.open", headers={"Authorization": f"Bearer {settings.slack_app_token}"})
    except SlackApiError as error:
        code = _code(error)
        if code == "missing_scope":
            return failed(SECTION, "app token", f"lacks the scope {APP_SCOPE}", _RENEW_APP)
        off = 'switch on "Socket Mode" in the app\'s settings' if "socket" in code else _RENEW_APP
        return failed(SECTION, "app token", f"Slack says {code}", off)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return _unreachable("app token", settings, error)
    return passed(SECTION, "app token", "opens a socket")


def _signing_secret(settings: Settings) -> Check:
    if settings.slack_signing_secret is None:
        return failed(
            SECTION,
            "events",
            "there is neither SLACK_APP_TOKEN (Socket Mode) nor SLACK_SIGNING_SECRET (HTTP)",
            'set one: a token from "App-Level Tokens", or the secret from "Basic Information"',
        )
    if settings.loopback:
        detail = f"over HTTP, and CARE listens on {settings.host}:{settings.port} only"
        return warned(SECTION, "events", detail, f"let a reverse proxy bring https://…{PATH} here; Slack can't reach this address")
    return passed(SECTION, "events", f"over HTTP at {PATH}, verified with the signing secret")


def _channels(settings: Settings) -> list[tuple[str, str]]:
    named = [(channel, "SLACK_CHANNELS") for channel in settings.slack_channels]
    for channel, use in (
        (settings.slack_handover_channel, "SLACK_HANDOVER_CHANNEL"),
        (settings.slack_admin_channel, "SLACK_ADMIN_CHANNEL"),
    ):
        named += [(channel, use)] if channel is not None else []
    return named


async def _channel(client: AsyncWebClient, channel: str, use: str) -> Check:
    name = f"channel {channel}"
    try:
        answer = await client.api_call("conversations.info", http_verb="GET", params={"channel": channel})
    except SlackApiError as error:
        code = _code(error)
        if code == "channel_not_found":
            return failed(SECTION, name, f"({use}) is not there, or private without CARE", f"mend {use}, or /invite @CARE in the channel")
        return failed(SECTION, name, f"({use}) Slack says {code}", _REINSTALL if code == "missing_scope" else f"mend {use}")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return failed(SECTION, name, f"({use}) could not be looked at ({type(error).__name__})", "try again")
    found: dict[str, Any] = answer.get("channel") or {}
    title = f"#{found.get('name')} ({use})"
    if found.get("is_archived"):
        return failed(SECTION, name, f"{title} is archived", f"unarchive it, or name another in {use}")
    if not found.get("is_member"):
        return failed(SECTION, name, f"{title}: CARE is not in it", f"write /invite @CARE in #{found.get('name')}")
    return passed(SECTION, name, title)


def _uses(settings: Settings) -> list[Check]:
    """What works only once it is set."""
    made = []
    if settings.slack_handover_channel is None:
        made.append(warned(SECTION, "hand-over", "nobody takes over conversations", "set SLACK_HANDOVER_CHANNEL to a channel's id"))
    if settings.slack_admin_channel is None:
        made.append(warned(SECTION, "reports", "the nightly report is not posted", "set SLACK_ADMIN_CHANNEL to a channel's id"))
    elif not any(operator.startswith("slack:") for operator in settings.operators):
        made.append(warned(SECTION, "operators", "nobody may press Promote or Roll back", "name them: CARE_OPERATORS=slack:U…"))
    return made


def _unreachable(name: str, settings: Settings, error: Exception) -> Check:
    detail = f"{settings.slack_api_url} can't be reached ({type(error).__name__})"
    return failed(SECTION, name, detail, "let this machine reach it on port 443, or mend SLACK_API_URL")


def _code(error: SlackApiError) -> str:
    try:
        return str(error.response["error"])
    except (KeyError, TypeError):
        return "something that isn't JSON"


def _flat(value: object) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)
