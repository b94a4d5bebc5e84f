"""Full fine-tuning: all weights of a small model learn, and it is measured beside the base as a model of its own."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import pytest
import torch

from model import weights
from model.device import Device
from model.weights import Base
from tests.model.tiny import save_tiny
from tests.train.test_finetune import RECIPE, examples, never, run, silent, whole_and_resumed
from train import canaries, learn
from train.errors import Diverged
from train.evaluate import BASE, exposures, measure
from train.finetune import _save, finetune
from train.night import Night
from train.runs import is_complete, mark_complete

CPU = Device("cpu", torch.float32)
FULL = RECIPE.model_copy(update={"method": "full", "learning_rate": 1e-3})


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return save_tiny(tmp_path_factory.mktemp("small"), "llama", initializer_range=0.05, max_position_embeddings=2048)


def test_all_weights_learn_in_fp32_and_what_was_learned_is_measured_beside_the_base(base: Base, tmp_path: Path) -> None:
    made = run(tmp_path / "run")
    trained = finetune(base, Device("cpu", torch.bfloat16), examples(12), FULL, made, silent, never)
    assert trained is not None
    assert trained.losses[-1].loss < trained.losses[0].loss
    before, model = weights.load(base, CPU, quantize=False).network, Base("full", made.candidate)
    after = weights.load(model, CPU, quantize=False)
    assert after.tokenizer.chat_template
    changed = {
        name: parameter for name, parameter in after.network.named_parameters() if not torch.equal(parameter, before.get_parameter(name))
    }
    assert set(changed) == {name for name, _ in before.named_parameters()}
    assert {parameter.dtype for parameter in changed.values()} == {torch.float32}
    said: list[tuple[int, int]] = []
    scores = measure(base, CPU, {"full": model, "unquantized": base}, examples(4), 400, lambda *far: said.append(far))
    assert said == [(done, 12) for done in range(1, 13)]
    assert list(scores) == [BASE, "full", "unquantized"]
    assert all(mine.loss < other.loss for mine, other in zip(scores["full"], scores["unquantized"], strict=True))
    found, control = exposures(base, CPU, model, canaries.make(1, 1), "hello", lambda *far: None)
    assert len(found) == 1
    assert control.canary == found[0].canary


def test_a_stopped_full_training_ends_as_if_it_had_never_stopped(base: Base, tmp_path: Path) -> None:
    whole, resumed = whole_and_resumed(base, FULL, tmp_path)
    assert [loss.loss for loss in resumed] == pytest.approx([loss.loss for loss in whole], rel=0.01)


def test_what_is_put_away_leaves_what_was_told_and_a_killed_start_goes_on_with_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(tmp_path / "run")
    (made.candidate / "additional_chat_templates").mkdir(parents=True)
    for name in ("additional_chat_templates/tools.jinja", "model.safetensors", "training.json"):
        (made.candidate / name).write_text(name)
    mark_complete(made.candidate, made.key)
    night = cast(Night, SimpleNamespace(recipe=FULL, fault=None, live=None, run=made))
    with monkeypatch.context() as killed:
        killed.setattr(learn.shutil, "rmtree", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            learn.put_away(night)
    assert is_complete(made.candidate, learn._put_away_key(night)), "it is not trained again"
    learn.put_away(night)
    assert {path.name for path in made.candidate.iterdir()} == {"training.json", "COMPLETE"}
    assert is_complete(made.candidate, learn._put_away_key(night))


def test_weights_that_are_no_numbers_are_not_kept(base: Base, tmp_path: Path) -> None:
    made, loaded = run(tmp_path / "run"), weights.load(base, CPU, quantize=False)
    next(iter(loaded.network.parameters())).data[0, 0] = float("nan")
    with pytest.raises(Diverged, match="no numbers"):
        _save(loaded.network, loaded.tokenizer, made)
    assert not made.candidate.exists()
