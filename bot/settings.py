"""What an operator can set, and the only reader of the environment. Every fault is reported at once, by variable name."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values

from bot import domains

_GUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


class BadSettings(Exception):
    """One or more settings can't be used; the message has one line for each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, checked. `.env.example` describes each."""

    model: str = "embedded"
    home: Path = Path("var")
    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = field(default=None, repr=False)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    slots: int = 8
    queue: int = 32
    context: int = 2048
    max_tokens: int = 512
    prefix_mb: int = 256
    drain_seconds: int = 20
    operators: tuple[str, ...] = ()
    review: tuple[str, ...] = ("medical", "banking")
    languages: tuple[str, ...] = ("en",)
    names_model: str | None = None
    canary_share: int = 20
    canary_hours: int = 1
    public_data: Path | None = None
    links: tuple[str, ...] = ()
    slack_bot_token: str | None = field(default=None, repr=False)
    slack_app_token: str | None = field(default=None, repr=False)
    slack_signing_secret: str | None = field(default=None, repr=False)
    slack_api_url: str = "https://slack.com/api/"
    slack_channels: tuple[str, ...] = ()
    slack_handover_channel: str | None = None
    slack_admin_channel: str | None = None
    slack_external: bool = False
    slack_sockets: int = 2
    teams_app_id: str | None = None
    teams_app_password: str | None = field(default=None, repr=False)
    teams_tenant_id: str | None = None
    teams_openid_url: str = "https://login.botframework.com/v1/.well-known/openidconfiguration"
    teams_login_url: str = "https://login.microsoftonline.com/"
    teams_service_hosts: tuple[str, ...] = ("smba.trafficmanager.net", "smba.infra.gcc.teams.microsoft.com")
    teams_public_url: str | None = None
    teams_handover_channel: str | None = None
    teams_admin_channel: str | None = None
    teams_feedback: Literal["dialog", "comment", "card"] = "dialog"
    teams_no_auth: bool = False
    log: Literal["auto", "text", "json"] = "auto"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the bind address."""
        return is_loopback(self.host)

    @property
    def teams(self) -> bool:
        """Whether CARE is in Teams."""
        return self.teams_app_id is not None or self.teams_no_auth

    @property
    def database(self) -> Path:
        return self.home / "care.db"

    @property
    def models(self) -> Path:
        return self.home / "models"

    @property
    def loras(self) -> Path:
        return self.home / "loras"

    @property
    def runs(self) -> Path:
        return self.home / "runs"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load(environment: Mapping[str, str], dotenv: Path | None = None) -> Settings:
    """Reads the settings from a `.env` file and the environment, which wins. Raises BadSettings."""
    values = {**_read_dotenv(dotenv), **environment}
    faults: list[str] = []
    parsed: dict[str, object] = {}
    for name, parse in _PARSERS.items():
        raw = values.get(name, "")
        if raw == "":
            continue
        try:
            parsed[field_name(name)] = parse(raw)
        except ValueError as error:
            faults.append(f"{name}={_shown(name, raw)}: {error}")
    settings = Settings(**parsed)  # type: ignore[arg-type]  # each parser gives its field's type
    faults += _contradictions(settings)
    if faults:
        raise BadSettings(faults)
    return settings


def field_name(variable: str) -> str:
    """The field of Settings that an environment variable sets."""
    return variable.removeprefix("CARE_").lower()


def variables() -> tuple[str, ...]:
    """The names of all settings, in the order of `.env.example`."""
    return tuple(_PARSERS)


def unknown(environment: Mapping[str, str], dotenv: Path | None = None) -> list[str]:
    """CARE_, SLACK_ and TEAMS_ variables that set nothing, most likely misspelt."""
    given = {**_read_dotenv(dotenv), **environment}
    return sorted(name for name in given if name.startswith(("CARE_", "SLACK_", "TEAMS_")) and name not in _PARSERS)


def _read_dotenv(path: Path | None) -> dict[str, str]:
    if path is None or not path.is_file():
        return {}
    try:
        return {name: value for name, value in dotenv_values(path).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings([f"{path}: can't be read ({error}); mend or remove it"]) from error


def _contradictions(settings: Settings) -> list[str]:
    faults = []
    if not settings.loopback and settings.token is None:
        faults.append(f"CARE_HOST={settings.host!r}: is reachable from other machines, so CARE_TOKEN must be set (or bind 127.0.0.1)")
    if settings.public_data is not None and not settings.public_data.is_dir():
        faults.append(f"CARE_PUBLIC_DATA={str(settings.public_data)!r}: is no folder; name the one with train/, or leave it empty")
    if settings.max_tokens >= settings.context:
        faults.append(f"CARE_MAX_TOKENS={settings.max_tokens}: must be smaller than CARE_CONTEXT ({settings.context})")
    return faults + _slack_contradictions(settings) + _teams_contradictions(settings)


def _slack_contradictions(settings: Settings) -> list[str]:
    """Without a signing secret nobody could tell Slack's events from anybody's."""
    if settings.slack_bot_token is not None:
        if settings.slack_app_token is None and settings.slack_signing_secret is None:
            return ["SLACK_SIGNING_SECRET: must be set, or SLACK_APP_TOKEN for Socket Mode; both stand in the app's Basic Information"]
        return []
    named = {"SLACK_APP_TOKEN": settings.slack_app_token, "SLACK_SIGNING_SECRET": settings.slack_signing_secret}
    return [
        f"{name}=(hidden): is of no use without SLACK_BOT_TOKEN; set it too, or leave {name} empty"
        for name, value in named.items()
        if value is not None
    ]


def _teams_contradictions(settings: Settings) -> list[str]:
    """Without an app id the SDK would believe anybody, and without a tenant it would serve everybody's."""
    named = {
        "TEAMS_APP_ID": settings.teams_app_id,
        "TEAMS_APP_PASSWORD": settings.teams_app_password,
        "TEAMS_TENANT_ID": settings.teams_tenant_id,
    }
    missing = [name for name, value in named.items() if value is None]
    faults = []
    if missing and len(missing) < len(named):
        faults = [f"{name}: must be set too; {', '.join(named)} belong together" for name in missing]
    if settings.teams_no_auth and not settings.loopback:
        faults.append(f"TEAMS_NO_AUTH=1: takes messages from anybody, so CARE_HOST must be 127.0.0.1 (it is {settings.host!r})")
    if settings.teams_no_auth and settings.teams_app_id is not None:
        faults.append("TEAMS_NO_AUTH=1: and TEAMS_APP_ID exclude each other; with an app id requests are verified")
    return faults


