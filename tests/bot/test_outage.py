"""A platform that is away: nobody else waits for it, and it is not stormed when it comes back."""

import asyncio

import pytest

from bot.connectors.insisting import Insistence, Refusals
from bot.connectors.removals import Removals


class Away(Exception):
    """As a platform says it."""


class Never(Exception):
    """For ever."""


REFUSALS = Refusals("Teams", Away, gone=Never, too_long=Never, refused=Never, pause=lambda _: 7.0)


async def _rests(monkeypatch: pytest.MonkeyPatch, turn: str) -> list[float]:
    writer, rests = Insistence(REFUSALS, turn, 9000), []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    async def step() -> None:
        if len(rests) < 6:
            raise Away

    monkeypatch.setattr(writer, "rest", rest)
    assert await writer.take(step)
    return rests


async def test_writers_do_not_all_come_back_at_the_same_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [await _rests(monkeypatch, f"turn {number}") for number in range(20)]
    for pauses in zip(*found, strict=True):
        assert len({round(pause, 3) for pause in pauses}) > 10
    assert all(7.0 <= rests[0] <= 10.5 for rests in found), "never sooner than the platform wants"
    assert all(32.0 <= rests[5] <= 48.0 for rests in found)


async def test_a_place_that_is_away_holds_up_no_other_removal() -> None:
    gone, all_others = [], asyncio.Event()

    class Kept:
        async def to_take_away(self, _: str) -> list[str]:
            return ["a place that is away", "one", "two"]

        async def taken_away(self, _: str, message: str) -> None:
            gone.append(message)
            if len(gone) == 2:
                all_others.set()

    async def delete(message: str) -> None:
        if message == "a place that is away":
            raise Away

    removals = Removals("teams", Kept(), delete, error=Away, gone=Never, refused=Never)  # type: ignore[arg-type]
    going = asyncio.create_task(removals.go_on())
    await asyncio.wait_for(all_others.wait(), 60)
    going.cancel()
    assert sorted(gone) == ["one", "two"]
