"""Operators promote and take back from a platform; nobody else does."""

import pytest

from bot.operations import NotOperator
from bot.promotion import NotAccepted
from model.errors import LoraMissing, NothingToRollBack
from tests.bot.conftest import StartCare
from tests.fakes.loras import shelved

OPERATOR = "slack:U0"


async def test_an_operator_promotes_and_takes_back(start_care: StartCare) -> None:
    async with start_care(operators=(OPERATOR,)) as care:
        shelved(care.shelf, "first")
        shelved(care.shelf, "second", seed=1)
        await care.service.promote("first", OPERATOR)
        applied = await care.service.promote("second", OPERATOR)
        assert (applied.change.lora_id, applied.change.before, applied.change.by) == ("second", "first", OPERATOR)
        assert (await care.service.rollback(OPERATOR)).change.lora_id == "first"
        care.shelf.try_out("second", by="night", reason="passed")
        assert (await care.service.rollback(OPERATOR)).change.action == "withdraw"
        await care.watch.look()
        assert care.service.status().live == care.shelf.live() == "first"


async def test_nobody_else_gives_orders(start_care: StartCare) -> None:
    async with start_care(operators=(OPERATOR,)) as care:
        shelved(care.shelf, "first")
        for by in ("slack:U1", "U0", "teams:U0", ""):
            with pytest.raises(NotOperator):
                await care.service.promote("first", by)
            with pytest.raises(NotOperator):
                await care.service.rollback(by)
        assert care.shelf.live() is None


async def test_orders_that_can_not_be_followed_change_nothing(start_care: StartCare) -> None:
    async with start_care(operators=(OPERATOR,)) as care:
        shelved(care.shelf, "refused", accepted=False)
        shelved(care.shelf, "control", control=True, seed=1)
        for name, error in (("refused", NotAccepted), ("control", NotAccepted), ("missing", LoraMissing), ("../x", LoraMissing)):
            with pytest.raises(error):
                await care.service.promote(name, OPERATOR)
        with pytest.raises(NothingToRollBack):
            await care.service.rollback(OPERATOR)
        assert care.shelf.live() is None


async def test_the_status_says_what_answers(start_care: StartCare) -> None:
    async with start_care(ready=False) as care:
        assert not care.service.status().ready
        await care.engine.start()
        status = care.service.status()
        assert (status.ready, status.model, status.running, status.waiting, status.live) == (True, "scripted", 0, 0, None)
