"""How long a chunk of a prompt gets, on machines of any speed."""

import pytest

from model.pace import Pace


def settled(*, step: float, fixed: float, token: float) -> Pace:
    """After a while on a machine where a step takes `step` seconds and a chunk `fixed` and `token` for each of its tokens."""
    pace = Pace()
    for _ in range(40):
        pace.stepped(step)
        pace.read(pace.chunk, fixed + token * pace.chunk)
    return pace


@pytest.mark.parametrize(
    ("step", "fixed", "token", "chunk"),
    [
        (0.010, 0.003, 0.00035, 32),  # two cores, eight streams: 1.5 steps are 15 ms
        (0.060, 0.003, 0.00035, 240),  # steps got slower: more may be read beside them
        (0.030, 0.030, 0.00001, 512),  # a GPU reads nearly for nothing: the most
        (0.001, 0.020, 0.01, 16),  # reading always disturbs: the least
    ],
)
def test_a_chunk_takes_one_and_a_half_times_a_step(step: float, fixed: float, token: float, chunk: int) -> None:
    assert settled(step=step, fixed=fixed, token=token).chunk == chunk


def test_one_hiccup_changes_a_chunk_little() -> None:
    pace = settled(step=0.010, fixed=0.0, token=0.0001)
    before = pace.chunk
    pace.stepped(0.020)
    pace.read(pace.chunk, 0.0001 * pace.chunk)
    assert before < pace.chunk < 1.5 * before


def test_before_the_first_step_the_chunk_stays() -> None:
    pace = Pace()
    pace.read(512, 10.0)
    assert pace.chunk == 64
