"""Microsoft's Agents Playground: started with our people and channels, its page driven as a person would. Knows nothing of CARE's data.

Only its page is used. It shows what Teams shows, and checks no token; thumbs below a message that was updated in place, file consent and
deletion it does not know.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import aiohttp
from playwright.async_api import Locator, Page

T = TypeVar("T")

CLI: Final = "node_modules/@microsoft/m365agentsplayground/cli.js"
ADA: Final = "29:ada"
PERSONAL: Final = "Personal Chat"  # the Playground's own name for it
GROUP: Final = "Family"
SUPPORT, EXPERTS = "General", "Experts"  # it has one channel more than General, and no more
SUPPORT_ID, EXPERTS_ID = "19:general@thread.tacv2", "19:experts@thread.tacv2"
_TENANT: Final = "7a0e4d5c-0000-4000-8000-000000000001"
_PEOPLE: Final = (
    "Ada Lovelace",
    "Grace Hopper",
    "Linus Berg",
    "Barbara Ruiz",
    "Edsger Kuiper",
    "Radia Olsen",
)  # it wants five others at least
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_LOOK_SECONDS = 0.15


class NotSeen(AssertionError):
    """What should have been on the page, or in the database, is not."""


def demand(so: object, what: str) -> None:
    """Raises NotSeen."""
    if not so:
        raise NotSeen(what)


def config() -> str:
    """Its configuration: YAML, of which JSON is a part. Ids have Teams' shapes."""

    def person(number: int) -> dict[str, str]:
        first, last = _PEOPLE[number].split()
        mail = f"{first.lower()}@example.com"
        return {
            "id": f"29:{first.lower()}",
            "name": _PEOPLE[number],
            "userPrincipleName": mail,
            "aadObjectId": f"7a0e4d5c-0000-4000-8000-0000000000a{number}",
            "givenName": first,
            "surname": last,
            "email": mail,
        }

    team = {
        "id": SUPPORT_ID,
        "name": "Help desk",
        "aadGroupId": "7a0e4d5c-0000-4000-8000-0000000000c1",
        "channels": [{"id": EXPERTS_ID, "name": EXPERTS}],
    }
    return json.dumps(
        {
            "version": "0.1.1",
            "tenantId": _TENANT,
            "bot": {"id": "28:care", "name": "CARE"},
            "currentUser": person(0),
            "users": [person(number) for number in range(1, len(_PEOPLE))],
            "personalChat": {"id": "a:ada"},
            "groupChat": {"id": "19:family@thread.v2", "name": GROUP},
            "team": team,
        }
    )


@contextlib.asynccontextmanager
async def playground(tools: Path, endpoint: str) -> AsyncIterator[str]:
    """Runs it; gives the address of its page."""
    port = _free_port()
    (tools / "playground.yml").write_text(config())
    environment = {
        **os.environ,
        "APPLICATION_INSIGHTS_NO_STATSBEAT": "1",
        "M365_AGENTS_PLAYGROUND_CONFIG_PATH": str(tools / "playground.yml"),
        "M365_AGENTS_PLAYGROUND_LOGFILE": str(tools / "playground.log"),
    }
    command = ["node", str(tools / CLI), "start", "-e", endpoint, "-c", "msteams", "-p", str(port), "--dt"]
    with (tools / "playground.out").open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, cwd=tools, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        await _ready(process, url, tools)
        yield url
    finally:
        await stop(process, _STOP_SECONDS)


async def stop(process: asyncio.subprocess.Process, seconds: float) -> int | None:
    """SIGTERM, and SIGKILL when that is not enough; the exit code."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), seconds)
    if process.returncode is None:
        process.kill()
        await process.wait()
    return process.returncode


async def _ready(process: asyncio.subprocess.Process, url: str, tools: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
        while time.monotonic() < deadline and process.returncode is None:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with http.get(f"{url}/_internal/v1/config") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.3)
    raise NotSeen(f"the Playground did not start; see {tools / 'playground.log'} and {tools / 'playground.out'}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(look: Callable[[], Awaitable[T]], what: str, seconds: float) -> T:
    """What `look` gives once it is true. Raises NotSeen."""
    deadline = time.monotonic() + seconds
    while True:
        found = await look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise NotSeen(f"not within {seconds:.0f} s: {what}")
        await asyncio.sleep(_LOOK_SECONDS)


class Client:
    """The page, as Ada uses it."""

    def __init__(self, page: Page, shots: Path) -> None:
        self.page = page
        self._shots = shots
        self._count = 0
        page.set_default_timeout(15_000)

    async def open(self, url: str) -> None:
        await self.page.goto(url)
        await self._box().wait_for()
        await self.page.get_by_role("button", name="Hide log panel").click()

    async def shot(self, name: str) -> None:
        """A picture of what stands there."""
        self._count += 1
        await self.page.screenshot(path=str(self._shots / f"{self._count:02d}-{name}.png"))

    async def chat(self, name: str) -> None:
        """Goes there: a chat, or a channel of the team."""
        await self.page.get_by_role("treeitem", name=name).click()
        await self._box().wait_for()
        await asyncio.sleep(0.5)  # the page moves in

    async def say(self, text: str, *, mention: bool = False, post: bool = False) -> None:
        """Types and sends; `post` in a channel."""
        await self._box().click()
        if mention:
            await self.page.keyboard.type("@CAR")
            await self.page.get_by_role("menuitem").first.click()
            await self.page.keyboard.type(" ")
        await self.page.keyboard.type(text)
        if post:
            await self.page.get_by_role("button", name="Post", exact=True).click()
        else:
            await self.page.keyboard.press("Enter")

    def _box(self) -> Locator:
        return self.page.locator("[role=textbox][data-lexical-editor=true]").first

    async def replies(self) -> Sequence[str]:
        """What CARE wrote in this chat, the oldest first."""
        return await self.page.locator(".fai-OutputCard").all_inner_texts()

    async def text(self) -> str:
        """All that can be read."""
        return await self.page.locator("body").inner_text()

    async def until_text(self, words: str, seconds: float = 20.0) -> None:
        """Until these words can be read somewhere."""

        async def look() -> bool:
            return words in await self.text()

        await until(look, f"{words!r} on the page", seconds)

    async def press(self, title: str) -> None:
        """The last button with this title."""
        await self.page.get_by_role("button", name=title, exact=True).last.click()

    async def fill(self, label: str, text: str) -> None:
        """The last field with this label. As a person does: the pointer goes there first, and the page draws a card anew when it comes."""
        field = self.page.get_by_label(label).last
        await field.hover()
        await asyncio.sleep(0.5)
        await field.fill(text)

    async def rate(self, thumb: str, comment: str) -> str:
        """Thumb, comment, Submit; what the page says then."""
        await self.page.get_by_label(thumb, exact=True).last.click()
        dialog = self.page.get_by_role("dialog")
        await dialog.locator("textarea").fill(comment)
        await asyncio.sleep(0.5)  # the dialog moves in
        await self.shot(f"{thumb.lower()}-dialog")
        await dialog.get_by_role("button", name="Submit").click()
        await dialog.get_by_role("button", name="close").last.wait_for()
        said = await dialog.inner_text()
        await dialog.get_by_role("button", name="close").last.click()
        await dialog.wait_for(state="hidden")
        return said
