"""What marks an app as an assistant: status line, sessions, titles, prompts; also auth and files. Knows nothing of requests."""

import asyncio
from typing import TYPE_CHECKING

from tests.fakes.slack.arguments import Method, listing, names, number, text
from tests.fakes.slack.chat import readable, writable
from tests.fakes.slack.events import TEAM_JSON
from tests.fakes.slack.refusals import Refused
from tests.fakes.slack.workspace import BOT, BOT_USER, TEAM, Channel, Json, Message

if TYPE_CHECKING:
    from tests.fakes.slack.fake import FakeSlack

SESSION_STATUSES = ("active", "processing", "suspended", "closed")
LOADING_MESSAGES, PROMPTS, TITLE_CHARS = 10, 4, 200


def _thread(slack: "FakeSlack", channel: str, thread_ts: str) -> Channel:
    found = writable(slack, channel)
    if thread_ts not in slack.workspace.log[found.id]:
        raise Refused("invalid_thread_ts")
    return found


async def set_status(slack: "FakeSlack", given: Json) -> Json:
    channel = _thread(slack, given["channel_id"], given["thread_ts"])
    messages = given.get("loading_messages", [])
    if len(messages) > LOADING_MESSAGES or not all(isinstance(message, str) for message in messages):
        raise Refused("invalid_arguments", f"loading_messages: at most {LOADING_MESSAGES} strings")
    status = {"status": given["status"], "loading_messages": messages} if given["status"] else {}
    slack.workspace.set_status(channel.id, given["thread_ts"], status)
    if status:
        asyncio.get_running_loop().call_later(slack.status_seconds, slack.workspace.forget_status, channel.id, given["thread_ts"], status)
    return {}


async def set_title(slack: "FakeSlack", given: Json) -> Json:
    channel = _thread(slack, given["channel_id"], given["thread_ts"])
    slack.set_title(channel.id, given["thread_ts"], given["title"])
    return {}


async def set_prompts(slack: "FakeSlack", given: Json) -> Json:
    channel = writable(slack, given["channel_id"])
    prompts = given["prompts"]
    if not 1 <= len(prompts) <= PROMPTS or not all(isinstance(p, dict) and set(p) == {"title", "message"} for p in prompts):
        raise Refused("invalid_arguments", f"prompts: 1 to {PROMPTS} objects with title and message")
    slack.workspace.prompts[channel.id, given.get("thread_ts")] = {"title": given.get("title", ""), "prompts": prompts}
    slack.workspace.changed("prompts", channel.id)
    return {}


async def set_session(slack: "FakeSlack", given: Json) -> Json:
    channel = _thread(slack, given["channel_id"], given["thread_ts"])
    if given["status"] not in SESSION_STATUSES:
        raise Refused("invalid_status")
    session = slack.set_session(channel.id, given["thread_ts"], given["status"], given.get("title"))
    deaf = given["status"] == "processing" and "agent_session_stopped" not in slack.events
    warning = {"warning": "missing_agent_session_stopped_event_subscription"} if deaf else {}
    return {"status": session["status"], "title": session.get("title", ""), **warning}


async def rename_session(slack: "FakeSlack", given: Json) -> Json:
    channel = _thread(slack, given["channel_id"], given["thread_ts"])
    if len(given["title"]) > TITLE_CHARS:
        raise Refused("invalid_title")
    if (channel.id, given["thread_ts"]) not in slack.workspace.sessions:
        raise Refused("session_not_found")
    slack.set_title(channel.id, given["thread_ts"], given["title"])
    return {"title": given["title"]}


async def auth_test(slack: "FakeSlack", given: Json) -> Json:
    who = {"user": "care", "team_id": TEAM, "user_id": BOT_USER, "bot_id": BOT, "is_enterprise_install": False}
    return {"url": f"https://{TEAM_JSON['domain']}.slack.com/", "team": "CARE's fake workspace", **who}


async def open_connection(slack: "FakeSlack", given: Json) -> Json:
    return {"url": f"ws://{slack.host}:{slack.port}/link?ticket={slack.sockets.ticket()}"}


async def list_authorizations(slack: "FakeSlack", given: Json) -> Json:
    return {
        "authorizations": [{"enterprise_id": None, "team_id": TEAM, "user_id": BOT_USER, "is_bot": True, "is_enterprise_install": False}]
    }


async def upload_url(slack: "FakeSlack", given: Json) -> Json:
    if given["length"] <= 0:
        raise Refused("invalid_arguments", "length must be greater than 0 [json-pointer:/length]")
    file_id = slack.workspace.new_id("F")
    slack.uploads[file_id] = {"id": file_id, "name": given["filename"], "size": given["length"], "alt_txt": given.get("alt_txt", "")}
    return {"upload_url": f"{slack.url}/upload/{file_id}", "file_id": file_id}


async def complete_upload(slack: "FakeSlack", given: Json) -> Json:
    done = []
    for wanted in given["files"]:
        file = slack.uploads.get(wanted.get("id", ""))
        if file is None or "content" not in file:
            raise Refused("file_not_found")
        done.append({**{name: file[name] for name in ("id", "name", "size", "alt_txt")}, "title": wanted.get("title", file["name"])})
    for channel in [given["channel_id"]] if given.get("channel_id") else given.get("channels", []):
        where = readable(slack, channel)
        if BOT_USER not in where.members:
            raise Refused("not_in_channel")
        said = Message(where.id, slack.workspace.new_ts(), BOT_USER, given.get("initial_comment", ""), given.get("thread_ts"), BOT)
        said.subtype = "file_share"
        said.files = [
            {**file, "mimetype": slack.uploads[file["id"]]["type"], "url_private": f"{slack.url}/files/{file['id']}"} for file in done
        ]
        slack.workspace.add(said)
        slack.tell_message(said)
    return {"files": done}


_THREAD = {"channel_id": text, "thread_ts": text}
_LOOKS = {"icon_emoji": text, "icon_url": text, "username": text}
METHODS = {
    "auth.test": Method(auth_test),
    "apps.connections.open": Method(open_connection, ("connections:write",), token="xapp-"),
    "apps.event.authorizations.list": Method(
        list_authorizations, ("authorizations:read",), {"event_context": text}, {"cursor": text, "limit": number}, token="xapp-"
    ),
    "assistant.threads.setStatus": Method(
        set_status,
        ("assistant:write", "chat:write"),
        {**_THREAD, "status": text},
        {"loading_messages": listing, **_LOOKS},
        empty=("status",),
        limit=600,
    ),
    "assistant.threads.setTitle": Method(set_title, ("assistant:write",), {**_THREAD, "title": text}, limit=50),
    "assistant.threads.setSuggestedPrompts": Method(
        set_prompts, ("assistant:write",), {"channel_id": text, "prompts": listing}, {"thread_ts": text, "title": text}, limit=50
    ),
    "agents.sessions.setStatus": Method(
        set_session, ("chat:write",), {**_THREAD, "status": text}, {"title": text, "initiator_user_id": text, **_LOOKS}, limit=50
    ),
    "agents.sessions.rename": Method(rename_session, ("chat:write",), {**_THREAD, "title": text}, limit=50),
    "files.getUploadURLExternal": Method(
        upload_url, ("files:write",), {"filename": text, "length": number}, {"alt_txt": text, "snippet_type": text}, limit=100
    ),
    "files.completeUploadExternal": Method(
        complete_upload,
        ("files:write",),
        {"files": listing},
        {"channel_id": text, "channels": names, "initial_comment": text, "thread_ts": text, "blocks": listing},
        limit=100,
    ),
}
