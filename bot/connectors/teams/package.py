"""The package that makes CARE a Teams app: manifest, two icons, zipped, and checked as Teams would. Pure; asks nobody.

The shape is Microsoft's schema 1.17 (learn.microsoft.com/microsoft-365/extensibility/schema), which older tenants know too. From 1.27 on a
command may have a type, `prompt`, and a text of its own; in this one its title is all that reaches the composer. `make accept-teams`
checks the manifest against the schema itself.
"""

import io
import json
import zipfile
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from PIL import Image, UnidentifiedImageError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from bot.connectors.teams.icons import ACCENT, COLOR_SIZE, OUTLINE_SIZE, color_icon, outline_icon
from bot.connectors.words import SUGGESTED_PROMPTS

MANIFEST, COLOR, OUTLINE = "manifest.json", "color.png", "outline.png"
SCHEMA: Final = "https://developer.microsoft.com/json-schemas/teams/v1.17/MicrosoftTeams.schema.json"
# With it Teams delivers what is said in a team without a mention as well, and people go on in a thread, once they asked there.
FOLLOW_UPS: Final = "ChannelMessage.Read.Group"

_SHORT = "Support that learns every night from what you think of its answers"
_LONG = (
    "CARE answers support questions from a language model that runs on your own machine. Write to it in a chat of your own, or mention it "
    "in a group chat or a channel. Rate its answers and say what they should have been: every night it learns from that, and what it "
    "learned is put to the test before it answers anybody. Ask for a person at any time. It is a machine and can be wrong; in an "
    "emergency call the emergency services."
)
_HELP = ("help", "What CARE can do")
_NEW = ("new", "Begin a new conversation")
_HUMAN = ("human", "Talk to a person")
_EXPORT = ("export", "Get all that CARE keeps of you")
_STATUS = ("status", "How CARE is doing")
_OPT_OUT = ("opt out", "Nothing of yours is learned from any more")
_FORGET = ("forget me", "Erase all that CARE keeps of you")
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold: the same options make the same bytes
_READABLE = 0o644 << 16


class BadPackage(ValueError):
    """What Teams would refuse: a fault a line."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _https(url: str) -> str:
    if not url.startswith("https://") or not url[8:].partition("/")[0].strip(".") or not url.isprintable() or " " in url:
        raise ValueError("must be an https:// address, for example https://care.example.com/privacy")
    return url


def _printable(text: str) -> str:
    if not text.strip() or text != text.strip() or not text.isprintable():
        raise ValueError("must be one line of text without outer spaces")
    return text


Url = Annotated[str, StringConstraints(max_length=2048), AfterValidator(_https)]
Guid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$")]
Version = Annotated[str, StringConstraints(max_length=256, pattern=r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$")]
Scope = Literal["personal", "team", "groupChat"]
_Line = AfterValidator(_printable)


class _Part(BaseModel):
    """What every part of the manifest has in common: strict types, nothing unknown, Microsoft's names."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Developer(_Part):
    name: Annotated[str, StringConstraints(max_length=32), _Line]
    website_url: Url
    privacy_url: Url
    terms_of_use_url: Url


class Name(_Part):
    short: Annotated[str, StringConstraints(max_length=30), _Line]
    full: Annotated[str, StringConstraints(max_length=100), _Line]


class Description(_Part):
    short: Annotated[str, StringConstraints(max_length=80), _Line]
    full: Annotated[str, StringConstraints(min_length=1, max_length=4000)]


class Icons(_Part):
    color: Literal["color.png"]
    outline: Literal["outline.png"]


class Command(_Part):
    """Chosen from the menu, its title is what stands in the composer."""

    title: Annotated[str, StringConstraints(max_length=32), _Line]
    description: Annotated[str, StringConstraints(max_length=128), _Line]


class CommandList(_Part):
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=1)]
    commands: Annotated[list[Command], Field(min_length=1, max_length=10)]


