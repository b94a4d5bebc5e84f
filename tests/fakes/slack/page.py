"""A page to watch the workspace and type into it, as any of its people. Knows the fake's helpers; knows nothing of the app."""

import asyncio
import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from tests.fakes.slack.outbox import Delivery
from tests.fakes.slack.refusals import Refused
from tests.fakes.slack.views import View
from tests.fakes.slack.workspace import BOT_USER, Channel, Json, Message, Person

if TYPE_CHECKING:
    from tests.fakes.slack.fake import FakeSlack

STATIC = Path(__file__).parent / "static"
_NAME = re.compile(r"@(\w+)")
_ALIVE_SECONDS = 15.0


def message_json(said: Message) -> Json:
    """A message, and what a reader sees of it besides."""
    kind = {"markdown": said.markdown, "streaming": said.streaming, "deleted": said.deleted, "ephemeral": said.ephemeral_to is not None}
    return {**said.json(), "channel": said.channel, "root": said.root, **kind}


class Page:
    """`/`, `/static/…`, `/page/feed` (server-sent events) and `/page/do`."""

    def __init__(self, slack: "FakeSlack") -> None:
        self._slack = slack

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.get("/", self._index),
            web.get("/static/{name}", self._static),
            web.get("/page/feed", self._feed),
            web.post("/page/do", self._do),
        ]

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "index.html")

    async def _static(self, request: web.Request) -> web.StreamResponse:
        path = STATIC / request.match_info["name"]
        if path.parent != STATIC or not path.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(path, headers={"Cache-Control": "no-cache"})

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        user = request.query.get("user", "")
        if user not in self._slack.workspace.people:
            raise web.HTTPNotFound(text=f"nobody has the id {user!r} here")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        news: asyncio.Queue[Json] = asyncio.Queue()

        def listen(kind: str, thing: object) -> None:
            found = self._news(user, kind, thing)
            if found is not None:
                news.put_nowait(found)

        news.put_nowait(self._everything(user))
        self._slack.workspace.listeners.append(listen)
        try:
            while not self._slack.closing:
                await response.write(await _next(news))
        except ConnectionError:
            pass  # the reader has closed the page
        finally:
            self._slack.workspace.listeners.remove(listen)
        return response

    def _everything(self, user: str) -> Json:
        slack, workspace = self._slack, self._slack.workspace
        workspace.dm(user)
        channels = [channel for channel in workspace.channels.values() if user in channel.members]
        said = [message for channel in channels for message in workspace.log[channel.id].values()]
        return {
            "kind": "everything",
            "me": user,
            "bot": BOT_USER,
            "people": [_person(person) for person in workspace.people.values()],
            "channels": [_channel(channel) for channel in channels],
            "messages": [message_json(message) for message in said if not message.deleted],
            "ephemerals": [message_json(message) for message in slack.ephemerals if message.ephemeral_to == user],
            "threads": [self._thread(*key) for key in {**workspace.statuses, **workspace.sessions}],
            "prompts": [self._prompts(channel.id) for channel in channels],
            "views": [_view(view) for view in slack.views if view.open and view.user == user],
            "home": _view(slack.homes[user]) if user in slack.homes else None,
            "commands": sorted(slack.commands or {"/care"}),
            "shortcuts": slack.shortcut_names,
            "sockets": self._reachable(),
        }

    def _news(self, user: str, kind: str, thing: object) -> Json | None:
        if isinstance(thing, Message):
            mine = thing.ephemeral_to in (None, user) and user in self._slack.workspace.channels[thing.channel].members
            return {"kind": "message", "message": message_json(thing)} if mine else None
        if isinstance(thing, View):
            home = thing is self._slack.homes.get(user)
            return {"kind": "home" if home else "view", "view": _view(thing)} if thing.user == user else None
        if isinstance(thing, Channel):
            return {"kind": "channel", "channel": _channel(thing)} if user in thing.members else None
        if kind == "status" and isinstance(thing, tuple):
            return {"kind": "thread", "thread": self._thread(*thing)}
        if kind == "prompts":
            return {"kind": "prompts", "prompts": self._prompts(str(thing))}
        return {"kind": "sockets", "sockets": self._reachable()} if kind == "socket" else None

    def _thread(self, channel: str, root: str) -> Json:
        workspace = self._slack.workspace
        session = workspace.sessions.get((channel, root), {})
        return {"channel": channel, "root": root, "status": workspace.statuses.get((channel, root)), **session_json(session)}

    def _prompts(self, channel: str) -> Json:
        found = [prompts for (where, _), prompts in self._slack.workspace.prompts.items() if where == channel]
        return {"channel": channel, **(found[-1] if found else {"title": "", "prompts": []})}

    def _reachable(self) -> int:
        return 1 if self._slack.http is not None else len(self._slack.sockets)

    async def _do(self, request: web.Request) -> web.Response:
        asked = await request.json()
        try:
            action = getattr(self, f"do_{asked.pop('do')}")
            delivery = await action(**asked)
        except (Refused, LookupError, TypeError, AttributeError) as error:
            return web.json_response({"ok": False, "error": str(error)}, status=400)
        heard = delivery is None or delivery.acked
        return web.json_response({"ok": heard, "error": None if heard else "The app did not answer in time"})

    # What people can do on the page; each gives what has to be acknowledged, if anything

    async def do_say(
        self, user: str, channel: str, text: str, thread_ts: str | None = None, files: list[str] | None = None
    ) -> Delivery | None:
        """A message, or a command when it begins with a slash."""
        if text.startswith("/") and thread_ts is None:
            name, _, rest = text.partition(" ")
            return await self._slack.command(name, rest.strip(), user, channel)
        self._slack.say(user, channel, self._typed(text), thread_ts, files or ())
        return None

    async def do_edit(self, channel: str, ts: str, text: str) -> None:
        """Another text for a message."""
        self._slack.edit(self._said(channel, ts), self._typed(text))

    async def do_delete(self, channel: str, ts: str) -> None:
        """A message goes."""
        self._slack.delete(self._said(channel, ts))

    async def do_react(self, user: str, channel: str, ts: str, name: str) -> None:
        """A reaction comes, or goes when it was there."""
        said = self._said(channel, ts)
        self._slack.set_reaction(said, name, user, user not in said.reactions.get(name, []))

    async def do_click(
        self, user: str, action_id: str, value: str | None = None, channel: str = "", ts: str = "", view: str = ""
    ) -> Delivery:
        """A button."""
        return await self._slack.click(self._view(view) if view else self._said(channel, ts), action_id, user, value)

    async def do_submit(self, view: str, values: Json) -> Delivery:
        """A modal with what was filled in."""
        return await self._slack.submit(self._view(view), values)

    async def do_close(self, view: str) -> Delivery | None:
        """A modal without an answer."""
        return await self._slack.close_view(self._view(view))

    async def do_shortcut(self, user: str, callback_id: str, channel: str, ts: str) -> Delivery:
        """A message shortcut."""
        return await self._slack.shortcut(callback_id, self._said(channel, ts), user)

    async def do_stop(self, user: str, channel: str, root: str) -> None:
        """The Stop button."""
        self._slack.stop(channel, root, user)

    async def do_home(self, user: str, tab: str) -> None:
        """The app's messages or home tab."""
        self._slack.open_home(user, tab)

    def _said(self, channel: str, ts: str) -> Message:
        shown = [said for said in self._slack.ephemerals if (said.channel, said.ts) == (channel, ts)]
        found = self._slack.workspace.find(channel, ts) or next(iter(shown), None)
        if found is None:
            raise LookupError(f"no message {ts} in {channel}; it may have been deleted")
        return found

    def _view(self, name: str) -> View:
        return next(view for view in [*self._slack.views, *self._slack.homes.values()] if view.id == name)

    def _typed(self, text: str) -> str:
        """What Slack makes of what is typed: three characters escaped, names turned into mentions."""
        first = {person.name.split()[0].lower(): person.id for person in self._slack.workspace.people.values()}

        def mention(found: re.Match[str]) -> str:
            known = first.get(found[1].lower())
            return f"<@{known}>" if known else found[0]

        return _NAME.sub(mention, html.escape(text, quote=False))


def session_json(session: Json) -> Json:
    """What the page shows of an agent session."""
    return {"session": session.get("status", ""), "title": session.get("title", "")}


def _person(person: Person) -> Json:
    return {"id": person.id, "name": person.name, "team": person.team, "bot": person.bot_id is not None}


def _channel(channel: Channel) -> Json:
    kind = {"type": channel.type, "shared": channel.shared, "here": BOT_USER in channel.members}
    return {"id": channel.id, "name": channel.name, **kind}


def _view(view: View) -> Json:
    return {**view.json(), "open": view.open, "errors": view.errors}


async def _next(news: asyncio.Queue[Json]) -> bytes:
    """The next news as server-sent events: all that have come up; a comment when there are none for a while."""
    try:
        found = [await asyncio.wait_for(news.get(), _ALIVE_SECONDS)]
    except TimeoutError:
        return b": still here\n\n"
    while not news.empty():
        found.append(news.get_nowait())
    return "".join(f"data: {json.dumps(one)}\n\n" for one in found).encode()
