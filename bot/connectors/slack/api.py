"""The methods of Slack's Web API that CARE uses. Knows no turn and no conversation. Every one raises SlackError."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.connectors.slack.calls import CALL_SECONDS, Calls, Plain
from bot.connectors.slack.errors import Unreachable

_UPLOAD_SECONDS = 30.0
_PAGE = 200
_MOST_PAGES = 5

Block = Plain | Mapping[str, Any]
Blocks = Sequence[Block]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who CARE is in Slack."""

    team: str
    user: str
    bot: str
    enterprise: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, as Slack shows them."""

    id: str
    name: str | None
    team: str | None
    enterprise: str | None
    stranger: bool


@dataclass(frozen=True, slots=True)
class Posted:
    """A message that stands in a thread."""

    ts: str
    thread_ts: str | None
    user: str | None
    block_ids: tuple[str, ...]


class SlackApi(Calls):
    """What CARE asks of Slack."""

    async def identity(self, patience: float = 0.0) -> Identity:
        """Who the token belongs to."""
        found = await self.call("auth.test", patience=patience, repeatable=True)
        return Identity(_text(found, "team_id"), _text(found, "user_id"), str(found.get("bot_id") or ""), found.get("enterprise_id"))

    async def socket_url(self, app_token: str) -> str:
        """Where the next socket goes."""
        return _text(await self.call("apps.connections.open", token=app_token, repeatable=True), "url")

    async def post(
        self, channel: str, text: str, blocks: Blocks | None = None, thread_ts: str | None = None, *, patience: float = 0.0
    ) -> str:
        """A new message; its ts. `text` is what notifications show."""
        posted = await self.call(
            "chat.postMessage",
            patience=patience,
            channel=channel,
            text=text,
            blocks=blocks,
            thread_ts=thread_ts,
            unfurl_links=False,
            unfurl_media=False,
        )
        return _text(posted, "ts")

    async def update(self, channel: str, ts: str, text: str, blocks: Blocks, *, patience: float = 0.0) -> None:
        """Puts something else into a message of ours."""
        await self.call("chat.update", patience=patience, repeatable=True, channel=channel, ts=ts, text=text, blocks=blocks)

    async def delete(self, channel: str, ts: str, *, patience: float = 0.0) -> None:
        """Takes a message of ours away."""
        await self.call("chat.delete", patience=patience, repeatable=True, channel=channel, ts=ts)

    async def ephemeral(self, channel: str, user: str, text: str, blocks: Blocks | None = None, thread_ts: str | None = None) -> None:
        """A message that only one person sees."""
        await self.call(
            "chat.postEphemeral", patience=CALL_SECONDS, channel=channel, user=user, text=text, blocks=blocks, thread_ts=thread_ts
        )

    async def start_stream(self, channel: str, thread_ts: str, text: str, team: str, user: str) -> str:
        """A message that grows; its ts. `user` is the person it is for."""
        started = await self.call(
            "chat.startStream",
            channel=channel,
            thread_ts=thread_ts,
            markdown_text=text,
            recipient_team_id=team,
            recipient_user_id=user,
        )
        return _text(started, "ts")

    async def append_stream(self, channel: str, ts: str, text: str) -> None:
        await self.call("chat.appendStream", channel=channel, ts=ts, markdown_text=text)

    async def stop_stream(
        self, channel: str, ts: str, text: str | None, blocks: Blocks | None, *, idle: bool, patience: float = 0.0
    ) -> None:
        """Ends the growing, with a last piece of text and what stands below it. `idle`: the session waits for the person again."""
        await self.call(
            "chat.stopStream",
            patience=patience,
            channel=channel,
            ts=ts,
            markdown_text=text or None,
            blocks=blocks or None,
            session_status="active" if idle else None,
        )

    async def status(self, channel: str, thread_ts: str, text: str) -> None:
        """What stands under the thread while there is nothing to read; "" for nothing."""
        await self.call("assistant.threads.setStatus", repeatable=True, channel_id=channel, thread_ts=thread_ts, status=text)

    async def session(self, channel: str, thread_ts: str, status: str, *, title: str | None = None, patience: float = 0.0) -> None:
        """`processing` shows Slack's Stop button, `active` takes it away. A `title` counts for a new session alone."""
        method = "agents.sessions.setStatus"
        place = {"channel_id": channel, "thread_ts": thread_ts}
        await self.call(method, patience=patience, repeatable=True, **place, status=status, title=title or None)

    async def prompts(self, channel: str, title: str, prompts: Sequence[Mapping[str, str]]) -> None:
        """What a person may want to ask."""
        await self.call("assistant.threads.setSuggestedPrompts", repeatable=True, channel_id=channel, title=title, prompts=list(prompts))

    async def open_view(self, trigger: str, view: Block) -> None:
        """Opens a modal; a trigger is good for three seconds."""
        await self.call("views.open", trigger_id=trigger, view=view)

    async def direct(self, user: str) -> str:
        """The channel in which CARE writes to one person."""
        opened = await self.call("conversations.open", patience=CALL_SECONDS, repeatable=True, users=user)
        return _text(opened.get("channel") or {}, "id")

    async def person(self, user: str) -> Person:
        found = (await self.call("users.info", repeatable=True, user=user)).get("user") or {}
        profile = found.get("profile") or {}
        name = profile.get("real_name") or found.get("real_name") or found.get("name")
        enterprise = (found.get("enterprise_user") or {}).get("enterprise_id")
        return Person(user, name, found.get("team_id"), enterprise, bool(found.get("is_stranger")))

    async def thread(self, channel: str, ts: str, *, patience: float = 0.0) -> list[Posted]:
        """The messages of a thread, named by any of them; its newest are what matters, so the last page."""
        cursor: str | None = None
        found: list[Posted] = []
        for _ in range(_MOST_PAGES):
            page = await self.call(
                "conversations.replies", patience=patience, repeatable=True, channel=channel, ts=ts, limit=_PAGE, cursor=cursor
            )
            found += [_posted(message) for message in page.get("messages") or []]
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
        return found

    async def link(self, channel: str, ts: str) -> str:
        """A message's address."""
        return _text(await self.call("chat.getPermalink", repeatable=True, channel=channel, message_ts=ts), "permalink")

    async def upload(self, channel: str, name: str, content: bytes, title: str, *, thread_ts: str | None = None) -> None:
        """A file in a channel, or in a thread of it."""
        self.http()
        try:
            async with asyncio.timeout(_UPLOAD_SECONDS):
                await self.client.files_upload_v2(
                    channel=channel, filename=name, content=content, title=title, initial_comment=title, thread_ts=thread_ts
                )
        except SlackApiError as error:
            raise self.translated("files.upload", error) from None
        except (aiohttp.ClientError, OSError, TimeoutError, SlackClientError) as error:
            raise Unreachable(f"Slack did not take the file ({type(error).__name__})", sent=True) from None


def _text(answer: Mapping[str, Any], field: str) -> str:
    """What Slack always answers, and a broken proxy may not."""
    value = answer.get(field)
    if not isinstance(value, str) or not value:
        raise Unreachable(f"Slack's answer has no {field!r}", sent=True)
    return value


def _posted(message: Mapping[str, Any]) -> Posted:
    blocks = message.get("blocks") or []
    ids = tuple(str(block.get("block_id")) for block in blocks if isinstance(block, dict))
    return Posted(str(message.get("ts")), message.get("thread_ts"), message.get("user"), ids)