def _shown(name: str, raw: str) -> str:
    return "(hidden)" if name.endswith(("_TOKEN", "_SECRET", "_PASSWORD")) else repr(raw if len(raw) <= 80 else f"{raw[:80]}…")


def _text(raw: str) -> str:
    if not raw.isprintable() or raw != raw.strip():
        raise ValueError("holds control characters or outer spaces; remove them")
    return raw


def _path(raw: str) -> Path:
    try:
        return Path(_text(raw)).expanduser()
    except RuntimeError as error:
        raise ValueError("names the home of somebody unknown; write the whole path") from error


def _host(raw: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", raw):
        raise ValueError("is no host name or address; use for example 127.0.0.1 or 0.0.0.0")
    return raw


def _token(raw: str) -> str:
    if not raw.isascii() or not raw.isprintable() or " " in raw:
        raise ValueError("must be printable ASCII without spaces; make one with `openssl rand -hex 24`")
    return raw


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,9}", raw.strip()) or not low <= int(raw) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(raw)

    return parse


def _people(raw: str) -> tuple[str, ...]:
    found = tuple(each.strip() for each in raw.split(",") if each.strip())
    wrong = [each for each in found if not re.fullmatch(r"[a-z]+:\S+", each)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no platform:user; write for example slack:U024BE7LH,cli:ada")
    return tuple(each.lower() if re.fullmatch(rf"teams:{_GUID}", each) else each for each in found)


def _domains(raw: str) -> tuple[str, ...]:
    known = (*domains.load().words, domains.OTHER)
    if raw.strip() == "none":
        return ()
    found = tuple(each.strip() for each in raw.split(","))
    if unheard := [each for each in found if each not in known]:
        raise ValueError(f"{unheard[0]!r} is no domain; name some of {', '.join(known)}, or none")
    return found


def _languages(raw: str) -> tuple[str, ...]:
    found = tuple(each.strip() for each in raw.split(","))
    if not all(re.fullmatch(r"[a-z]{2}", each) for each in found):
        raise ValueError("must be two-letter codes, for example en,de")
    return found


def _yes(raw: str) -> bool:
    if raw not in ("yes", "no"):
        raise ValueError("must be yes or no")
    return raw == "yes"


def _hosts(raw: str) -> tuple[str, ...]:
    found = tuple(each.strip().lower() for each in raw.split(",") if each.strip())
    if wrong := [each for each in found if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?", each)]:
        raise ValueError(f"{wrong[0]!r} is no host; write for example help.example.com,status.example.com")
    return found


def _no_ports(raw: str) -> tuple[str, ...]:
    found = _hosts(raw)
    if wrong := [each for each in found if ":" in each]:
        raise ValueError(f"{wrong[0]!r} has a port; write the host alone")
    return found


def _guid(raw: str) -> str:
    if not re.fullmatch(_GUID, raw.strip()):
        raise ValueError("is no id of Entra's; copy it from the app registration, for example 12345678-90ab-cdef-1234-567890abcdef")
    return raw.strip().lower()


def _secret(raw: str) -> str:
    if not raw.isascii() or not raw.isprintable() or raw != raw.strip():
        raise ValueError("must be printable ASCII; copy the secret's Value, not its id")
    return raw


def _teams_channel(raw: str) -> str:
    found = re.search(r"19(?::|%3[aA])[^/?;&\s]+?(?:@|%40)(?:thread\.(?:tacv2|skype|v2))", raw)
    if found is None:
        raise ValueError('names no channel; paste the address that "Get link to channel" copies, or the 19:…@thread.tacv2 in it')
    return unquote(found.group(0))


def _url(raw: str) -> str:
    parts = urlsplit(raw)
    if (parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or ""))) or not parts.hostname:
        raise ValueError("must begin with https:// (http:// only for this machine)")
    return raw


