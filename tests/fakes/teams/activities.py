"""What Teams tells an app: activities as people's clients cause them. Pure; knows nothing of HTTP or state."""

import html
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

from tests.fakes.teams.world import APP_NAME, BOT_ID, Chat, Json, Person

LOCAL, ZONE = timezone(timedelta(hours=1)), "Europe/Berlin"
GONE: object = object()  # as an override: the field is not there at all
_CLIENT: Json = {"type": "clientInfo", "locale": "en-US", "country": "US", "platform": "Web", "timezone": ZONE}


def stamps(message_id: str) -> Json:
    """When it was said, from a message's id."""
    when = datetime.fromtimestamp(int(message_id) / 1000, UTC)
    local = when.astimezone(LOCAL).isoformat(timespec="milliseconds")
    return {"timestamp": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"), "localTimestamp": local, "localTimezone": ZONE}


def event_id() -> str:
    """The id of an activity that is no message."""
    return f"f:{uuid.uuid4()}"


def base(kind: str, activity_id: str, person: Person, chat: Chat, place: str, now_id: str, service_url: str) -> Json:
    """What every activity has."""
    conversation: Json = {"conversationType": chat.kind, "tenantId": person.tenant, "id": place}
    if chat.kind != "personal":
        conversation["isGroup"] = True
    data: Json = {"tenant": {"id": person.tenant}}
    if chat.kind == "channel":
        data |= {"teamsChannelId": chat.id, "teamsTeamId": chat.team, "channel": {"id": chat.id}, "team": {"id": chat.team}}
    return {
        "type": kind,
        "id": activity_id,
        **stamps(now_id),
        "serviceUrl": service_url,
        "channelId": "msteams",
        "from": person.json(),
        "conversation": conversation,
        "recipient": {"id": BOT_ID, "name": APP_NAME},
        "channelData": data,
        "entities": [dict(_CLIENT)],
        "locale": "en-US",
    }


def words(text: str, mention: bool) -> Json:
    """The part of a message that people typed; a mention is written as Teams does, twice."""
    shown = html.escape(text).replace("\n", "<br>")
    if not mention:
        return {"text": text, "textFormat": "plain", "attachments": [_html(f"<p>{shown}</p>")]}
    span = f'<span itemscope="" itemtype="http://schema.skype.com/Mention" itemid="0">{APP_NAME}</span>&nbsp;'
    at = f"<at>{APP_NAME}</at>"
    entities = [{"type": "mention", "mentioned": {"id": BOT_ID, "name": APP_NAME}, "text": at}, dict(_CLIENT)]
    return {"text": f"{at} {text}", "textFormat": "plain", "attachments": [_html(f"<p>{span}{shown}</p>")], "entities": entities}


def _html(content: str) -> Json:
    return {"contentType": "text/html", "content": content}


def with_event(activity: Json, event_type: str) -> Json:
    """The activity with Teams' own name of what happened."""
    return {**activity, "channelData": {**activity["channelData"], "eventType": event_type}}


def overridden(activity: Json, overrides: Mapping[str, object]) -> Json:
    """With other values; `from_` is `from`; GONE takes a field away."""
    named = {name.removesuffix("_"): value for name, value in overrides.items()}
    return {name: value for name, value in {**activity, **named}.items() if value is not GONE}