class Bot(_Part):
    bot_id: Guid
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=3)]
    supports_files: bool
    is_notification_only: bool = False
    command_lists: Annotated[list[CommandList], Field(max_length=3)]


class WebApplication(_Part):
    id: Guid
    resource: Annotated[str, StringConstraints(max_length=2048)]


class Permission(_Part):
    name: Annotated[str, StringConstraints(max_length=128)]
    type: Literal["Application"] = "Application"


class Permissions(_Part):
    resource_specific: Annotated[list[Permission], Field(max_length=16)]


class Authorization(_Part):
    permissions: Permissions


class Manifest(_Part):
    """Of schema 1.17, what CARE uses of it."""

    schema_: Annotated[
        Literal["https://developer.microsoft.com/json-schemas/teams/v1.17/MicrosoftTeams.schema.json"], Field(alias="$schema")
    ]
    manifest_version: Literal["1.17"]
    version: Version
    id: Guid
    developer: Developer
    name: Name
    description: Description
    icons: Icons
    accent_color: Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
    bots: Annotated[list[Bot], Field(min_length=1, max_length=1)]
    permissions: list[Literal["identity", "messageTeamMembers"]]
    valid_domains: Annotated[list[str], Field(max_length=16)]
    default_install_scope: Scope
    web_application_info: WebApplication | None = None
    authorization: Authorization | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What an operator decides; `app_id` is that of the app registration, which is the bot's too."""

    app_id: str
    developer: str
    website: str
    privacy: str
    terms: str
    name: str = "CARE"
    full_name: str = "CARE, support that learns from its ratings"
    version: str = "1.0.0"
    follow_ups: bool = False


# Where an option ends up, to name it in a fault.
_OPTIONS: Final = {
    ("id",): "TEAMS_APP_ID",
    ("bots", "0", "botId"): "TEAMS_APP_ID",
    ("webApplicationInfo", "id"): "TEAMS_APP_ID",
    ("version",): "--app-version",
    ("developer", "name"): "--developer",
    ("developer", "websiteUrl"): "--website",
    ("developer", "privacyUrl"): "--privacy",
    ("developer", "termsOfUseUrl"): "--terms",
    ("name", "short"): "--name",
    ("name", "full"): "--full-name",
}
_FORMS: Final = {
    "--app-version": "must be three numbers, for example 1.0.1",
    "TEAMS_APP_ID": "must be the app registration's id, for example 12345678-90ab-cdef-1234-567890abcdef",
}


def manifest(options: Options) -> Manifest:
    """Raises BadPackage, with every fault at once."""
    app_id = options.app_id.strip().lower()
    reading = {
        "webApplicationInfo": {"id": app_id, "resource": f"api://botid-{app_id}"},
        "authorization": {"permissions": {"resourceSpecific": [{"name": FOLLOW_UPS}]}},
    }
    return parse(
        {
            "$schema": SCHEMA,
            "manifestVersion": "1.17",
            "version": options.version,
            "id": app_id,
            "developer": {
                "name": options.developer,
                "websiteUrl": options.website,
                "privacyUrl": options.privacy,
                "termsOfUseUrl": options.terms,
            },
            "name": {"short": options.name, "full": options.full_name},
            "description": {"short": _SHORT, "full": _LONG},
            "icons": {"color": COLOR, "outline": OUTLINE},
            "accentColor": ACCENT,
            "bots": [_bot(app_id)],
            "permissions": ["identity", "messageTeamMembers"],
            "validDomains": [],  # CARE shows no page of its own inside Teams
            "defaultInstallScope": "personal",
            **(reading if options.follow_ups else {}),
        }
    )