def _one(raw: str) -> bool:
    if raw not in ("0", "1"):
        raise ValueError("must be 1, or empty")
    return raw == "1"


def _slack_token(kind: str, where: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        # Tokens that rotate have "xoxe." before their kind.
        if not _token(raw).removeprefix("xoxe.").startswith(kind):
            raise ValueError(f"must begin with {kind}; copy it from the app's page, {where}")
        return raw

    return parse


def _channel(raw: str) -> str:
    if not re.fullmatch(r"[CGD][A-Z0-9]{2,20}", raw.strip()):
        raise ValueError(f"{raw!r} is no channel id; it stands at the end of the channel's details, for example C024BE91L")
    return raw.strip()


def _channels(raw: str) -> tuple[str, ...]:
    return tuple(_channel(each) for each in raw.split(",") if each.strip())


def _base_url(raw: str) -> str:
    return raw if _url(raw).endswith("/") else f"{raw}/"


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if raw not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return raw

    return parse


_PARSERS: Mapping[str, Callable[[str], object]] = {
    "CARE_MODEL": _text,
    "CARE_HOME": _path,
    "CARE_HOST": _host,
    "CARE_PORT": _whole(0, 65535),
    "CARE_TOKEN": _token,
    "CARE_DEVICE": _one_of("auto", "cpu", "cuda"),
    "CARE_SLOTS": _whole(1, 256),
    "CARE_QUEUE": _whole(0, 10_000),
    "CARE_CONTEXT": _whole(256, 131_072),
    "CARE_MAX_TOKENS": _whole(1, 32_768),
    "CARE_PREFIX_MB": _whole(0, 1_048_576),
    "CARE_DRAIN_SECONDS": _whole(0, 600),
    "CARE_OPERATORS": _people,
    "CARE_REVIEW": _domains,
    "CARE_LANGUAGES": _languages,
    "CARE_NAMES_MODEL": _text,
    "CARE_CANARY_SHARE": _whole(1, 100),
    "CARE_CANARY_HOURS": _whole(0, 720),
    "CARE_PUBLIC_DATA": _path,
    "CARE_LINKS": _hosts,
    "SLACK_BOT_TOKEN": _slack_token("xoxb-", "OAuth & Permissions"),
    "SLACK_APP_TOKEN": _slack_token("xapp-", "Basic Information, App-Level Tokens"),
    "SLACK_SIGNING_SECRET": _token,
    "SLACK_API_URL": _base_url,
    "SLACK_CHANNELS": _channels,
    "SLACK_HANDOVER_CHANNEL": _channel,
    "SLACK_ADMIN_CHANNEL": _channel,
    "SLACK_EXTERNAL": _yes,
    "SLACK_SOCKETS": _whole(1, 10),
    "TEAMS_APP_ID": _guid,
    "TEAMS_APP_PASSWORD": _secret,
    "TEAMS_TENANT_ID": _guid,
    "TEAMS_OPENID_URL": _url,
    "TEAMS_LOGIN_URL": _base_url,
    "TEAMS_SERVICE_HOSTS": _no_ports,
    "TEAMS_PUBLIC_URL": _url,
    "TEAMS_HANDOVER_CHANNEL": _teams_channel,
    "TEAMS_ADMIN_CHANNEL": _teams_channel,
    "TEAMS_FEEDBACK": _one_of("dialog", "comment", "card"),
    "TEAMS_NO_AUTH": _one,
    "CARE_LOG": _one_of("auto", "text", "json"),
}

assert {field_name(variable) for variable in _PARSERS} == {entry.name for entry in fields(Settings)}
