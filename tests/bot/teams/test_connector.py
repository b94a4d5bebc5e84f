"""CARE in Teams as a whole: what comes in is answered there, and goes on after a restart."""

from tests.bot.teams.conftest import Care
from tests.fakes.teams import ADA, SUPPORT


async def test_a_question_is_answered_where_it_was_asked(care: Care) -> None:
    for chat in (None, SUPPORT, care.teams.group(ADA)):
        asked = await care.teams.say(ADA, "Why is my bill so high?", in_=chat)
        assert asked.status == 201
        answer = await care.answer(asked)
        assert "You asked: Why is my bill so high? Bye." in answer.text
        assert answer.ai_label
