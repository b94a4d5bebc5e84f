import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.shelf import CONFIG, WEIGHTS
from tests.fakes.loras import weights_folder
from train import merge
from train.merge import Delta, Unmergeable, linear, slerp, ties

SHARES = st.floats(0, 1)


def delta(seed: int, rank: int = 3, length: float | None = None) -> Delta:
    draw = torch.Generator().manual_seed(seed)
    made = Delta(torch.randn(7, rank, generator=draw, dtype=torch.float64), torch.randn(rank, 5, generator=draw, dtype=torch.float64))
    if length is None:
        return made
    return Delta(made.up * length / made.dense().norm(), made.down)


def angle(one: torch.Tensor, other: torch.Tensor) -> float:
    return math.acos(min(1.0, float((one * other).sum() / (one.norm() * other.norm()))))


@pytest.mark.parametrize("method", [linear, slerp])
def test_the_ends_are_the_two_themselves(method) -> None:
    one, other = delta(1), delta(2)
    assert torch.allclose(method(one, other, 0.0).dense(), one.dense())
    assert torch.allclose(method(one, other, 1.0).dense(), other.dense())


@settings(max_examples=50, deadline=None)
@given(SHARES, st.integers(0, 50))
def test_from_the_other_end_the_way_is_the_same(share: float, seed: int) -> None:
    one, other = delta(seed), delta(seed + 100)
    assert torch.allclose(slerp(one, other, share).dense(), slerp(other, one, 1 - share).dense())


@settings(max_examples=50, deadline=None)
@given(SHARES, st.integers(0, 50))
def test_the_direction_turns_evenly_and_the_length_changes_evenly(share: float, seed: int) -> None:
    one, other = delta(seed, length=1.5), delta(seed + 100, length=4.0)
    whole = angle(one.dense(), other.dense())
    found = slerp(one, other, share).dense()
    assert angle(one.dense(), found) == pytest.approx(share * whole, abs=1e-6)
    assert float(found.norm()) == pytest.approx((1 - share) * 1.5 + share * 4.0)


def test_a_right_angle_halved_is_the_definitions_own_value() -> None:
    one = Delta(torch.tensor([[1.0], [0.0]]), torch.tensor([[1.0]]))
    other = Delta(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0]]))
    assert slerp(one, other, 0.5).dense().flatten().tolist() == pytest.approx([math.sqrt(0.5)] * 2)
    assert linear(one, other, 0.5).dense().flatten().tolist() == pytest.approx([0.5] * 2)


@pytest.mark.parametrize("times", [2.0, -2.0, 0.0])
def test_along_one_line_the_arc_is_that_line(times: float) -> None:
    one = delta(1)
    other = Delta(times * one.up, one.down)
    found = slerp(one, other, 0.25).dense()
    assert torch.allclose(found, (0.75 + 0.25 * times) * one.dense())
    assert found.isfinite().all()


def test_ties_keeps_the_large_and_lets_the_heavier_sign_win() -> None:
    one = Delta(torch.eye(2), torch.tensor([[4.0, 0.1], [-1.0, 3.0]]))
    other = Delta(torch.eye(2), torch.tensor([[2.0, 0.2], [2.5, -0.1]]))
    found = ties(one, other, 0.5, density=0.75)
    assert torch.allclose(found, torch.tensor([[3.0, 0.2], [2.5, 3.0]]))


def test_ties_of_a_lora_with_itself_is_what_it_kept_of_it() -> None:
    one = delta(1)
    kept = ties(one, one, 0.3, density=0.4)
    assert int((kept != 0).sum()) == 14
    assert torch.allclose(kept[kept != 0], one.dense()[kept != 0])


def test_cut_to_a_rank_it_is_the_nearest_of_that_rank() -> None:
    whole = delta(1).plus(delta(2), 0.5, 0.5)
    found = merge.cut(whole, 2)
    left, values, right = torch.linalg.svd(whole.dense())
    assert torch.allclose(found.dense(), (left[:, :2] * values[:2]) @ right[:2])
    assert found.up.shape == (7, 2)


def test_a_large_matrix_is_cut_nearly_as_well_as_can_be_and_twice_alike() -> None:
    draw = torch.Generator().manual_seed(1)
    one, other = (
        Delta(torch.randn(200, 8, generator=draw, dtype=torch.float64), torch.randn(8, 120, generator=draw, dtype=torch.float64))
        for _ in range(2)
    )
    whole = ties(one, other, 0.5)
    state = torch.get_rng_state()
    found, again = (merge._cut(whole, 8).dense() for _ in range(2))
    best = torch.linalg.svdvals(whole)[8:].norm()
    assert float((whole - found).norm() / best) < 1.001
    assert torch.equal(found, again)
    assert torch.equal(torch.get_rng_state(), state)


def test_between_two_products_it_can_be_stopped() -> None:
    def stop(done: int, total: int) -> None:
        assert (done, total) == (1, 2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge.merged({"k": delta(1), "q": delta(2)}, {"k": delta(3), "q": delta(4)}, "ties", 0.5, 3, stop)


@pytest.mark.parametrize("method", ["linear", "ties", "slerp"])
def test_two_folders_become_one_that_peft_could_have_written(tmp_path: Path, method: merge.Method) -> None:
    one, other = weights_folder(tmp_path / "one", seed=1), weights_folder(tmp_path / "other", seed=2, rank=4)
    mixed = merge.merged(merge.read(one), merge.read(other), method, 0.5, rank=6)
    merge.write(mixed, one, tmp_path / "new")
    config = json.loads((tmp_path / "new" / CONFIG).read_text())
    assert (config["r"], config["lora_alpha"], config["peft_type"]) == (6, 6, "LORA")
    read = merge.read(tmp_path / "new")
    assert all(torch.allclose(read[name].dense(), mixed[name].dense(), atol=1e-5) for name in mixed)


def test_the_scale_of_each_counts(tmp_path: Path) -> None:
    folder = weights_folder(tmp_path / "one", seed=1)
    before = next(iter(merge.read(folder).values())).dense()
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, "lora_alpha": 3 * config["lora_alpha"]}))
    assert torch.allclose(next(iter(merge.read(folder).values())).dense(), 3 * before)


def test_what_is_no_number_or_does_not_fit_is_refused(tmp_path: Path) -> None:
    one, other = {"q": delta(1)}, {"q": delta(2)}
    with pytest.raises(Unmergeable, match="only one of them has k"):
        merge.merged({**one, "k": delta(3)}, other, "slerp", 0.5, 3)
    wide = Delta(torch.ones(8, 1, dtype=torch.float64), torch.ones(1, 5, dtype=torch.float64))
    with pytest.raises(Unmergeable, match="q has another shape"):
        merge.merged(one, {"q": wide}, "linear", 0.5, 3)
    good, up, down = other["q"], torch.full_like(other["q"].up, math.inf), torch.full_like(other["q"].down, math.nan)
    for bad in (Delta(up, good.down), Delta(good.up, down)):
        for pair in (({"q": bad}, other), (one, {"q": bad})):
            with pytest.raises(Unmergeable, match="q has values that are no numbers"):
                merge.merged(*pair, "linear", 0.5, 3)
    folder = weights_folder(tmp_path / "bad")
    tensors = merge.load_file(folder / WEIGHTS)
    name = next(iter(tensors))
    tensors[name][0, 0] = math.nan
    merge.save_file(tensors, folder / WEIGHTS)
    with pytest.raises(Unmergeable, match="q_proj has values that are no numbers"):
        merge.merged(merge.read(folder), merge.read(weights_folder(tmp_path / "good")), "slerp", 0.5, 2)
