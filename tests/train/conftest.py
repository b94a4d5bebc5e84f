"""What the tests of the night share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.store import Store
from tests.train.nights import model, nights, process
from tests.train.people import Day

__all__ = ["model", "nights", "process"]  # fixtures


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    store = Store(tmp_path / "care.db")
    yield Day(store)
    store.close()
