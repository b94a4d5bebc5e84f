"""The methods that look around: conversations.*, users.*, reactions.*, bots and team. Knows nothing of requests."""

from typing import TYPE_CHECKING

from tests.fakes.slack.arguments import Method, flag, names, number, text
from tests.fakes.slack.chat import readable, writable
from tests.fakes.slack.events import TEAM_JSON
from tests.fakes.slack.refusals import Refused
from tests.fakes.slack.workspace import APP, BOT, BOT_USER, Channel, Json, Message

if TYPE_CHECKING:
    from tests.fakes.slack.fake import FakeSlack

_KIND_SCOPES = {"channel": "channels", "group": "groups", "im": "im"}


def _permitted(slack: "FakeSlack", channel: Channel, right: str) -> None:
    slack.require_scope(f"{_KIND_SCOPES[channel.type]}:{right}")


async def info(slack: "FakeSlack", given: Json) -> Json:
    channel = readable(slack, given["channel"])
    _permitted(slack, channel, "read")
    found = channel.json()
    if given.get("include_num_members"):
        found["num_members"] = len(channel.members)
    return {"channel": found}


async def open_dm(slack: "FakeSlack", given: Json) -> Json:
    users = given.get("users", [])
    if given.get("channel"):
        return {"channel": {"id": readable(slack, given["channel"]).id}}
    if len(users) != 1 or users[0] not in slack.workspace.people:
        raise Refused("user_not_found" if users else "users_list_not_supplied")
    channel = slack.workspace.dm(users[0])
    return {"channel": channel.json() if given.get("return_im") else {"id": channel.id}}


async def history(slack: "FakeSlack", given: Json) -> Json:
    channel = readable(slack, given["channel"])
    _permitted(slack, channel, "history")
    if BOT_USER not in channel.members:
        raise Refused("not_in_channel")
    top = [message for message in slack.workspace.messages(channel.id) if message.thread_ts is None or message.broadcast]
    return _page(list(reversed(top)), given, 100)


async def replies(slack: "FakeSlack", given: Json) -> Json:
    channel = readable(slack, given["channel"])
    _permitted(slack, channel, "history")
    said = slack.workspace.find(channel.id, given["ts"])
    thread = slack.workspace.thread(channel.id, given["ts"]) or ([said] if said is not None else [])  # a reply is found alone
    if not thread:
        raise Refused("thread_not_found")
    return _page(thread, given, 1000)


def _page(messages: list[Message], given: Json, usual: int) -> Json:
    oldest, latest = given.get("oldest", "0"), given.get("latest", "9")
    wanted = [
        message for message in messages if oldest < message.ts < latest or (given.get("inclusive") and message.ts in (oldest, latest))
    ]
    start, limit = int(given.get("cursor") or 0), min(given.get("limit", usual), 1000)
    more = len(wanted) > start + limit
    page = {"messages": [message.json() for message in wanted[start : start + limit]], "has_more": more}
    return page | ({"response_metadata": {"next_cursor": str(start + limit)}} if more else {})


async def list_channels(slack: "FakeSlack", given: Json) -> Json:
    kinds = {"public_channel": "channel", "private_channel": "group", "im": "im"}
    wanted = [kinds.get(kind, "") for kind in given.get("types", ["public_channel"])]
    for kind in filter(None, wanted):
        slack.require_scope(f"{_KIND_SCOPES[kind]}:read")
    seen = [channel for channel in slack.workspace.channels.values() if channel.type in wanted]
    seen = [channel for channel in seen if channel.type == "channel" or BOT_USER in channel.members]
    return {"channels": [channel.json() for channel in seen], "response_metadata": {"next_cursor": ""}}


async def members(slack: "FakeSlack", given: Json) -> Json:
    channel = readable(slack, given["channel"])
    _permitted(slack, channel, "read")
    return {"members": sorted(channel.members), "response_metadata": {"next_cursor": ""}}


async def join(slack: "FakeSlack", given: Json) -> Json:
    channel = readable(slack, given["channel"])
    if channel.type != "channel":
        raise Refused("method_not_supported_for_channel_type")
    channel.members.add(BOT_USER)
    return {"channel": channel.json()}


async def user_info(slack: "FakeSlack", given: Json) -> Json:
    person = slack.workspace.people.get(given["user"])
    if person is None:
        raise Refused("user_not_found")
    return {"user": person.json()}


async def bot_info(slack: "FakeSlack", given: Json) -> Json:
    bot = next((person for person in slack.workspace.people.values() if person.bot_id == given.get("bot", BOT)), None)
    if bot is None:
        raise Refused("bot_not_found")
    return {"bot": {"id": bot.bot_id, "user_id": bot.id, "name": bot.name, "app_id": APP if bot.bot_id == BOT else "A0OTHER001"}}


async def team_info(slack: "FakeSlack", given: Json) -> Json:
    return {"team": {**TEAM_JSON, "name": "CARE's fake workspace"}}


def _reacted(slack: "FakeSlack", given: Json) -> Message:
    if not (given.get("channel") and given.get("timestamp")):
        raise Refused("no_item_specified")
    writable(slack, given["channel"])
    found = slack.workspace.find(given["channel"], given["timestamp"])
    if found is None:
        raise Refused("message_not_found")
    return found


async def add_reaction(slack: "FakeSlack", given: Json) -> Json:
    if not slack.set_reaction(_reacted(slack, given), given["name"], BOT_USER, True):
        raise Refused("already_reacted")
    return {}


async def remove_reaction(slack: "FakeSlack", given: Json) -> Json:
    if not slack.set_reaction(_reacted(slack, given), given["name"], BOT_USER, False):
        raise Refused("no_reaction")
    return {}


async def get_reactions(slack: "FakeSlack", given: Json) -> Json:
    said = _reacted(slack, given)
    return {"type": "message", "channel": said.channel, "message": said.json()}


_PAGE = {"cursor": text, "limit": number}
_SPAN = {**_PAGE, "inclusive": flag, "include_all_metadata": flag, "latest": text, "oldest": text}
_ITEM = {"channel": text, "timestamp": text, "file": text, "file_comment": text}
METHODS = {
    "conversations.info": Method(info, (), {"channel": text}, {"include_locale": flag, "include_num_members": flag}),
    "conversations.open": Method(open_dm, ("im:write",), {}, {"channel": text, "users": names, "return_im": flag}),
    "conversations.history": Method(history, (), {"channel": text}, _SPAN, limit=50),
    "conversations.replies": Method(replies, (), {"channel": text, "ts": text}, _SPAN, limit=50),
    "conversations.list": Method(list_channels, (), {}, {**_PAGE, "types": names, "exclude_archived": flag, "team_id": text}, limit=20),
    "conversations.members": Method(members, (), {"channel": text}, _PAGE, limit=100),
    "conversations.join": Method(join, ("channels:join",), {"channel": text}, limit=50),
    "users.info": Method(user_info, ("users:read",), {"user": text}, {"include_locale": flag}, limit=100),
    "bots.info": Method(bot_info, ("users:read",), {}, {"bot": text, "team_id": text}, limit=50),
    "team.info": Method(team_info, ("team:read",), {}, {"team": text, "domain": text}, limit=50),
    "reactions.add": Method(add_reaction, ("reactions:write",), {"name": text}, _ITEM, limit=50),
    "reactions.remove": Method(remove_reaction, ("reactions:write",), {"name": text}, _ITEM, limit=20),
    "reactions.get": Method(get_reactions, ("reactions:read",), {}, {**_ITEM, "full": flag}, limit=50),
}
