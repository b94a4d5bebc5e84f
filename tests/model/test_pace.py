"""How long a chunk of a prompt gets, on machines of any speed."""

import pytest

from model.pace import Pace, worthwhile


class Machine:
    """Where a step takes `step` seconds and a chunk `fixed` and `token` for each of its tokens."""

    def __init__(self, step: float, fixed: float, token: float) -> None:
        self.step, self.fixed, self.token = step, fixed, token
        self.now = 0.0

    def read(self, tokens: int) -> None:
        self.now += self.fixed + self.token * tokens

    def settled(self) -> Pace:
        """After a while of chunks and steps in turns."""
        pace = Pace(least=worthwhile(self.read, lambda: self.now))
        for _ in range(40):
            pace.stepped(self.step)
            pace.read(pace.chunk, self.fixed + self.token * pace.chunk)
        return pace


@pytest.mark.parametrize(
    ("step", "fixed", "token", "chunk"),
    [
        (0.010, 0.003, 0.00035, 16),  # two cores, eight streams: a step is 10 ms
        (0.060, 0.003, 0.00035, 160),  # steps got slower: more may be read beside them
        (0.030, 0.030, 0.00001, 512),  # a GPU reads nearly for nothing, though any chunk takes a step: the most
        (0.010, 0.030, 0.00025, 112),  # any chunk disturbs: one that spends half of its time on its tokens
        (0.001, 0.020, 0.01, 16),  # every token disturbs: the least
    ],
)
def test_a_chunk_takes_as_long_as_a_step_and_no_less_than_pays(step: float, fixed: float, token: float, chunk: int) -> None:
    assert Machine(step, fixed, token).settled().chunk == chunk


@pytest.mark.parametrize(("fixed", "token", "tokens"), [(0.003, 0.0003, 10), (0.0, 0.001, 0), (0.03, 0.0, 512)])
def test_how_many_tokens_cost_as_much_as_a_pass_itself_is_measured(fixed: float, token: float, tokens: int) -> None:
    machine = Machine(0.0, fixed, token)
    assert worthwhile(machine.read, lambda: machine.now) == pytest.approx(tokens, abs=1)


def test_a_disturbed_measurement_counts_by_its_quickest_try() -> None:
    machine, pauses = Machine(0.0, 0.003, 0.0003), iter((0.5, 0.0, 0.0, 0.0, 0.5, 0.0))

    def read(tokens: int) -> None:
        machine.read(tokens)
        machine.now += next(pauses)

    assert worthwhile(read, lambda: machine.now) == pytest.approx(10, abs=1)


def test_one_hiccup_changes_a_chunk_little() -> None:
    machine = Machine(step=0.010, fixed=0.0, token=0.0001)
    pace = machine.settled()
    before = pace.chunk
    pace.stepped(0.020)
    pace.read(pace.chunk, 0.0001 * pace.chunk)
    assert before < pace.chunk < 1.5 * before


def test_before_the_first_step_the_chunk_stays() -> None:
    pace = Pace()
    pace.read(512, 10.0)
    assert pace.chunk == 64
