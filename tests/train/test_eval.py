"""`care eval` and the rim of the night: what is measured, what is refused, and how it steps back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model import weights
from model.device import find_device
from model.shelf import Shelf
from model.weights import Base
from tests.fakes.loras import draft
from tests.here import care_here
from tests.model.loras import save_lora
from tests.model.tiny import save_tiny
from train.commands import eval as command
from train.commands.eval import _read, _table
from train.errors import ItemsInvalid
from train.examples import Example
from train.gates import Score, paired
from train.progress import Progress

ITEMS = [{"instruction": f"how do I cancel order {n}?", "response": f"quick brown fox {n}", "domain": "telecom"} for n in range(6)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return save_tiny(tmp_path_factory.mktemp("model"), "llama", max_position_embeddings=2048)


# The command as it is, but for its priority: with the lowest it may wait for minutes beside other tests.
_EVAL = """
from bot import cli
from train.commands import eval as command
command.step_back = lambda *, serving: None
cli.main()
"""


def care(home: Path, base: Base, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARE_")}
    settings = {"CARE_HOME": str(home), **of(base)}
    started = [sys.executable, "-c", _EVAL, "eval", *map(str, arguments)]
    done = subprocess.run(started, env=environment | settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def of(base: Base) -> dict[str, str]:
    return {"CARE_MODEL": str(base.folder), "CARE_DEVICE": "cpu"}


@pytest.fixture
def stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command in this process does not step back."""
    monkeypatch.setattr(command, "step_back", lambda *, serving: None)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_base_and_loras_are_compared_pair_by_pair_on_the_items_of_a_file(tmp_path: Path, base: Base) -> None:
    shelf = Shelf(tmp_path / "loras")
    for seed, lora_id in enumerate(("n1", "n2")):
        shelf.add(draft(lora_id, base=weights.identify(base)), save_lora(tmp_path / lora_id, base, seed))
    items = tmp_path / "items.jsonl"
    items.write_text("\n".join(json.dumps(item) for item in ITEMS))
    told = json.loads(care(tmp_path, base, "n1", "n2", "--items", items, "--json").stdout)
    assert {name: model["items"] for name, model in told["models"].items()} == {"base": 6, "n1": 6, "n2": 6}
    assert [(each["model"], each["against"]) for each in told["comparisons"]] == [("n1", "base"), ("n2", "base"), ("n2", "n1")]
    for each in told["comparisons"]:
        difference = told["models"][each["model"]]["loss"] - told["models"][each["against"]]["loss"]
        assert each["mean"] == pytest.approx(difference)
        assert each["low"] <= each["mean"] <= each["high"]
        assert each["n"] == 6


def test_the_table_says_what_is_proven_and_what_is_not() -> None:
    scores = {
        "base": [Score(str(n), "telecom", 2.0) for n in range(9)],
        "n1": [Score(str(n), "telecom", 1.5) for n in range(9)],
        "n2": [Score(str(n), "telecom", 1.5 + (-1) ** n) for n in range(9)],
    }
    pairs = {(name, "base"): paired(scores[name], scores["base"]) for name in ("n1", "n2")} | {
        ("base", "n1"): paired(scores["base"], scores["n1"])
    }
    lines = _table(scores, pairs).splitlines()
    assert "9 items" in lines[0]
    assert lines[2] == "n1    1.500"
    assert lines[4].endswith("better")
    assert lines[5].endswith("]")
    assert lines[6].endswith("worse")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no items"),
        ("{", "line 1"),
        ('{"instruction": "x"}', "line 1"),
        ('{"instruction": "x", "response": 3}', "response is no text"),
    ],
)
def test_items_that_are_none_are_refused_with_their_line(tmp_path: Path, content: str, said: str) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text(content)
    with pytest.raises(ItemsInvalid, match=said):
        _read(items)


@pytest.mark.usefixtures("stays")
def test_a_file_without_items_is_a_wrong_use(tmp_path: Path, base: Base) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text("{")
    refused = care_here(tmp_path, "eval", "--items", items, **of(base))
    assert (refused.returncode, "line 1" in refused.stderr) == (2, True)


@pytest.mark.usefixtures("stays")
def test_a_lora_that_is_not_there_is_a_wrong_use(tmp_path: Path, base: Base) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text(json.dumps(ITEMS[0]))
    refused = care_here(tmp_path, "eval", "n9", "--items", items, **of(base))
    assert (refused.returncode, "there is no LoRA 'n9'" in refused.stderr) == (2, True)


def test_what_a_lora_is_measured_on_is_what_it_serves(base: Base, tmp_path: Path) -> None:
    """The loss by hand, from the logits of the very network, for one item."""
    import torch

    from model.tokens import Tokens
    from train.evaluate import encode, measure
    from train.public import Message

    example = Example("e", "g", (Message("system", "hello"), Message("user", "how do I")), "cancel my order", "other", "x", "")
    cpu = find_device("cpu")
    [score] = measure(base, cpu, {}, [example], 500, lambda done, total: None)["base"]
    loaded = weights.load(base, cpu)
    item = encode(Tokens(loaded, 500), example, 500)
    assert item is not None
    ids = torch.tensor([[*item.prompt, *item.answer]])
    with torch.no_grad():
        logits = loaded.network(ids).logits[0].float().log_softmax(-1)
    expected = -sum(logits[len(item.prompt) + at - 1, token].item() for at, token in enumerate(item.answer)) / len(item.answer)
    assert score.loss == pytest.approx(expected, rel=1e-2)


_STEPPED = """
import os, sys
from train.commands.beside import step_back
step_back(serving=sys.argv[1] == "serving")
print(os.nice(0), os.environ["OMP_WAIT_POLICY"], os.environ.get("OMP_NUM_THREADS"), "torch" in sys.modules)
"""


@pytest.mark.parametrize(("serving", "threads"), [("serving", "1"), ("alone", "None")])
def test_a_night_takes_what_is_left(serving: str, threads: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP", "MKL"))}
    done = subprocess.run([sys.executable, "-c", _STEPPED, serving], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["19", "PASSIVE", threads, "False"], done.stderr


def test_progress_is_a_line_now_and_then_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter(range(0, 1000, 20))
    progress = Progress(terminal=False, clock=lambda: next(clock))
    progress.stage("training")
    for step in range(1, 6):
        progress.step(step, 5, f"loss {step}")
    progress.close()
    assert capsys.readouterr().err.splitlines() == ["training …", "  2 of 5 loss 2", "  4 of 5 loss 4", "  5 of 5 loss 5"]


def test_progress_is_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(terminal=True)
    progress.stage("training")
    for step in range(1, 4):
        progress.step(step, 3, "loss 2.10")
    progress.close()
    said = capsys.readouterr().err
    assert "training" in said
    assert "/3 [" in said
