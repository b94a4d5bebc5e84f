"""What the training benchmark makes of its rounds, and the precision its rival gets. The measuring itself is no test."""

from typing import Any

import pytest
import torch

from deploy.bench import train as bench
from deploy.bench.train_plain import precision
from model.device import Device


def ours(seconds: float = 10.0) -> dict[str, Any]:
    return {"ends": [5.0, 5.0 + seconds], "losses": [4.0, 3.8, 3.0, 2.6, 2.1, 1.9], "peak": 2**30}


def plain() -> dict[str, Any]:
    return {"ends": [7.0, 37.0], "losses": [4.0, 3.8, 3.0, 2.6, 2.6, 2.4], "peak": 2**31, "tokens": [100, 700]}


def test_ratios_are_of_medians_and_more_than_one_is_faster() -> None:
    found = bench.ratios([{"ours": ours(seconds), "plain": plain()} for seconds in (10.0, 15.0, 300.0)])
    assert found == pytest.approx({"tokens_per_s": 2.0, "peak_memory": 0.5, "loss": 2.0 / 2.5})


def test_the_loss_is_of_the_last_third_where_a_lora_that_learned_less_shows() -> None:
    same_start = {**ours(), "losses": [*ours()["losses"][:4], 2.6, 2.6]}
    assert bench.ratios([{"ours": same_start, "plain": plain()}])["loss"] > 1.03
    of_one = {**ours(), "losses": [4.0]}
    assert bench.ratios([{"ours": of_one, "plain": plain()}])["loss"] == pytest.approx(4.0 / 2.5)


def test_the_table_says_what_both_came_to_and_how_far_each_loss_fell() -> None:
    rounds = [{"plain": plain(), "ours": ours()}]
    rows = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in bench.table(rounds, bench.ratios(rounds)).splitlines()]
    assert rows[2:] == [
        ["CARE", "60", "1.00 GiB", "2.000", "2.000"],
        ["plain TRL", "20", "2.00 GiB", "2.500", "1.500"],
        ["ratio", "3.00", "0.50", "0.800", ""],
    ]
    assert {len(row) for row in rows} == {5}


def test_who_goes_first_changes_with_every_round() -> None:
    assert [bench.order(number) for number in range(3)] == [["ours", "plain"], ["plain", "ours"], ["ours", "plain"]]


def test_the_rival_computes_in_what_the_device_is_fast_in() -> None:
    assert precision(Device("cuda", torch.float16)) == {"fp16": True, "bf16": False}  # a P100 emulates bf16
    assert precision(Device("cuda", torch.bfloat16, triton=True)) == {"fp16": False, "bf16": True}
    assert precision(Device("cpu", torch.bfloat16)) == {"fp16": False, "bf16": True}
    assert precision(Device("cpu", torch.float32)) == {"fp16": False, "bf16": False}
