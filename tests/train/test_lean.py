"""LoRA layers with less work: the same function as peft's, forward and backward."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel

from tests.train.learners import learner
from train.lean import _kept, make_lean

IDS = torch.arange(5, 35).view(2, 15)


def step(network: PeftModel) -> tuple[float, torch.Tensor]:
    loss = network(input_ids=IDS, labels=IDS).loss
    loss.backward()
    found = torch.cat([parameter.grad.float().flatten() for parameter in network.parameters() if parameter.grad is not None])
    network.zero_grad()
    return loss.item(), found


@pytest.mark.parametrize("quantize", [True, False], ids=["nf4", "unquantized"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "computed again"])
def test_loss_and_gradients_are_pefts(tmp_path: Path, quantize: bool, checkpointing: bool) -> None:
    network = learner(tmp_path / "m", quantize=quantize, checkpointing=checkpointing)
    loss, wanted = step(network)
    make_lean(network)
    mine, found = step(network)
    assert mine == pytest.approx(loss, rel=1e-5)
    assert (found - wanted).norm() < 1e-4 * wanted.norm()


def test_a_base_layer_may_answer_in_any_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = learner(tmp_path / "m")
    loss, wanted = step(network)
    plain = torch.nn.Linear.forward

    def across(layer: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
        y = plain(layer, x)
        return y if layer is network.get_output_embeddings() else y.transpose(0, 1).contiguous().transpose(0, 1)

    monkeypatch.setattr(torch.nn.Linear, "forward", across)
    make_lean(network)
    mine, found = step(network)
    assert mine == pytest.approx(loss, rel=1e-5)
    assert (found - wanted).norm() < 1e-4 * wanted.norm()


def test_what_was_dropped_forward_is_dropped_backward(tmp_path: Path) -> None:
    """The slope of the loss along the gradient, by differences with the same draw."""
    network = learner(tmp_path / "m", dropout=0.3)
    make_lean(network)
    torch.manual_seed(7)
    _, gradient = step(network)
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    direction = gradient / gradient.norm()
    losses = []
    for way in (1, -1):
        for parameter, part in zip(learned, direction.split([each.numel() for each in learned]), strict=True):
            parameter.data += way * (0.001 if way > 0 else 0.002) * part.view_as(parameter)
        torch.manual_seed(7)
        losses.append(step(network)[0])
    assert (losses[0] - losses[1]) / 0.002 == pytest.approx(float(gradient.norm()), rel=0.02)


@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "computed again"])
def test_dropout_is_drawn_anew_each_time_and_again_where_layers_are_computed_again(tmp_path: Path, checkpointing: bool) -> None:
    network = learner(tmp_path / "m", dropout=0.3, checkpointing=checkpointing)
    make_lean(network)
    torch.manual_seed(7)
    (first, gradient), (second, _) = step(network), step(network)
    torch.manual_seed(7)
    again, same = step(network)
    assert first == again != second
    torch.testing.assert_close(gradient, same)


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_the_share_that_is_dropped_is_the_recipes(rate: float) -> None:
    torch.manual_seed(1)
    kept = _kept(torch.empty(3, 333, 501), rate)
    assert kept.shape == (999, 501)
    assert 1 - kept.float().mean().item() == pytest.approx(rate, abs=0.002)
    assert kept[::2].float().mean(0).std() < 0.05  # nowhere more than elsewhere


def test_without_gradients_or_without_its_lora_a_layer_answers_as_pefts(tmp_path: Path) -> None:
    network = learner(tmp_path / "m")
    with torch.no_grad():
        wanted = network(input_ids=IDS).logits
        with network.disable_adapter():
            base = network(input_ids=IDS).logits
    make_lean(network)
    with torch.no_grad():
        torch.testing.assert_close(network(input_ids=IDS).logits, wanted)
    with network.disable_adapter():
        torch.testing.assert_close(network(input_ids=IDS).logits, base)
