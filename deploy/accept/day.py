"""What Ada does in a day, step by step, and what must be seen of it: on the page and in the database."""

import asyncio
import contextlib
import json
import sqlite3
import subprocess
import time
import zipfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from bot.notices import OPERATORS, Notice
from bot.store import Store
from bot.turns import now
from deploy.accept.playground import ADA, EXPERTS, GROUP, PERSONAL, SUPPORT, Client, demand, until
from deploy.accept.server import CARE, HOME, TOOLS, Server
from model.manifest import GateResult
from train import draw

SCHEMA = TOOLS / "node_modules/@microsoft/app-manifest/build/json-schemas/teams/v1.17/MicrosoftTeams.schema.json"
VALIDATE: Final = (str(TOOLS / "venv/bin/python"), str(Path(__file__).with_name("schema.py")))
APP_ID: Final = "12345678-90ab-cdef-1234-567890abcdef"
WHY: Final = "Please explain step by step how I set up a new phone, what a SIM card is for and why a phone needs one at all."
COMMENT, WRONG, BETTER = "Exactly what I needed", "Too long and vague", "It says to the network who you are."
TICKET: Final = "Where is my ticket?"
VERDICT: Final = "Promoted: better on the new data, and no worse elsewhere.\n12 rated turns, 9 of them new; 4 minutes of training."
SAID_BY_EXPERT: Final = "Grace here: your ticket is 4711, I call you today."
_ANSWER_SECONDS = 90.0
_COMMAND_SECONDS = 60.0


