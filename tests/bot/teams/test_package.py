import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bot.commands.teams import teams
from bot.connectors.teams import package
from bot.connectors.teams.icons import color_icon, outline_icon
from bot.connectors.teams.package import COLOR, FOLLOW_UPS, MANIFEST, OUTLINE, BadPackage, Options
from bot.connectors.words import SUGGESTED_PROMPTS
from tests.bot.teams.conftest import Start
from tests.fakes.teams import ADA, GRACE, SUPPORT

ID = "12345678-90ab-cdef-1234-567890abcdef"
SITE = "https://example.com/care"
GOOD = Options(ID, "Example", SITE, SITE, SITE)
GIVEN = ["package", "--developer", "Example", "--website", SITE]


def files(built: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(built)) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


def zipped(content: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as made:
        for name, each in content.items():
            made.writestr(name, each)
    return written.getvalue()


def run(*arguments: str, folder: Path, **environment: str) -> Result:
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        for name in ("TEAMS_APP_ID", "TEAMS_APP_PASSWORD", "TEAMS_TENANT_ID", "TEAMS_NO_AUTH"):
            patched.delenv(name, raising=False)
        return CliRunner().invoke(teams, list(arguments), env=environment)


line = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40)
path = st.text("abcdefghijklmnopqrstuvwxyz/-", max_size=30)
number = st.integers(0, 10**6)


@settings(max_examples=25, deadline=None)
@given(name=line, full=line, developer=line, path=path, version=st.tuples(number, number, number), follow_ups=st.booleans())
def test_a_package_is_three_files_within_the_limits_and_the_same_each_time(
    name: str, full: str, developer: str, path: str, version: tuple[int, int, int], follow_ups: bool
) -> None:
    site = f"https://example.com/{path}"
    options = Options(ID, developer[:32], site, site, site, name[:30], full, ".".join(map(str, version)), follow_ups)
    built = package.build(package.manifest(options))
    found = files(built)
    assert list(found) == [MANIFEST, COLOR, OUTLINE]
    assert package.build(package.manifest(options)) == built
    assert package.check(built) == package.manifest(options)
    made = json.loads(found[MANIFEST])
    assert len(made["name"]["short"]) <= 30
    assert len(made["description"]["short"]) <= 80
    assert len(made["description"]["full"]) <= 4000
    for listed in made["bots"][0]["commandLists"]:
        titles = [command["title"] for command in listed["commands"]]
        assert len(set(titles)) == len(titles) <= 10
        assert all(len(command["title"]) <= 32 and len(command["description"]) <= 128 for command in listed["commands"])


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=50), st.text(max_size=50), st.text(max_size=10))
def test_whatever_is_given_is_either_a_good_package_or_a_named_fault(name: str, url: str, version: str) -> None:
    faults: list[str] = []
    try:
        package.check(package.build(package.manifest(replace(GOOD, name=name, website=url, version=version))))
    except BadPackage as error:
        faults = error.faults
    assert all(fault.startswith(("--name: ", "--website: ", "--app-version: ")) for fault in faults)


def test_the_icons_are_as_teams_wants_them() -> None:
    with Image.open(io.BytesIO(color_icon())) as color, Image.open(io.BytesIO(outline_icon())) as outline:
        assert (color.format, color.size, color.mode) == ("PNG", (192, 192), "RGB")
        assert (outline.format, outline.size, outline.mode) == ("PNG", (32, 32), "RGBA")
        assert {pixel[:3] for _, pixel in outline.getcolors(32 * 32) or ()} == {(255, 255, 255)}  # type: ignore[index]
        assert outline.getpixel((0, 0)) == (255, 255, 255, 0)
        assert len(color.getcolors(192 * 192) or ()) > 2, "the edges are smooth"
        assert color.getpixel((0, 0)) == color.getpixel((191, 191)) == (0x0B, 0x6E, 0x69)


def test_prompt_starters_and_commands_are_offered_in_every_scope() -> None:
    lists = {each.scopes[0]: [command.title for command in each.commands] for each in package.manifest(GOOD).bots[0].command_lists}
    assert set(lists) == {"personal", "team", "groupChat"}
    starters = [title for title, _ in SUGGESTED_PROMPTS]
    assert all(titles[: len(starters)] == starters for titles in lists.values())
    assert all({"help", "human", "opt out", "forget me"} <= set(titles) for titles in lists.values())
    assert {"new", "export"} <= set(lists["personal"])
    assert "export" not in lists["team"], "what CARE keeps of a person is sent in their own chat only"


@pytest.mark.parametrize("scope", ["personal", "groupChat", "team"])
async def test_every_command_that_is_offered_is_one_and_every_starter_a_question(start: Start, scope: str) -> None:
    listed = next(each for each in package.manifest(GOOD).bots[0].command_lists if each.scopes == [scope])
    starters = {title for title, _ in SUGGESTED_PROMPTS}
    async with start() as care:
        where = {"personal": None, "groupChat": care.teams.group(ADA, GRACE), "team": SUPPORT}[scope]
        for command in listed.commands:
            before = len(care.turns())
            await care.teams.say(ADA if command.title in starters else GRACE, command.title, in_=where)
            await care.idle()
            assert len(care.turns()) - before == (command.title in starters), command.title


def test_files_may_be_sent_because_an_export_is_one() -> None:
    assert package.manifest(GOOD).bots[0].supports_files


