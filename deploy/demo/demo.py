"""`make demo`: a day of people asking, rating and correcting, the night after it, and the proof that the corrections did it.

Everything goes through the surfaces that people and operators use: /v1/chat/completions, /api/ratings, /readyz, and the commands
`care serve`, `care review`, `care nightly`, `care eval`, `care loras`. State lies in its own CARE_HOME (`var/demo`), made anew by each run.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
import click

HERE = Path(__file__).parent
CARE = Path(sys.executable).with_name("care")
HOME = Path("var/demo").resolve()
MODELS = Path("var/models").resolve()
REVIEWER = "cli:lead"
_WAIT_SECONDS = 300
_ROUNDS = 5
_STREAMS = 8
_FIGURE = re.compile(r"[A-Z]+-?\d+|\d[\d.:]*\d|\d")


def say(text: str, **style: object) -> None:
    click.secho(f"{time.strftime('%H:%M:%S')}  {text}", **style)


def environment(home: Path) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CARE_")}
    return {**kept, "CARE_HOME": str(home), "CARE_PORT": "0", "CARE_MAX_TOKENS": "96", "CARE_CANARY_HOURS": "0"}


class Server:
    """A `care serve` of our own."""

    def __init__(self, home: Path) -> None:
        self._log = (home / "serve.log").open("ab")
        self._process = subprocess.Popen([CARE, "serve"], env=environment(home), stdout=subprocess.PIPE, stderr=self._log, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().split()[-1]

    async def ready(self, session: aiohttp.ClientSession) -> dict[str, object]:
        """Waits until it answers; what /readyz says then."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline:
            async with session.get("/readyz") as response:
                if response.status == 200:
                    told: dict[str, object] = await response.json()
                    return told
            await asyncio.sleep(0.5)
        raise TimeoutError(f"care serve is not ready after {_WAIT_SECONDS} s; see {HOME}/serve.log")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)


async def ask(session: aiohttp.ClientSession, question: str, **fields: object) -> dict[str, object]:
    """A completion: its turn's id, its text and its size in tokens."""
    body = {"model": "care", "messages": [{"role": "user", "content": question}], **fields}
    async with session.post("/v1/chat/completions", json=body) as response:
        told = await response.json()
        assert response.status == 200, told
    return {"id": told["id"], "text": told["choices"][0]["message"]["content"], "tokens": told["usage"]["completion_tokens"]}


async def rate(session: aiohttp.ClientSession, turn_id: object, person: str, verdict: int, **said: object) -> None:
    body = {"turn_id": turn_id, "user_id": person, "verdict": verdict, **said}
    async with session.post("/api/ratings", json=body) as response:
        assert response.status == 200, await response.text()


async def spend_the_day(session: aiohttp.ClientSession, day: Mapping[str, list]) -> int:
    """Everybody asks at once, reads, and says what they think; how many questions that were."""

    async def one(number: int, person: str, question: str, verdict: int, said: Mapping[str, object]) -> None:
        async with places:
            told = await ask(session, question, user=person, metadata={"conversation_id": f"day/{number}/{person}"})
        await rate(session, told["id"], person, verdict, **said)

    places = asyncio.Semaphore(_STREAMS)
    asked = [
        (each["person"], each["question"], -1, {"correction": each["correction"], "reason": each.get("reason")})
        for fact in day["facts"]
        for each in fact["asked"]
    ]
    asked += [(each["person"], each["question"], each["verdict"], {"reason": each.get("reason")}) for each in day["small_talk"]]
    await asyncio.gather(*(one(number, *each) for number, each in enumerate(asked)))
    return len(asked)


def people(day: Mapping[str, list]) -> set[str]:
    """Everybody who asked."""
    return {each["person"] for fact in day["facts"] for each in fact["asked"]} | {each["person"] for each in day["small_talk"]}


async def tokens_a_second(session: aiohttp.ClientSession) -> float:
    """One round of streams that start together."""
    began = time.monotonic()
    told = await asyncio.gather(*(ask(session, f"Tell me about router number {n}.", max_tokens=48, model="base") for n in range(_STREAMS)))
    return sum(int(str(each["tokens"])) for each in told) / (time.monotonic() - began)


async def compare_speed(session: aiohttp.ClientSession, night: subprocess.Popen[str]) -> list[tuple[float, float]]:
    """Tokens a second alone and beside the training, in turns: the night is paused for every other round."""
    rounds = []
    for _ in range(_ROUNDS):
        night.send_signal(signal.SIGSTOP)
        try:
            alone = await tokens_a_second(session)
        finally:
            night.send_signal(signal.SIGCONT)
        await asyncio.sleep(1)
        rounds.append((alone, await tokens_a_second(session)))
    return rounds


