"""When the engine counts as able to answer."""

from dataclasses import replace

import pytest

from bot.ops.health import STALLED_SECONDS, engine_faults
from model.engine import EngineStatus

READY = EngineStatus("ready", "ready", running=2, waiting=0, slots=8, queue=32, beat_age=0.1)


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (replace(READY, beat_age=STALLED_SECONDS + 1), "silent for 61 s"),
        (replace(READY, running=8, waiting=32), "the queue is full"),
        (replace(READY, state="failed", detail="the engine broke"), "the engine broke"),
    ],
)
def test_an_engine_that_hangs_is_full_or_broke_is_not_ready(status: EngineStatus, fault: str) -> None:
    [told] = engine_faults(status)
    assert fault in told


def test_one_that_answers_is_ready() -> None:
    assert engine_faults(READY) == []
