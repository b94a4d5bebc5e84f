"""The chat.* methods: posting, updating, deleting, streaming. Knows nothing of requests, tokens or rates."""

from typing import TYPE_CHECKING

from tests.fakes.slack import events
from tests.fakes.slack.arguments import Method, flag, listing, mapping, text
from tests.fakes.slack.blocks import checked_blocks, checked_chunks, checked_metadata
from tests.fakes.slack.refusals import Refused
from tests.fakes.slack.workspace import BOT, BOT_USER, Channel, Json, Message

if TYPE_CHECKING:
    from tests.fakes.slack.fake import FakeSlack

TEXT_CHARS = 40_000  # chat.postMessage's `text`
MARKDOWN_BYTES = 10_000  # what one message of Markdown holds
_CONTENT = {"text": text, "blocks": listing, "attachments": listing, "markdown_text": text}
_LOOKS = {"icon_emoji": text, "icon_url": text, "username": text}
_POSTING = {"as_user": flag, "link_names": flag, "parse": text, **_LOOKS}


def writable(slack: "FakeSlack", channel: str) -> Channel:
    """A channel that the app may write in; a user's id means their DM."""
    if channel in slack.workspace.people and channel != BOT_USER:
        return slack.workspace.dm(channel)
    found = readable(slack, channel)
    if BOT_USER not in found.members:
        raise Refused("not_in_channel")
    return found


def readable(slack: "FakeSlack", channel: str) -> Channel:
    """A channel that the app can see."""
    found = slack.workspace.channels.get(channel)
    if found is None or (found.private and BOT_USER not in found.members):
        raise Refused("channel_not_found")
    return found


def content(given: Json) -> tuple[str, bool, list[Json]]:
    """The text, whether it is Markdown, and the blocks of a message."""
    words, markdown = given.get("text", ""), given.get("markdown_text", "")
    blocks = checked_blocks(given["blocks"]) if given.get("blocks") else []
    if markdown and (words or blocks):
        raise Refused("markdown_text_conflict", "markdown_text can't be used with text or blocks")
    if not (words or markdown or blocks or given.get("attachments")):
        raise Refused("no_text")
    if len(words) > TEXT_CHARS or len(markdown.encode()) > MARKDOWN_BYTES:
        raise Refused("msg_too_long")
    return markdown or words, bool(markdown), blocks


def own(slack: "FakeSlack", channel: str, ts: str, error: str = "cant_update_message") -> Message:
    """A message that the app wrote."""
    readable(slack, channel)
    found = slack.workspace.find(channel, ts)
    if found is None:
        raise Refused("message_not_found")
    if found.bot_id != BOT:
        raise Refused(error)
    return found


async def post_message(slack: "FakeSlack", given: Json) -> Json:
    channel = writable(slack, given["channel"])
    words, markdown, blocks = content(given)
    said = _new(slack, channel, given.get("thread_ts"), words)
    said.markdown, said.blocks, said.metadata = markdown, _named(slack, blocks), checked_metadata(given.get("metadata"))
    said.broadcast = given.get("reply_broadcast", False)
    slack.workspace.add(said)
    slack.tell_message(said)
    return {"channel": channel.id, "ts": said.ts, "message": said.json()}


async def post_ephemeral(slack: "FakeSlack", given: Json) -> Json:
    channel = writable(slack, given["channel"])
    if given["user"] not in channel.members:
        raise Refused("user_not_in_channel")
    words, markdown, blocks = content(given)
    said = _new(slack, channel, given.get("thread_ts"), words)
    said.markdown, said.blocks, said.ephemeral_to = markdown, _named(slack, blocks), given["user"]
    slack.workspace.ephemerals.append(said)
    slack.workspace.changed("ephemeral", said)
    return {"message_ts": said.ts}


async def update(slack: "FakeSlack", given: Json) -> Json:
    said = own(slack, given["channel"], given["ts"])
    if said.streaming and not slack.expired(said):
        raise Refused("streaming_state_conflict")
    before = said.json()
    words, markdown, blocks = content(given)
    if "metadata" in given:
        said.metadata = checked_metadata(given["metadata"])
    # Text without blocks takes the old blocks away, blocks leave no "edited": chat.update's own rules.
    if words or "blocks" in given:
        said.blocks = _named(slack, blocks)
    said.text, said.markdown, said.streaming = words, markdown, False
    said.edited = said.edited if blocks else slack.workspace.new_ts()
    slack.workspace.changed("message", said)
    slack.tell_changed(said, before)
    return {"channel": said.channel, "ts": said.ts, "text": said.text, "message": said.json()}


async def delete(slack: "FakeSlack", given: Json) -> Json:
    said = own(slack, given["channel"], given["ts"], "cant_delete_message")
    slack.erase(said)
    return {"channel": said.channel, "ts": said.ts}


async def permalink(slack: "FakeSlack", given: Json) -> Json:
    readable(slack, given["channel"])
    if slack.workspace.find(given["channel"], given["message_ts"]) is None:
        raise Refused("message_not_found")
    link = f"https://{events.TEAM_JSON['domain']}.slack.com/archives/{given['channel']}/p{given['message_ts'].replace('.', '')}"
    return {"channel": given["channel"], "permalink": link}