async def sleep_over_it(session: aiohttp.ClientSession) -> tuple[dict[str, object], list[tuple[float, float]]]:
    """The night, beside the server; its result, and how fast the server was meanwhile."""
    log = (HOME / "nightly.log").open("w+")
    night = subprocess.Popen([CARE, "nightly", "--json"], env=environment(HOME), stdout=subprocess.PIPE, stderr=log, text=True)
    while " loss " not in (HOME / "nightly.log").read_text() and night.poll() is None:
        await asyncio.sleep(1)
    rounds = await compare_speed(session, night) if night.poll() is None else []
    output, _ = await asyncio.to_thread(night.communicate)
    assert night.returncode == 0, f"care nightly ended with {night.returncode}; see {HOME}/nightly.log"
    return json.loads(output), rounds


def care(home: Path, *arguments: object, expected: int = 0) -> str:
    """A command of `care`; what it printed."""
    done = subprocess.run([CARE, *map(str, arguments)], env=environment(home), capture_output=True, text=True, check=False)
    assert done.returncode == expected, f"care {arguments} ended with {done.returncode}: {done.stderr[-1000:]}"
    return done.stdout


def paraphrases(day: Mapping[str, list]) -> list[dict[str, str]]:
    """Asked by nobody during the day, trained on by nothing."""
    return [
        {"instruction": each["question"], "response": each["answer"], "domain": fact["domain"], "fact": fact["id"]}
        for fact in day["facts"]
        for each in fact["paraphrases"]
    ]


def without_ratings(home: Path) -> Path:
    """A copy of the home whose ratings are gone."""
    copy = home.with_name("demo-emptied")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(home, copy, symlinks=True, ignore=shutil.ignore_patterns("models", "*.lock", "runs"))
    (copy / "models").symlink_to((home / "models").resolve())
    connection = sqlite3.connect(copy / "care.db")
    connection.execute("DELETE FROM ratings")
    connection.commit()
    connection.close()
    return copy


def shelf_bytes(home: Path) -> dict[str, bytes | str]:
    """Everything on the shelf, to compare."""
    found: dict[str, bytes | str] = {}
    for path in sorted((home / "loras").rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(home))] = os.readlink(path)
        elif path.is_file():
            found[str(path.relative_to(home))] = path.read_bytes()
    return found


def rated_for(snapshot: str, fact: Mapping[str, list]) -> list[str]:
    """The trained rows that corrected this fact, as lines to show."""
    questions = {each["question"] for each in fact["asked"]}
    rows = [json.loads(line) for line in Path(snapshot).read_text().splitlines()]
    return [
        f"{row['raters'][0]} 👎 turn {row['turn_ids'][0][:8]}: “{row['instruction']}” → “{row['response']}”"
        for row in rows
        if row["instruction"] in questions and row["split"] == "train"
    ]


async def answers(session: aiohttp.ClientSession, items: Sequence[Mapping[str, str]]) -> list[str]:
    """What is answered to the paraphrases now, without chance in it. Nobody rates these."""
    places = asyncio.Semaphore(_STREAMS)

    async def one(question: str) -> str:
        async with places:
            return str((await ask(session, question, temperature=0, max_tokens=64))["text"])

    return list(await asyncio.gather(*(one(item["instruction"]) for item in items)))


def figures_right(given: Sequence[str], items: Sequence[Mapping[str, str]]) -> tuple[int, int]:
    """How many of the figures and codes in the right answers are named, and how many there are."""
    wanted = [(text, figure) for text, item in zip(given, items, strict=True) for figure in set(_FIGURE.findall(item["response"]))]
    return sum(figure in _FIGURE.findall(text) for text, figure in wanted), len(wanted)


async def with_the_server(day: Mapping[str, list], items: Sequence[Mapping[str, str]]) -> dict[str, object]:
    """The day, the night and the morning after."""
    server = Server(HOME)
    timeout = aiohttp.ClientTimeout(total=_WAIT_SECONDS)
    try:
        async with aiohttp.ClientSession(server.url, timeout=timeout) as session:
            await server.ready(session)
            say(f"care serve answers at {server.url} with the base model")
            before = await answers(session, items)
            asked = await spend_the_day(session, day)
            say(f"the day: {asked} questions by {len(people(day))} people, all rated")
            reviewed = json.loads(await asyncio.to_thread(care, HOME, "review", "--approve", "all", "--as", REVIEWER, "--json"))
            say(f"the evening: {len(reviewed)} answers waited for a reviewer, who approved them")
            night, rounds = await sleep_over_it(session)
            say(f"the night: {night['verdict']} {night['lora']}, {night['minutes']} minutes", bold=True)
            morning = await server.ready(session)
            after = await answers(session, items)
    finally:
        server.stop()
    assert night["verdict"] == "promoted"
    assert morning["lora"] == night["lora"], "the server does not serve what the night promoted"
    return {"asked": asked, "night": night, "speed": rounds, "before": before, "after": after}


