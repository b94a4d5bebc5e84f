"""A Teams of our own, to test against: stateful connector, login server and key server on one loopback port, people, faults.

    async with FakeTeams() as teams:
        # CARE: replace(Settings(), **teams.settings()), and its address:
        teams.deliver_to("http://127.0.0.1:…/api/messages")
        asked = await teams.say(ADA, "Why is my bill so high?")           # in her personal chat; a Message, told, `asked.status`
        asked = await teams.say(ADA, "…", in_=SUPPORT)                    # a new post with a mention; thread=asked answers below it
        asked = await teams.say(ADA, "…", in_=teams.group(ADA, GRACE))
        answer = (await teams.until(lambda: teams.answers(asked)))[0]     # .text, .reading, .final, .ai_label, .feedback, .cards, …
        await teams.edit(asked, "…"); await teams.delete(asked); await teams.redeliver(asked, new_id=True)
        await teams.react(ADA, answer, "like"); await teams.feedback(ADA, answer, "dislike", "It is wrong")   # → Outcome
        await teams.press(ADA, answer, "rate", {"why": "…"})              # a card's button → Outcome: .card, .said, .failed
        await teams.choose(ADA, answer, "New conversation"); await teams.stop(teams.personal(ADA)); await teams.consent(ADA, answer)
        await teams.install(ADA); await teams.tell({**teams.activity(ADA, "…"), "text": 5}).done.wait()
        await teams.told(teams.activity(ADA, "…"), token=teams.token(aud="another"))
        teams.faults.limit("update", times=2, retry_after=1)              # see faults.py for the kinds and what else goes wrong
        teams.streams.gap = 0                                             # no pace; also .seconds, .update_allowed, .dropped
        teams.outbox.resend = False                                       # also .lose_answers, .retry_pauses, .answer_seconds, .hang_up()

A message of the app counts as final unless it streams or ends in "…" without the AI label. What happened: `teams.calls`,
`called(kind)`, `messages(chat)`, `replies(asked)`, `posts(chat)`, `outbox.sent` (deliveries), `outbox.latencies()`.
"""

from tests.fakes.teams.activities import GONE
from tests.fakes.teams.fake import FakeTeams
from tests.fakes.teams.world import (
    ADA,
    ADMINS,
    APP_ID,
    BOT_ID,
    EVE,
    EXPERTS,
    GENERAL,
    GRACE,
    LINUS,
    OTHER_TENANT,
    STRANGER,
    SUPPORT,
    TENANT,
    Chat,
    Message,
    Person,
)

__all__ = [
    "ADA",
    "ADMINS",
    "APP_ID",
    "BOT_ID",
    "EVE",
    "EXPERTS",
    "GENERAL",
    "GONE",
    "GRACE",
    "LINUS",
    "OTHER_TENANT",
    "STRANGER",
    "SUPPORT",
    "TENANT",
    "Chat",
    "FakeTeams",
    "Message",
    "Person",
]
