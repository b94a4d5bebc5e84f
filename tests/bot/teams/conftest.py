"""A whole CARE in this process, in a Teams of our own; and the door of it alone."""

from collections.abc import AsyncIterator

import pytest

from tests.bot.teams.door import Door, opened
from tests.fakes.teams import FakeTeams


@pytest.fixture
async def teams() -> AsyncIterator[FakeTeams]:
    async with FakeTeams() as fake:
        yield fake


@pytest.fixture
async def door(teams: FakeTeams) -> AsyncIterator[Door]:
    async with opened(teams) as found:
        yield found