async def start_stream(slack: "FakeSlack", given: Json) -> Json:
    channel = writable(slack, given["channel"])
    if not channel.with_user:
        for name in ("recipient_user_id", "recipient_team_id"):
            if not given.get(name):
                raise Refused(f"missing_{name}")
    if given.get("recipient_user_id", slack.users.ada) not in slack.workspace.people or given.get("recipient_user_id") == BOT_USER:
        raise Refused("user_not_found")
    said = _new(slack, channel, given["thread_ts"], "")
    said.markdown = said.streaming = True
    said.stream_since = slack.clock()
    _append(said, given)
    slack.workspace.add(said)
    slack.tell_message(said)
    return {"channel": channel.id, "ts": said.ts}


async def append_stream(slack: "FakeSlack", given: Json) -> Json:
    said = _streaming(slack, given)
    if not given.get("markdown_text") and not given.get("chunks"):
        raise Refused("no_text")
    _append(said, given)
    slack.workspace.changed("message", said)
    return {"channel": said.channel, "ts": said.ts}


async def stop_stream(slack: "FakeSlack", given: Json) -> Json:
    said = _streaming(slack, given)
    before = said.json()
    blocks = checked_blocks(given["blocks"]) if given.get("blocks") else []
    _append(said, given)
    said.blocks += _named(slack, blocks)
    said.streaming, said.metadata = False, checked_metadata(given.get("metadata"))
    if given.get("session_status"):
        slack.set_session(said.channel, said.root, given["session_status"])
    slack.workspace.changed("message", said)
    slack.tell_changed(said, before)
    return {"channel": said.channel, "ts": said.ts, "message": said.json()}


def _new(slack: "FakeSlack", channel: Channel, thread_ts: str | None, words: str) -> Message:
    if thread_ts is not None and thread_ts not in slack.workspace.log[channel.id]:
        raise Refused("invalid_thread_ts")
    if thread_ts is not None and slack.workspace.log[channel.id][thread_ts].thread_ts not in (None, thread_ts):
        raise Refused("invalid_thread_ts", "thread_ts is the name of a reply; use its root")
    return Message(channel.id, slack.workspace.new_ts(), BOT_USER, words, thread_ts, bot_id=BOT)


def _streaming(slack: "FakeSlack", given: Json) -> Message:
    said = own(slack, given["channel"], given["ts"], "message_not_owned_by_app")
    if not said.streaming or slack.expired(said):
        raise Refused("message_not_in_streaming_state")
    return said


def _append(said: Message, given: Json) -> None:
    words, blocks = checked_chunks(given.get("chunks", []))
    words = given.get("markdown_text", "") + words
    if len((said.text + words).encode()) > MARKDOWN_BYTES:
        raise Refused("msg_too_long")
    said.text += words
    said.blocks += blocks


def _named(slack: "FakeSlack", blocks: list[Json]) -> list[Json]:
    """Blocks with the ids that Slack gives to those without."""
    return [{**block, "block_id": block.get("block_id") or slack.workspace.new_id("b")} for block in blocks]


_STREAM = {"markdown_text": text, "chunks": listing}
METHODS = {
    "chat.postMessage": Method(
        post_message,
        ("chat:write",),
        {"channel": text},
        {
            **_CONTENT,
            **_POSTING,
            "thread_ts": text,
            "reply_broadcast": flag,
            "unfurl_links": flag,
            "unfurl_media": flag,
            "mrkdwn": flag,
            "metadata": mapping,
            "container_id": text,
        },
        limit=60,
    ),
    "chat.postEphemeral": Method(
        post_ephemeral, ("chat:write",), {"channel": text, "user": text}, {**_CONTENT, **_POSTING, "thread_ts": text}, limit=100
    ),
    "chat.update": Method(
        update,
        ("chat:write",),
        {"channel": text, "ts": text},
        {**_CONTENT, "as_user": flag, "link_names": flag, "parse": text, "reply_broadcast": flag, "metadata": mapping, "file_ids": listing},
        limit=50,
    ),
    "chat.delete": Method(delete, ("chat:write",), {"channel": text, "ts": text}, {"as_user": flag}, limit=50),
    "chat.getPermalink": Method(permalink, (), {"channel": text, "message_ts": text}),
    "chat.startStream": Method(
        start_stream,
        ("chat:write",),
        {"channel": text, "thread_ts": text},
        {**_STREAM, **_LOOKS, "recipient_team_id": text, "recipient_user_id": text, "task_display_mode": text},
        limit=20,
    ),
    "chat.appendStream": Method(append_stream, ("chat:write",), {"channel": text, "ts": text}, _STREAM, limit=100),
    "chat.stopStream": Method(
        stop_stream,
        ("chat:write",),
        {"channel": text, "ts": text},
        {**_STREAM, "blocks": listing, "metadata": mapping, "session_status": text},
        limit=20,
    ),
}
