"""A conversation that goes to the experts, as tests drive it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.bot.teams.conftest import Care
from tests.fakes.teams import ADA, EXPERTS, Message


@asynccontextmanager
async def posted_by(care: Care) -> AsyncIterator[None]:
    """The postman goes his rounds."""
    task = asyncio.create_task(care.service.postman.follow())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def says(care: Care, asked: Message, words: str) -> Message:
    """A message of CARE's after a question."""
    return (await care.teams.until(lambda: [each for each in care.teams.replies(asked) if words in each.reading]))[0]


async def the_post(care: Care) -> Message:
    """The experts' post, as the postman brings it."""
    return (await care.teams.until(lambda: [each for each in care.teams.posts(EXPERTS) if each.cards]))[0]


async def below(care: Care, post: Message, words: str) -> Message:
    """A message of CARE's below the experts' post."""
    mine = lambda: [each for each in care.teams.posts(EXPERTS) if each.place == post.place and words in each.reading]  # noqa: E731
    return (await care.teams.until(mine))[0]


async def handed_over(care: Care) -> tuple[Message, Message]:
    """A question whose asker then wanted a person, and the experts' post."""
    asked = await care.teams.say(ADA, "Why is my bill so high?")
    await care.answer(asked)
    await care.teams.say(ADA, "human")
    return asked, await the_post(care)
