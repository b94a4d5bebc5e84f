"""People take a conversation over: posted once, silent until handed back, and what they write is learned."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.notices import OPERATORS, Notice
from bot.postman import Postman
from bot.store import NotYours, OptedOut, StorageFull, Store, UnknownHandover, UnknownTurn
from bot.turns import ExpertReply, Handover, Question, Status, Turn, now
from tests.bot import test_service
from tests.bot.conftest import Care, StartCare
from tests.fakes.engine import ScriptedEngine
from train import collect

QUESTION = Question("slack", "Ev1", "T1/D1/1.0", "U1", "Why is my router slow?", now(), message="T1/D1/1.0")


class Platform(test_service.Platform):
    """Posts what the postman brings; fails as often as it is told to."""

    def __init__(self, failures: int = 0, experts: bool = True) -> None:
        super().__init__()
        self.failures = failures
        self.experts = experts
        self.told: list[str] = []
        self.posts: list[tuple[Handover, tuple[Turn, ...]]] = []
        self.relays: list[tuple[str, str]] = []
        self.replies: list[tuple[str, str]] = []

    def fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the platform is away")

    async def tell(self, notice: Notice) -> bool:
        self.fail()
        self.told.append(notice.text)
        return True

    async def hand_over(self, handover: Handover, turns: tuple[Turn, ...]) -> str | None:
        self.fail()
        if not self.experts:
            return None
        self.posts.append((handover, turns))
        return f"T1/C9/{len(self.posts)}.0"

    async def relay(self, handover: Handover, turn: Turn) -> None:
        self.fail()
        self.relays.append((handover.message or "", turn.question.text))

    async def expert_replied(self, handover: Handover, reply: ExpertReply) -> None:
        self.fail()
        self.replies.append((handover.conversation_id, reply.text))


@pytest.fixture
def platform(care: Care) -> Platform:
    platform = Platform()
    care.service.connect(platform)
    return platform


async def asked(care: Care, number: int = 1, **fields: object) -> Turn:
    question = replace(QUESTION, event_id=f"Ev{number}", message=f"T1/D1/{number}.0", **fields)
    turn, _ = await care.service.ask(question)
    return await care.service.wait(turn.id)


async def handed_over(care: Care) -> Handover:
    handover = await care.service.hand_over("slack", QUESTION.conversation_id, "U1")
    await care.service.postman.go_round()
    return await care.service.handed_over("slack", QUESTION.conversation_id) or handover


async def test_a_conversation_is_posted_to_the_experts_with_all_that_was_said(care: Care, platform: Platform) -> None:
    turn = await asked(care)
    handover = await handed_over(care)
    [(posted, turns)] = platform.posts
    assert (posted.turn_id, [each.id for each in turns]) == (turn.id, [turn.id])
    assert (await care.service.handover_at("slack", "T1/C9/1.0")).id == handover.id == posted.id
    again = await care.service.hand_over("slack", QUESTION.conversation_id, "U2")
    await care.service.postman.go_round()
    assert (again.id, len(platform.posts)) == (handover.id, 1)


async def test_what_shows_experts_what_was_erased_meanwhile_is_to_be_taken_away(care: Care, platform: Platform) -> None:
    handover = await handed_over(care)
    for _ in range(2):
        assert await care.service.shown_to_experts("slack", "T1/C9/1.0", handover)
    await care.service.forget("slack", "U1")
    assert await care.service.to_take_away("slack") == ["T1/C9/1.0"]
    assert not await care.service.shown_to_experts("slack", "T1/C9/2.0", handover)
    assert await care.service.to_take_away("slack") == ["T1/C9/1.0", "T1/C9/2.0"]


async def test_care_is_silent_until_the_conversation_is_handed_back(care: Care, platform: Platform) -> None:
    await asked(care)
    handover = await handed_over(care)
    turn, fresh = await care.service.ask(replace(QUESTION, event_id="Ev2", message="m2", text="Are you there?"))
    assert (turn.status, fresh, turn.reply) == (Status.CANCELLED, False, None)
    duplicate, _ = await care.service.ask(replace(QUESTION, event_id="Ev3", message="m2", text="Are you there?"))
    await care.service.postman.go_round()
    await care.service.postman.go_round()
    assert duplicate.id == turn.id
    assert platform.relays == [("T1/C9/1.0", "Are you there?")]
    assert len(care.engine.requests) == 1

    ended = await care.service.hand_back(handover.id)
    assert ended.ended_at == (await care.service.hand_back(handover.id)).ended_at
    assert await care.service.handed_over("slack", QUESTION.conversation_id) is None
    assert (await asked(care, 4)).status is Status.DELIVERED
    with pytest.raises(UnknownHandover):
        await care.service.hand_back("no such")


async def test_a_running_answer_stops_when_people_take_over(start_care: StartCare) -> None:
    never = asyncio.Event()
    async with start_care(ScriptedEngine(step=never.wait)) as care:
        care.service.connect(Platform())
        turn, _ = await care.service.ask(QUESTION)
        await asyncio.sleep(0.02)
        await care.service.hand_over("slack", QUESTION.conversation_id, "U1")
        assert (await care.service.wait(turn.id)).status is Status.CANCELLED


async def test_what_was_written_before_the_post_is_in_it_and_not_relayed_again(care: Care, platform: Platform) -> None:
    platform.failures = 1
    await handed_over(care)
    await asked(care, 2, text="Hello?")
    care.service.postman._failed.clear()
    await care.service.postman.go_round()
    await care.service.postman.go_round()
    assert [each.question.text for each in platform.posts[0][1]] == ["Hello?"]
    assert platform.relays == []


async def test_a_platform_that_is_away_is_tried_again_after_a_pause_and_nothing_is_lost(care: Care, platform: Platform) -> None:
    platform.failures = 2
    care.store.notify([Notice("n1", "taught", "slack", "U1", "s", "You taught me this", now())])
    await care.service.hand_over("slack", QUESTION.conversation_id, "U1")
    await care.service.postman.go_round()
    await care.service.postman.go_round()  # within the pause
    assert (platform.told, platform.posts, platform.failures) == ([], [], 0)
    again = Postman(care.service._archive, {"slack": platform})  # the next start
    await again.go_round()
    await again.go_round()
    assert (platform.told, len(platform.posts)) == (["You taught me this"], 1)


async def test_what_a_full_disk_keeps_from_being_noted_is_posted_once(
    care: Care, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    care.store.notify([Notice("n1", "taught", "slack", "U1", "s", "You taught me this", now())])
    await care.service.hand_over("slack", QUESTION.conversation_id, "U1")
    disk, told = {"full": True}, Store.told

    def keep(store: Store, *args: object) -> None:
        if disk["full"]:
            raise StorageFull("the disk is full")
        told(store, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "told", keep)
    await care.service.postman.go_round()
    await care.service.postman.go_round()  # within the pause
    assert (platform.told, len(platform.posts)) == (["You taught me this"], 1), "what is behind it goes on"
    assert care.service.postman._failed
    for disk["full"] in (True, False, False):
        care.service.postman._failed.clear()
        await care.service.postman.go_round()
    assert platform.told == ["You taught me this"]
    assert care.store.untold("slack", now() - timedelta(days=1)) == []


async def test_what_is_handed_over_survives_a_restart(start_care: StartCare) -> None:
    platform = Platform(failures=9)
    async with start_care() as care:
        care.service.connect(platform)
        await asked(care)
        await handed_over(care)
        await asked(care, 2, text="Are you there?")
        await care.service.postman.go_round()
    platform.failures = 0
    for _ in range(2):
        async with start_care() as care:
            care.service.connect(platform)
            await care.service.postman.go_round()
    assert len(platform.posts) == 1
    assert [turn.question.text for turn in platform.posts[0][1]] == [QUESTION.text, "Are you there?"]


async def test_a_place_without_experts_is_not_asked_again_and_again(care: Care, platform: Platform) -> None:
    platform.experts = False
    await care.service.hand_over("slack", QUESTION.conversation_id, "U1")
    for _ in range(3):
        await care.service.postman.go_round()
    assert len(care.service.postman._nowhere) == 1
    assert len(care.store.unposted_handovers("slack")) == 1


async def test_operators_are_told_once_on_each_platform_and_no_old_news(care: Care, platform: Platform) -> None:
    other = Platform()
    other.platform = "teams"
    care.service.connect(other)
    news = Notice("n1", "report", OPERATORS, "", "tonight", "Promoted", now())
    care.store.notify([news, replace(news, id="n2", subject="last year", created_at=now() - timedelta(days=300))])
    for _ in range(2):
        await care.service.postman.go_round()
    assert (platform.told, other.told) == (["Promoted"], ["Promoted"])


async def test_notices_to_people_of_the_page_stay_for_the_page(care: Care) -> None:
    care.store.notify([Notice("n1", "taught", "web", "ada", "s", "You taught me this", now())])
    await care.service.postman.go_round()
    assert [notice.id for notice in await care.service.notices("web", "ada")] == ["n1"]


async def test_what_an_expert_writes_is_the_correction_of_the_newest_turn(care: Care, platform: Platform) -> None:
    await asked(care)
    turn = await asked(care, 2)
    handover = await handed_over(care)
    assert (await care.service.expert_replied(handover.id, "U9", "Restart the router, then update its firmware.")).id == handover.id
    await care.service.expert_replied(handover.id, "U9", "You're welcome!")
    [rated] = care.store.rated()[0]
    assert rated.turn.id == turn.id
    assert [(each.user_id, each.verdict, each.correction) for each in rated.ratings] == [
        ("U9", -1, "Restart the router, then update its firmware.")
    ]


async def test_an_experts_words_are_brought_once_whatever_fails_and_not_kept_afterwards(care: Care, platform: Platform) -> None:
    await asked(care)
    handover = await handed_over(care)
    platform.failures = 1
    await care.service.expert_replied(handover.id, "U9", "Restart it.", "T1/C9/7.0")
    await care.service.postman.go_round()
    assert platform.replies == []
    again = Postman(care.service._archive, {"slack": platform})  # the next start
    await again.go_round()
    await care.service.expert_replied(handover.id, "U9", "Restart it.", "T1/C9/7.0")  # told of again
    await again.go_round()
    assert platform.replies == [(QUESTION.conversation_id, "Restart it.")]
    assert [row["text"] for row in care.store._rows("SELECT text FROM expert_replies")] == [""]


async def test_an_expert_who_is_forgotten_leaves_no_words_to_be_brought(care: Care, platform: Platform) -> None:
    await asked(care)
    handover = await handed_over(care)
    await care.service.expert_replied(handover.id, "U9", "Restart it.", "T1/C9/7.0")
    assert "Restart it." in await care.service.export("slack", "U9")
    await care.service.forget("slack", "U9")
    await care.service.postman.go_round()
    assert platform.replies == []


@pytest.mark.parametrize("out", ["U9", "U1"])
async def test_nothing_is_learned_where_the_expert_or_the_asker_opted_out(care: Care, platform: Platform, out: str) -> None:
    await asked(care)
    handover = await handed_over(care)
    await care.service.opt_out("slack", out)
    await care.service.expert_replied(handover.id, "U9", "Restart it.")
    assert care.store.rated() == ([], [])


async def test_an_expert_of_a_conversation_without_a_question_teaches_nothing(care: Care, platform: Platform) -> None:
    handover = await handed_over(care)
    await care.service.expert_replied(handover.id, "U9", "How can I help?")
    assert care.store.verdicts() == {}


async def test_a_colleagues_reply_in_a_thread_corrects_the_answer_in_it(care: Care, platform: Platform) -> None:
    question = replace(QUESTION, private=False, conversation_id="T1/C1/1.0", message="T1/C1/1.0")
    turn, _ = await care.service.ask(question)
    await care.service.wait(turn.id)
    taught = await care.service.teach("slack", "T1/C1/1.0", "U2", "U3", "Restart it.")
    assert taught.id == turn.id
    [rated] = care.store.rated()[0]
    assert [(each.user_id, each.author_id, each.correction) for each in rated.ratings] == [("U2", "U3", "Restart it.")]


async def test_an_answer_can_be_named_by_its_own_message_too(care: Care, platform: Platform) -> None:
    first, second = [await asked(care, number, private=False) for number in (1, 2)]
    assert (await care.service.teach("slack", first.reply_ref, "U2", "U2", "No.")).id == first.id
    assert (await care.service.teach("slack", QUESTION.conversation_id, "U2", "U2", "No.")).id == second.id


async def test_teaching_is_refused_where_nobody_may(care: Care, platform: Platform) -> None:
    turn = await asked(care)
    with pytest.raises(UnknownTurn):
        await care.service.teach("slack", "T1/C1/404.0", "U2", "U3", "Restart it.")
    with pytest.raises(NotYours):
        await care.service.teach("slack", turn.reply_ref, "U2", "U3", "Restart it.")
    for out in ("U3", "U2"):
        await care.service.opt_out("slack", out)
        with pytest.raises(OptedOut):
            await care.service.teach("slack", turn.reply_ref, "U2", "U3", "Restart it.")
        await care.service.opt_in("slack", out)


async def test_experts_may_teach_in_the_thread_of_their_post(care: Care, platform: Platform) -> None:
    turn = await asked(care)
    handover = await handed_over(care)
    assert (await care.service.teach("slack", handover.message, "U2", "U3", "Restart it.")).id == turn.id


async def test_words_of_somebody_who_opts_out_later_are_not_learned(care: Care, platform: Platform) -> None:
    from bot import domains

    await asked(care, private=False)
    await care.service.teach("slack", QUESTION.conversation_id, "U2", "U3", "Restart it.")
    rated, _ = care.store.rated()
    assert len(collect.accept(rated, domains.load())[0]) == 1
    found, reasons = collect.accept(rated, domains.load(), frozenset({"slack:U3"}))
    assert (found, reasons) == ([], {"opted_out": 1})


async def test_an_edited_question_is_relayed_as_it_reads_now(care: Care, platform: Platform) -> None:
    await asked(care)
    await handed_over(care)
    await asked(care, 2, text="Are you their?")
    edited = await care.service.edit(replace(QUESTION, event_id="Ev7", message="T1/D1/2.0", edition="2.5", text="Are you there?"))
    assert edited is not None
    await care.service.postman.go_round()
    assert [text for _, text in platform.relays] == ["Are you their?", "Are you there?"]


def test_a_database_of_before_is_brought_up_to_date(tmp_path, monkeypatch) -> None:
    from bot.migrations import migrations

    every = list(migrations._migrations)
    monkeypatch.setattr(migrations, "_migrations", every[:3])
    Store(tmp_path / "care.db").close()
    monkeypatch.setattr(migrations, "_migrations", every)
    store = Store(tmp_path / "care.db")
    turn = store.receive(QUESTION, "t1", "other")
    assert (turn.question, store.asked_in("slack", "T1/D1/1.0")) == (QUESTION, turn)
    store.close()


async def test_a_platform_that_is_away_holds_up_no_other(care: Care) -> None:
    class Hangs(Platform):
        async def tell(self, notice: Notice) -> bool:
            await asyncio.Event().wait()
            return True

    hangs, other = Hangs(), Platform()
    hangs.platform = "away"
    care.service.connect(hangs)
    care.service.connect(other)
    care.store.notify([Notice("n1", "report", OPERATORS, "", "tonight", "Promoted", now())])
    going = asyncio.create_task(care.service.postman.go_round())
    async with asyncio.timeout(60):
        while not other.told:
            await asyncio.sleep(0.01)
    going.cancel()
