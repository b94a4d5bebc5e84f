"""Claims on how many seconds something takes, which a busy moment of the machine breaks as well as a fault does."""

from collections.abc import Iterable

import pytest

MEASURE_AGAIN = 75  # the exit code where nothing but such claims failed

_failed: list[bool] = []  # whether it was such a claim


class TooSlow(AssertionError):
    """It took more seconds than it may."""


def within(limit: float, seconds: Iterable[float]) -> None:
    """Raises TooSlow where one of these is not under the limit."""
    most = max(seconds)
    if most >= limit:
        raise TooSlow(f"{most:.3g} s, and it has to be under {limit:g} s")


def pytest_exception_interact(call: pytest.CallInfo[object]) -> None:
    assert call.excinfo is not None
    _failed.append(call.excinfo.errisinstance(TooSlow))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.TESTS_FAILED and _failed and all(_failed):
        session.exitstatus = MEASURE_AGAIN
