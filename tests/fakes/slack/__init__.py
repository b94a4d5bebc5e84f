"""A Slack of our own, to test against: stateful Web API, Socket Mode, signed HTTP events, people, faults, and a page.

    async with FakeSlack() as slack:
        # CARE: SLACK_API_URL=slack.api_url, SLACK_BOT_TOKEN=slack.bot_token, SLACK_APP_TOKEN=slack.app_token;
        # over HTTP: SLACK_SIGNING_SECRET=slack.signing_secret and slack.deliver_to("http://127.0.0.1:…/slack/events")
        await slack.connected()                                       # … until it has its sockets
        asked = slack.mention(ADA, SUPPORT, "Why is my bill so high?")  # or slack.say(ADA, slack.dm(ADA), "…"): a Message
        answer = (await slack.until(lambda: slack.answers(asked)))[0]   # finished messages of the app in that thread
        assert "roaming" in answer.reading                            # text and blocks as a person reads them; .text, .blocks, .json()
        await slack.click(answer, "care_feedback", ADA, value="-1")   # waits for the acknowledgement; .acked, .response, .acked_after
        view = await slack.until(lambda: slack.open_view(ADA))        # the modal she sees
        await slack.submit(view, {"correction": "It is the roaming"})  # then view.open, view.errors
        slack.faults.rate_limit("chat.postMessage", times=2, retry_after=1)  # also .refuse, .slow, .outage, .lose_replies;
        # slack.expire_streams(), .disconnect(), .sockets.drop(), .revoke()
        slack.outbox.duplicates = 1.0  # also .lose_acks = 3, .ack_seconds, .retry_pauses, .redeliver(delivery)

What happened: `slack.calls`, `called(method)`, `messages(channel)`, `replies(said)`, `ephemerals`, `views`, `homes`, `outbox.sent`
(deliveries), `outbox.latencies()`, `workspace.statuses` and `.sessions` by (channel, root ts), `workspace.prompts`.
`FakeSlack.installed(manifest)` gives the app only what its manifest asks for. `python -m tests.fakes.slack` serves it alone,
`make demo-slack` with CARE.
"""

from tests.fakes.slack.fake import FakeSlack
from tests.fakes.slack.workspace import ADA, ADMINS, BOT_USER, EVE, EXPERTS, GRACE, LINUS, OTHER_BOT, PARTNERS, RANDOM, SUPPORT, TEAM

__all__ = [
    "ADA",
    "ADMINS",
    "BOT_USER",
    "EVE",
    "EXPERTS",
    "GRACE",
    "LINUS",
    "OTHER_BOT",
    "PARTNERS",
    "RANDOM",
    "SUPPORT",
    "TEAM",
    "FakeSlack",
]