class Day:
    """What Ada does; each method is a step."""

    def __init__(self, client: Client, server: Server) -> None:
        self.client = client
        self.server = server

    async def package(self) -> None:
        """The app package fits Microsoft's schema, and the check sees one that does not."""
        made, broken = TOOLS / "care-teams.zip", TOOLS / "broken.zip"
        for options in ([], ["--follow-ups"]):
            given = ["--app-id", APP_ID, "--developer", "Example", "--website", "https://example.com", "--output", str(made), *options]
            demand(await _run([str(CARE), "teams", "package", *given]) == 0, "care teams package makes one")
            demand(await _run([*VALIDATE, str(made), str(SCHEMA)]) == 0, "it fits the schema")
        with zipfile.ZipFile(made) as good, zipfile.ZipFile(broken, "w") as bad:
            manifest = json.loads(good.read("manifest.json"))
            bad.writestr("manifest.json", json.dumps({**manifest, "id": "care"}))
        demand(await _run([*VALIDATE, str(broken), str(SCHEMA)]) == 1, "one with a wrong id does not")

    async def welcome(self) -> None:
        """In the first chat: what CARE is, and questions to begin with."""
        await self.client.until_text("I answer support questions")
        for title in ("My internet is down", "Block a lost card", "What can you do?"):  # Teams shows three
            await self.client.page.get_by_role("button", name=title, exact=True).wait_for()
        demand(len(await self.client.replies()) == 1, "one welcome, though Teams tells of the installation twice")

    async def suggested_action(self) -> None:
        """A prompt starter is asked by pressing it."""
        await self.client.press("What can you do?")
        await self._answered("What can you do?")

    async def streaming(self) -> None:
        """The answer grows before it is whole, and is marked as an AI's."""
        before = len(await self.client.replies())
        await self.client.say(WHY)
        seen: list[str] = []

        async def look() -> None:
            replies = await self.client.replies()
            if len(replies) > before and replies[-1] not in seen[-1:]:
                seen.append(replies[-1])
                if len(seen) == 2:
                    await self.client.shot("streaming-grows")

        deadline = time.monotonic() + _ANSWER_SECONDS
        while time.monotonic() < deadline and not rows("SELECT 1 FROM turns WHERE question = ? AND status = 'delivered'", WHY):
            await look()
            await asyncio.sleep(0.1)
        await look()
        answer = await self._answered(WHY)
        demand(len(seen) >= 3, f"the message grew: it was seen {len(seen)} times: {[text[:40] for text in seen]}")
        demand(len(await self.client.replies()) == before + 1, "one message, that grew")
        demand(answer, "an answer in the database")

    async def like(self) -> None:
        """Thumbs up with a comment; the Playground names no message, so it is kept and never trains."""
        said = await self.client.rate("Like", COMMENT)
        demand("Thank you" in said, f"the thumb was taken: {said!r}")
        await row("SELECT 1 FROM unattributed_ratings WHERE user_id = ? AND verdict = 1 AND reason = ?", ADA, COMMENT, what="the like")

    async def dislike(self) -> None:
        """Thumbs down with a comment."""
        said = await self.client.rate("Dislike", WRONG)
        demand("Thank you" in said, f"the thumb was taken: {said!r}")
        await row("SELECT 1 FROM unattributed_ratings WHERE user_id = ? AND verdict = -1 AND reason = ?", ADA, WRONG, what="the dislike")

    async def commands(self) -> None:
        """`help` in words, `new` by the suggestion below an answer."""
        await self.client.press("New conversation")
        await self.client.until_text("A new conversation")
        before = len(await self.client.replies())
        await self.client.say("help")
        await until(self._more_than(before), "an answer to help", 20)
        await self.client.until_text("forget me")
        demand(not rows("SELECT 1 FROM turns WHERE question IN ('help', 'New conversation')"), "commands are no questions")

    async def group(self) -> None:
        """A group chat: one message, by mention, with the AI's label."""
        await self.client.chat(GROUP)
        await self.client.until_text("mention me")
        question = "Which documents do I need?"
        await self.client.say(question, mention=True)
        await self._answered(question)
        await self.client.page.get_by_role("button", name="AI generated").last.wait_for()

    async def channel(self) -> None:
        """A channel: the answer stands in the thread of the post."""
        await self.client.chat(SUPPORT)
        question = "How long is the line today?"
        await self.client.say(question, mention=True, post=True)
        await self._answered(question)
        place = (await row("SELECT conversation_id FROM turns WHERE question = ?", question, what="the post"))[0]
        demand(";messageid=" in place, f"a thread of its own: {place}")

    async def human(self) -> None:
        """A conversation is handed to the experts, as a card in their channel."""
        await self.client.chat(PERSONAL)
        await self.client.say(TICKET)
        await self._answered(TICKET)
        await self.client.say("human")
        await row("SELECT 1 FROM handovers", what="the hand-over", seconds=30)
        await self.client.shot("human-asked")
        await self.client.chat(EXPERTS)
        await self.client.page.get_by_role("button", name="Send to the asker").wait_for()
        await self.client.until_text(TICKET)

    async def report(self) -> None:
        """A night's report comes to the admin channel by itself, as a card with a chart; an operator's Roll back is heard there."""
        night = HOME / "runs" / "accept"
        write_report(night)
        with contextlib.closing(Store(HOME / "care.db")) as store:
            store.notify([Notice("accept", "report", OPERATORS, "", "accept", VERDICT, now(), report=str(night / "report.html"))])
        await self.client.chat(SUPPORT)
        await self.client.until_text("Promoted: better on the new data", 60)
        drawn = self.client.page.locator("img[src^='data:image/png;base64,']").last
        await until(lambda: drawn.evaluate("image => image.complete && image.naturalWidth > 100"), "the chart is drawn", 15)
        await drawn.scroll_into_view_if_needed()
        button = self.client.page.get_by_role("button", name="Roll back…")
        await button.wait_for()
        await self.client.shot("report-chart")
        await button.click()
        await self.client.press("Roll back")
        await self.client.until_text("That did not work")  # the night is made up, and so is its LoRA

    async def restart(self) -> None:
        """The server goes, and another one takes its place."""
        await self.server.stop()
        await self.server.start("card")

    async def proactive(self) -> None:
        """What the expert writes on the card reaches the asker, though the server that knew them is gone."""
        await self.client.fill("Your answer", SAID_BY_EXPERT)
        await self.client.press("Send to the asker")
        await asyncio.sleep(1.0)
        await self.client.shot("sent-to-asker")
        await self.client.chat(PERSONAL)
        await self.client.until_text("your ticket is 4711")
        await self.client.shot("from-the-expert")
        await self.client.chat(EXPERTS)
        await self.client.press("Hand back to CARE")
        await row("SELECT 1 FROM handovers WHERE ended_at IS NOT NULL", what="the end of the hand-over")

    async def card(self) -> None:
        """Where a client has no thumbs a card asks; the vote is of the answer, with reason and correction."""
        await self.client.chat(GROUP)
        question = "What is a SIM card?"
        await self.client.say(question, mention=True)
        turn = (await self._answered(question))[0]
        await self.client.press("👎")
        await row("SELECT 1 FROM ratings WHERE turn_id = ? AND verdict = -1", turn, what="the thumb on the card")
        await self.client.shot("card-pressed")
        await self.client.press("👎 Say what was wrong")
        await self.client.fill("What was wrong?", WRONG)
        await self.client.fill("What should it have said?", BETTER)
        await self.client.shot("card-filled")
        await self.client.press("Send")
        found = "SELECT 1 FROM ratings WHERE turn_id = ? AND verdict = -1 AND reason = ? AND correction = ?"
        await row(found, turn, WRONG, BETTER, what="reason and correction of the card")

    async def forget(self) -> None:
        """`forget me` asks first; then nothing is left."""
        await self.client.chat(PERSONAL)
        await self.client.say("forget me")
        await self.client.page.get_by_role("button", name="Erase everything").wait_for()
        await self.client.shot("forget-asks")
        await self.client.press("Erase everything")

        async def gone() -> bool:
            return not rows("SELECT 1 FROM turns WHERE user_id = ?", ADA) and not rows("SELECT 1 FROM unattributed_ratings")

        await until(gone, "nothing of Ada is left in the database", 60)

    def _more_than(self, before: int) -> Callable[[], Awaitable[bool]]:
        async def look() -> bool:
            return len(await self.client.replies()) > before

        return look

    async def _answered(self, question: str) -> tuple[str, str]:
        """The turn's id and answer, once it is delivered; what stands on the page is the same."""
        what = f"a delivered answer to {question!r}"
        found = "SELECT id, answer FROM turns WHERE question = ? AND status = 'delivered'"
        turn, answer = await row(found, question, what=what, seconds=_ANSWER_SECONDS)
        words = " ".join(answer.replace("*", " ").split())[:12]

        async def shown() -> bool:
            return words in " ".join((await self.client.text()).split())

        await until(shown, f"{words!r} on the page", 15)
        return turn, answer