def prove(items: Sequence[Mapping[str, str]], told: dict[str, object], night: Mapping[str, object]) -> None:
    """The control, the comparison on the paraphrases, and the night without ratings."""
    control = json.loads(care(HOME, "nightly", "--control", "--json"))
    say(f"the control, same seed and steps, on the starter set alone: {control['lora']}")
    path = HOME / "paraphrases.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    measured = json.loads(care(HOME, "eval", control["lora"], night["lora"], "--items", path, "--json"))
    say("base, control and the live LoRA measured on the paraphrases")
    told |= {"control": control["lora"], "models": measured["models"], "comparisons": measured["comparisons"], "scores": measured["scores"]}
    emptied = without_ratings(HOME)
    shelf = shelf_bytes(emptied)
    care(emptied, "nightly", expected=10)
    assert shelf_bytes(emptied) == shelf, "a night without ratings changed the shelf"
    say("with the ratings emptied the night exits 10 and the shelf is unchanged")


def most_gained(told: Mapping[str, object], lora_id: str) -> int:
    """The item on which the live LoRA gained most over the base."""
    scores: Mapping[str, Sequence[Mapping[str, float]]] = told["scores"]  # type: ignore[assignment]
    gains = [other["loss"] - mine["loss"] for mine, other in zip(scores[lora_id], scores["base"], strict=True)]
    return gains.index(max(gains))


def show(told: Mapping[str, object], items: Sequence[Mapping[str, str]], shown: int, lines: Sequence[str]) -> None:
    click.secho("\nAnswer loss on paraphrases (nats a token, less is better)", bold=True)
    models: Mapping[str, Mapping[str, float]] = told["models"]  # type: ignore[assignment]
    for name, model in models.items():
        click.echo(f"  {name:<24}{model['loss']:.3f}   ({model['items']} items)")
    for each in told["comparisons"]:  # type: ignore[attr-defined]
        click.echo(f"  {each['model']} against {each['against']}: {each['mean']:+.3f}, 95 % [{each['low']:+.3f}, {each['high']:+.3f}]")
    before: Sequence[str] = told["before"]  # type: ignore[assignment]
    after: Sequence[str] = told["after"]  # type: ignore[assignment]
    (had, _), (has, wanted) = figures_right(before, items), figures_right(after, items)
    click.echo(f"  figures and codes named right in the answers: {had} of {wanted} before, {has} after")
    click.secho(f"\nOne question, before and after: {items[shown]['instruction']}", bold=True)
    click.echo(f"  before: {before[shown]}\n  after:  {after[shown]}\n  trained by:")
    for line in lines:
        click.echo(f"    {line}")
    rounds: Sequence[tuple[float, float]] = told["speed"]  # type: ignore[assignment]
    if rounds:
        kept = statistics.median(beside / alone for alone, beside in rounds)
        shown = ", ".join(f"{alone:.0f} → {beside:.0f}" for alone, beside in rounds)
        click.secho(
            f"\nServing while the night trains: {kept:.0%} of the tokens a second (median of {len(rounds)} rounds: {shown})", bold=True
        )


def main() -> None:
    began = time.monotonic()
    day = tomllib.loads((HERE / "day.toml").read_text())
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    MODELS.mkdir(parents=True, exist_ok=True)
    (HOME / "models").symlink_to(MODELS)
    items = paraphrases(day)
    told = asyncio.run(with_the_server(day, items))
    night: dict[str, object] = told["night"]  # type: ignore[assignment]
    prove(items, told, night)
    shown = most_gained(told, str(night["lora"]))
    fact = next(fact for fact in day["facts"] if fact["id"] == items[shown]["fact"])
    told["minutes"] = round((time.monotonic() - began) / 60, 1)
    (HOME / "summary.json").write_text(json.dumps(told, indent=2, ensure_ascii=False))
    show(told, items, shown, rated_for(str(night["snapshot"]), fact))
    proven = {(each["model"], each["against"]): each["high"] < 0 for each in told["comparisons"]}  # type: ignore[attr-defined]
    assert proven[night["lora"], told["control"]], "the corrections made no proven difference"
    assert proven[night["lora"], "base"], "the LoRA is not proven better than the base"
    click.echo(f"\n{care(HOME, 'loras')}\nsummary: {HOME}/summary.json · report: {night['report']} · {told['minutes']} minutes in all")


if __name__ == "__main__":
    main()