def _bot(app_id: str) -> dict[str, Any]:
    """At most ten commands a scope: the prompt starters, then what people look for most; `help` tells the rest."""
    starters = [(title, message) for title, message in SUGGESTED_PROMPTS]
    lists = {
        "personal": [*starters, _HELP, _NEW, _HUMAN, _EXPORT, _OPT_OUT, _FORGET],
        "groupChat": [*starters, _HELP, _NEW, _HUMAN, _STATUS, _OPT_OUT, _FORGET],
        "team": [*starters, _HELP, _HUMAN, _STATUS, _OPT_OUT, _FORGET],  # in a channel each post begins a conversation of its own
    }
    return {
        "botId": app_id,
        "scopes": list(lists),
        "supportsFiles": True,  # else Teams shows no consent to `export`'s file
        "isNotificationOnly": False,
        "commandLists": [
            {"scopes": [scope], "commands": [{"title": title, "description": said} for title, said in commands]}
            for scope, commands in lists.items()
        ],
    }


def parse(found: object) -> Manifest:
    """A manifest as JSON values. Raises BadPackage."""
    try:
        return Manifest.model_validate(found)
    except ValidationError as error:
        raise BadPackage(list(dict.fromkeys(_fault(each["loc"], each) for each in error.errors()))) from error


def _fault(where: tuple[int | str, ...], error: Any) -> str:
    name = _OPTIONS.get(tuple(str(step) for step in where), ".".join(map(str, where)) or MANIFEST)
    said = _FORMS.get(name)
    if error["type"] == "string_too_long":
        said = f"has {len(error['input'])} characters, Teams takes {error['ctx']['max_length']} at most"
    said = said or error["msg"].removeprefix("Value error, ")
    return f"{name}: {said}" + (f" (it is {error['input']!r})" if isinstance(error["input"], str) and len(error["input"]) <= 80 else "")


def text(made: Manifest) -> str:
    """The manifest as it stands in the package."""
    return json.dumps(made.model_dump(mode="json", by_alias=True, exclude_none=True), indent=2, ensure_ascii=False) + "\n"


def build(made: Manifest) -> bytes:
    """The zip; the same manifest makes the same bytes."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as package:
        for name, content in ((MANIFEST, text(made).encode()), (COLOR, color_icon()), (OUTLINE, outline_icon())):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, _READABLE
            package.writestr(entry, content)
    return written.getvalue()


def check(package: bytes) -> Manifest:
    """Reads a package as Teams does and says what is in it. Raises BadPackage."""
    try:
        with zipfile.ZipFile(io.BytesIO(package)) as opened:
            files = {name: opened.read(name) for name in opened.namelist()}
        if sorted(files) != sorted((MANIFEST, COLOR, OUTLINE)):
            raise BadPackage([f"the package holds {', '.join(sorted(files)) or 'nothing'}; it must be {MANIFEST}, {COLOR} and {OUTLINE}"])
        made = parse(json.loads(files[MANIFEST]))
    except (zipfile.BadZipFile, ValueError) as error:
        raise error if isinstance(error, BadPackage) else BadPackage([f"the package can't be read ({error})"]) from error
    if faults := [*_icon_faults(COLOR, files[COLOR], COLOR_SIZE), *_icon_faults(OUTLINE, files[OUTLINE], OUTLINE_SIZE)]:
        raise BadPackage(faults)
    return made


def _icon_faults(name: str, content: bytes, size: int) -> list[str]:
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as icon:
            pixels = icon.convert("RGBA")
    except (UnidentifiedImageError, OSError) as error:
        return [f"{name}: is no PNG ({error})"]
    if pixels.size != (size, size):
        return [f"{name}: is {pixels.width} by {pixels.height} pixels, it must be {size} by {size}"]
    red, green, blue, alpha = (band.getextrema() for band in pixels.split())
    if name == OUTLINE and ((red, green, blue) != (((255, 255),) * 3) or alpha != (0, 255)):
        return [f"{name}: must be white on a transparent ground"]
    return [f"{name}: must have no transparent pixel"] if name == COLOR and alpha != (255, 255) else []