def write_report(folder: Path) -> None:
    """What a night leaves there, as far as the card shows it."""
    folder.mkdir(parents=True)
    gates = [
        GateResult("better on the new data", -0.31, 0.0, True, (-0.42, -0.2)),
        GateResult("no worse in banking", 0.01, 0.05, True, (-0.03, 0.04)),
        GateResult("no worse in health", 0.02, 0.05, True, (-0.02, 0.05)),
    ]
    draw.card(gates, [], folder / "card.png")
    found = {
        "verdict": "promoted",
        "lora": "2026-11-25-ab12",
        "compared_with": "base",
        "gates": [{"gate": gate.gate, "measured": gate.measured, "limit": gate.limit, "passed": gate.passed} for gate in gates],
        "scores": {
            "base": [{"item": "a", "domain": "banking", "loss": 2.0}, {"item": "b", "domain": "medical", "loss": 1.0}],
            "candidate": [{"item": "a", "domain": "banking", "loss": 1.0}, {"item": "b", "domain": "medical", "loss": 1.5}],
        },
        "samples": {"a": {"base": "Please call somebody.", "candidate": "Block the card in the app."}},
        "questions": {"a": "My card is lost", "b": "How do I prepare for a blood test?"},
        "taught": [{"turn_id": "t", "question": "How do I block my card?"}],
    }
    (folder / "report.json").write_text(json.dumps(found))


async def _run(command: Sequence[str]) -> int | None:
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return await asyncio.wait_for(process.wait(), _COMMAND_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()


def rows(statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Of the database, read beside the server."""
    with contextlib.closing(sqlite3.connect(f"file:{HOME / 'care.db'}?mode=ro", uri=True)) as db:
        return db.execute(statement, values).fetchall()


async def row(statement: str, *values: object, what: str, seconds: float = 15.0) -> tuple[Any, ...]:
    """The last one, once there is one. Raises NotSeen."""

    async def look() -> list[tuple[Any, ...]]:
        return rows(statement, *values)

    return (await until(look, f"{what} in the database", seconds))[-1]