def test_messages_without_a_mention_are_asked_for_only_on_demand() -> None:
    plain = package.text(package.manifest(GOOD))
    assert FOLLOW_UPS not in plain
    assert "webApplicationInfo" not in plain
    asked = json.loads(package.text(package.manifest(replace(GOOD, follow_ups=True))))
    assert asked["authorization"]["permissions"]["resourceSpecific"] == [{"name": FOLLOW_UPS, "type": "Application"}]
    assert asked["webApplicationInfo"]["id"] == ID


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "x" * 31}, "--name: has 31 characters, Teams takes 30 at most"),
        ({"full_name": "x" * 101}, "--full-name: has 101 characters"),
        ({"developer": "x" * 33}, "--developer: has 33 characters"),
        ({"developer": ""}, "--developer: must be one line"),
        ({"name": "CA\nRE"}, "--name: must be one line"),
        ({"website": "http://example.com"}, "--website: must be an https:// address"),
        ({"privacy": "https://"}, "--privacy: must be an https:// address"),
        ({"terms": "example.com"}, "--terms: must be an https:// address"),
        ({"version": "1.0"}, "--app-version: must be three numbers"),
        ({"version": "01.0.0"}, "--app-version: must be three numbers"),
        ({"app_id": "care"}, "TEAMS_APP_ID: must be the app registration's id"),
    ],
)
def test_what_teams_would_refuse_is_named_by_its_option(change: dict[str, str], said: str) -> None:
    with pytest.raises(BadPackage, match=re.escape(said)) as refused:
        package.manifest(replace(GOOD, **change))  # type: ignore[arg-type]
    assert len(refused.value.faults) == 1


def small() -> bytes:
    written = io.BytesIO()
    Image.new("RGBA", (31, 32), (255, 255, 255, 0)).save(written, "PNG")
    return written.getvalue()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"more.txt": b""}, "it must be manifest.json"),
        ({MANIFEST: b"{"}, "can't be read"),
        ({MANIFEST: b"[]"}, "manifest.json: "),
        ({MANIFEST: b"{}"}, "bots: Field required"),
        ({COLOR: b"GIF89a"}, "color.png: is no PNG"),
        ({OUTLINE: small()}, "outline.png: is 31 by 32 pixels, it must be 32 by 32"),
        ({COLOR: outline_icon()}, "color.png: is 32 by 32"),
    ],
)
def test_a_damaged_package_is_found_out(change: dict[str, bytes], said: str) -> None:
    content = files(package.build(package.manifest(GOOD)))
    with pytest.raises(BadPackage, match=re.escape(said)):
        package.check(zipped({**content, **change}))


def test_an_outline_in_colour_and_a_transparent_icon_are_refused() -> None:
    content = files(package.build(package.manifest(GOOD)))
    with Image.open(io.BytesIO(content[COLOR])) as color:
        outline, hollow = io.BytesIO(), io.BytesIO()
        color.resize((32, 32)).save(outline, "PNG")
        color.convert("RGBA").resize((192, 192)).putalpha(0)
        Image.new("RGBA", (192, 192)).save(hollow, "PNG")
    with pytest.raises(BadPackage) as refused:
        package.check(zipped({**content, OUTLINE: outline.getvalue(), COLOR: hollow.getvalue()}))
    assert refused.value.faults == ["color.png: must have no transparent pixel", "outline.png: must be white on a transparent ground"]


def test_no_zip_at_all_is_no_package() -> None:
    with pytest.raises(BadPackage, match="can't be read"):
        package.check(b"manifest.json")


def test_the_command_writes_the_package_for_the_app_that_is_set(tmp_path: Path) -> None:
    made = run(*GIVEN, folder=tmp_path, TEAMS_APP_ID=ID.upper(), TEAMS_APP_PASSWORD="secret", TEAMS_TENANT_ID=ID)
    assert made.exit_code == 0, made.output
    assert made.stdout == ""
    assert "admin.teams.microsoft.com" in made.stderr
    assert package.check((tmp_path / "care-teams.zip").read_bytes()) == package.manifest(GOOD)


def test_the_command_needs_no_settings_with_an_id(tmp_path: Path) -> None:
    made = run(*GIVEN, "--app-id", ID, "--output", "own.zip", "--name", "Help", "--follow-ups", folder=tmp_path)
    assert made.exit_code == 0, made.output
    found = package.check((tmp_path / "own.zip").read_bytes())
    assert (found.name.short, found.developer.privacy_url) == ("Help", SITE)
    assert found.authorization is not None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (GIVEN, "set TEAMS_APP_ID"),
        (["package", "--app-id", ID, "--website", SITE], "--developer"),
        ([*GIVEN, "--app-id", ID, "--name", "A name that is too long for Teams"], "--name: has 33 characters"),
        ([*GIVEN, "--app-id", ID, "--website", "ftp://example.com"], "--website: must be an https:// address"),
        ([*GIVEN, "--app-id", "1"], "TEAMS_APP_ID: must be"),
        ([*GIVEN, "--app-id", ID, "--output", "no/where.zip"], "can't be written"),
    ],
)
def test_a_bad_option_ends_with_2_and_writes_nothing(tmp_path: Path, arguments: list[str], said: str) -> None:
    refused = run(*arguments, folder=tmp_path)
    assert refused.exit_code == 2
    assert said in refused.output
    assert list(tmp_path.iterdir()) == []
