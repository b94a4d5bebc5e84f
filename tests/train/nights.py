"""Whole nights on a tiny model, each in a warm process: what the tests of the night run, and its fixtures."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from bot.store import Store
from model.shelf import Shelf
from tests.model.tiny import save_tiny
from tests.train.people import Day

RECIPE = """
format = 1
name = "tiny"
method = "{method}"
beta = 0.1
steps = {steps}
batch_size = 2
accumulate = {accumulate}
learning_rate = 0.02
warmup_steps = 1
rank = 2
most_rank = {most_rank}
alpha = 8
dropout = {dropout}
max_tokens = 1900
save_every = 3
gradient_checkpointing = false
repeat_people = {repeat_people}
public_per_source = 0
held_out = 20
replay_share = 0.1
canaries = {canaries}
samples = {canaries}
merge = "{merge}"
merge_share = 0.25
seed = 1
"""


@dataclass
class Nights:
    """One warm process that runs nights in one CARE_HOME."""

    process: "subprocess.Popen[str]"
    model: Path
    home: Path
    day: Day

    def run(self, *arguments: str, steps: int = 12, kill: str = "", patch: str = "", marks: int = 0, **recipe_says: str) -> int:
        """A night; its exit code, negative for a signal. With `marks` canaries, and the suites."""
        told = {
            "merge": "none",
            "method": "sft",
            "most_rank": "2",
            "repeat_people": "1",
            "accumulate": "1",
            "dropout": "0.05",
            **recipe_says,
        }
        recipe = self.home / f"{steps}.toml"
        recipe.write_text(RECIPE.format(steps=steps, canaries=marks, **told))
        settings = {"CARE_HOME": str(self.home), "CARE_MODEL": str(self.model), "CARE_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
        order = {
            "arguments": ["nightly", "--recipe", str(recipe), *arguments],
            "settings": settings,
            "log": str(self.home / "night"),
            "kill": kill,
            "patch": patch,
            "suites": marks > 0,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        assert code != 1, self.said
        return code

    @property
    def said(self) -> str:
        return (self.home / "night.err").read_text()

    @property
    def result(self) -> Mapping[str, object]:
        told: Mapping[str, object] = json.loads((self.home / "night.out").read_text())
        return told

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.home / "loras")

    def live_bytes(self) -> str:
        """The LoRA that serves, byte for byte, and where `live` points."""
        live = self.shelf.live()
        assert live is not None
        digest = sha256(live.encode())
        for path in sorted((self.shelf.folder / live).iterdir()):
            digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()

    def people_say(self, n: int, first: int = 0) -> None:
        self.day.corrected_by_many(n, first)


@pytest.fixture(scope="session")
def process() -> Iterator["subprocess.Popen[str]"]:
    """One for the tests of all nights: its imports take longer than most of them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARE_")}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.night"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as warm:
        yield warm
        warm.kill()  # taking itself down takes seconds


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny-model"), "llama", max_position_embeddings=2048).folder


@pytest.fixture
def nights(process: "subprocess.Popen[str]", model: Path, tmp_path: Path) -> Iterator[Nights]:
    home = tmp_path / "home"
    home.mkdir()
    store = Store(home / "care.db")
    yield Nights(process, model, home, Day(store))
    store.close()
