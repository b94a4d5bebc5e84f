"""What serves is judged: a smoke test, the thumbs, a share of the conversations first. What fails is taken back."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from bot import judge as judging
from bot.judgement import smoke_fault, wilson, worse
from bot.learning import SmokeTest, Thumbs
from bot.notices import OPERATORS
from bot.turns import now
from model.engine import Request
from model.shelf import Shelf
from tests.bot.conftest import Care, StartCare
from tests.bot.test_watch import promote
from tests.fakes.engine import ScriptedEngine
from tests.fakes.loras import shelved


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "loras")


def broken(lora_id: str, words: Sequence[str]) -> ScriptedEngine:
    """An engine whose LoRA answers with these words."""

    def answer(request: Request) -> Sequence[str]:
        return words if request.lora == lora_id else ["All", " is", " well."]

    return ScriptedEngine(answer)


async def look(care: Care) -> None:
    await care.watch.look()
    await care.judge.look()


async def rate(care: Care, up: int, down: int, *, crowd: str = "p", each: int = 1, **asked: object) -> None:
    """Thumbs on answers of whatever is live, `each` of one person."""
    for number in range(up + down):
        user = f"{crowd}{number // each}"
        turn = await care.ask(f"q{number}", user=user, **asked)
        body = {"turn_id": turn["id"], "user_id": user, "verdict": 1 if number < up else -1}
        assert (await care.client.post("/api/ratings", json=body)).status == 200


async def test_a_lora_that_answers_sense_passes_its_smoke_test_once(start_care: StartCare, shelf: Shelf) -> None:
    promote(shelf, "n1")
    async with start_care() as care:
        await look(care)
        asked = len(care.engine.requests)
        assert (care.judge.passed, asked) == ({"n1": True}, 30)
        await look(care)
        assert len(care.engine.requests) == asked
        assert (await (await care.client.get("/readyz")).json())["smoke_tests"] == {"n1": True}
        assert care.store.smoke_test("n1") == SmokeTest(True, "30 replies")


async def test_what_was_tested_is_not_tested_again_after_a_restart(start_care: StartCare, shelf: Shelf) -> None:
    promote(shelf, "n1")
    for asked in (30, 0):
        async with start_care(ScriptedEngine()) as care:
            await look(care)
            assert len(care.engine.requests) == asked


@pytest.mark.parametrize("words", [[""], ["la "] * 20, ["fine", "<|im_end|>", "more"], ["the same thing "] * 9])
async def test_a_lora_that_answers_nonsense_is_rolled_back_within_its_smoke_test(
    start_care: StartCare, shelf: Shelf, words: Sequence[str]
) -> None:
    promote(shelf, "n1", "n2")
    async with start_care(broken("n2", words)) as care:
        assert care.engine.status().live == "n2"
        await look(care)
        assert (care.engine.status().live, shelf.live()) == ("n1", "n1")
        last = shelf.history()[-1]
        assert (last.action, last.by, last.before) == ("rollback", "watch", "n2")
        assert "smoke test failed" in last.reason
        [notice] = care.store.unsent_notices(OPERATORS, "")
        assert "n2 was taken back" in notice.text


async def test_of_a_server_that_is_too_busy_nothing_is_concluded(
    start_care: StartCare, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "_SMOKE_SECONDS", 0.0)
    promote(shelf, "n1")
    async with start_care() as care:
        await look(care)
        assert (care.judge.passed, shelf.live()) == ({}, "n1")


async def test_fifty_thumbs_that_are_surely_worse_bring_the_predecessor_back(start_care: StartCare, shelf: Shelf) -> None:
    promote(shelf, "n1")
    async with start_care(queue=200) as care:
        await look(care)
        await rate(care, up=45, down=5)
        promote(shelf, "n2")
        await look(care)
        await rate(care, up=20, down=29)
        await look(care)
        assert shelf.live() == "n2", "49 thumbs are too few"
        await rate(care, up=0, down=1, crowd="last")
        await look(care)
        assert (shelf.live(), care.engine.status().live) == ("n1", "n1")
        assert "20 of 50 thumbs are up" in shelf.history()[-1].reason


async def test_one_person_two_accounts_of_a_program_or_people_who_do_not_take_part_bring_nothing_down(
    start_care: StartCare, shelf: Shelf
) -> None:
    promote(shelf, "n1")
    async with start_care(queue=200) as care:
        await look(care)
        await rate(care, up=60, down=0)
        promote(shelf, "n2")
        await look(care)
        await rate(care, up=0, down=60, crowd="mallory", each=60)
        await rate(care, up=0, down=60, crowd="program", model="n2")
        await rate(care, up=0, down=50, crowd="gone")
        for number in range(50):
            care.store.opt_out("api", f"gone{number}", now())
        await look(care)
        assert (shelf.live(), care.store.thumbs("n2")) == ("n2", Thumbs(0, 3))


async def test_a_live_lora_is_judged_while_a_canary_is_on_trial(start_care: StartCare, shelf: Shelf) -> None:
    promote(shelf, "n1", "n2")
    shelved(shelf, "n3", seed=3)
    async with start_care(broken("n2", [""])) as care:
        shelf.try_out("n3", by="test", reason="")
        await look(care)
        assert (shelf.live(), shelf.canary(), care.judge.passed) == ("n1", "n3", {"n3": True, "n2": False})


async def test_a_rollback_that_failed_is_tried_again(start_care: StartCare, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    promote(shelf, "n1", "n2")
    async with start_care(broken("n2", [""])) as care:
        with monkeypatch.context() as patched:
            patched.setattr(Shelf, "rollback", full)
            with pytest.raises(OSError, match="No space"):
                await look(care)
        assert (shelf.live(), care.store.smoke_test("n2").passed) == ("n2", False)  # type: ignore[union-attr]
        await look(care)
        assert shelf.live() == "n1"
    shelf.promote("n2", by="test", reason="forced again")
    async with start_care(broken("n2", [""])) as care:
        await look(care)
        assert (shelf.live(), len(care.engine.requests)) == ("n1", 0), "what failed once is not asked again"


async def test_a_canary_answers_its_share_of_the_conversations_and_always_the_same_ones(start_care: StartCare, shelf: Shelf) -> None:
    promote(shelf, "n1")
    shelved(shelf, "n2", seed=2)
    async with start_care(canary_share=20) as care:
        shelf.try_out("n2", by="test", reason="")
        await care.watch.look()
        chosen = {f"c{n}": care.watch.choose("api", f"c{n}") for n in range(1000)}
        assert set(chosen.values()) == {"n1", "n2"}
        assert 150 < sum(lora == "n2" for lora in chosen.values()) < 250
        some = next(name for name, lora in chosen.items() if lora == "n2")
        for _ in range(3):
            turn = await care.ask(metadata={"conversation_id": some})
            reply = care.store.turn(turn["id"]).reply
            assert reply is not None
            assert reply.lora_id == "n2"
        shelf.withdraw("n2", by="test", reason="")
        await care.watch.look()
        assert care.watch.choose("api", some) == "n1"


async def test_a_canary_that_nothing_speaks_against_answers_everybody_after_its_hours(
    start_care: StartCare, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(shelf, "n1")
    shelved(shelf, "n2", seed=2)
    async with start_care(canary_hours=2) as care:
        shelf.try_out("n2", by="night", reason="every gate passed")
        await look(care)
        assert (shelf.live(), shelf.canary()) == ("n1", "n2")
        later = now() + timedelta(hours=2, minutes=1)
        monkeypatch.setattr(judging, "now", lambda: later)
        await look(care)
        assert (shelf.live(), shelf.canary(), care.engine.status().live, care.watch.canary) == ("n2", None, "n2", None)
        assert "nothing spoke against it" in shelf.history()[-1].reason


async def test_a_broken_canary_is_withdrawn_and_what_is_live_stays(start_care: StartCare, shelf: Shelf) -> None:
    promote(shelf, "n1")
    shelved(shelf, "n2", seed=2)
    async with start_care(broken("n2", [""]), canary_hours=0) as care:
        shelf.try_out("n2", by="night", reason="")
        await look(care)
        assert (shelf.live(), shelf.canary(), care.watch.canary, care.engine.status().live) == ("n1", None, None, "n1")


async def test_a_canary_link_made_by_hand_serves_and_stays_until_somebody_ends_it(start_care: StartCare, shelf: Shelf) -> None:
    shelved(shelf, "n1")
    (shelf.folder / "canary").symlink_to("n1")
    async with start_care(canary_hours=0, canary_share=100) as care:
        await look(care)
        assert (care.watch.choose("web", "c"), shelf.canary(), shelf.live()) == ("n1", "n1", None)


def test_the_oldest_are_pruned_but_never_live_its_predecessor_or_the_canary(shelf: Shelf) -> None:
    promote(shelf, "n1", "n2")
    for number in range(3, 9):
        shelved(shelf, f"n{number}", seed=number)
    shelf.try_out("n3", by="test", reason="")
    assert list(shelf.prune(keep=2)) == ["n4", "n5", "n6"]
    assert [entry.id for entry in shelf.list()] == ["n1", "n2", "n3", "n7", "n8"]
    assert shelf.rollback(by="test", reason="").lora_id == "n1"


def test_wilson_bounds_are_those_of_the_textbook() -> None:
    assert (round(wilson(8, 10).low, 3), round(wilson(8, 10).high, 3)) == (0.490, 0.943)
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)
    assert worse(Thumbs(10, 40), Thumbs(0, 0)) is None
    assert worse(Thumbs(10, 40), Thumbs(40, 10)) is not None


def test_two_stumbles_among_thirty_are_a_good_day() -> None:
    replies: dict[str, str | None] = {f"q{n}": f"A calm and useful answer about number {n}." for n in range(30)}
    assert smoke_fault({**replies, "q1": "", "q2": None}) is None
    assert "5 were empty, 2 ended in an error" in str(smoke_fault({**replies, **{f"q{n}": "" for n in range(5)}, "q6": None, "q7": None}))
