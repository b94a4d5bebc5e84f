"""Where an activity can be sent, now and after a restart: the SDK's conversation reference, as a value of ours. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

Kind = Literal["personal", "groupChat", "channel"]
_KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Address:
    """One place: a chat, or a thread of a channel."""

    service_url: str
    place: str
    kind: Kind
    bot_id: str
    tenant: str | None = None
    user_id: str | None = None  # whose personal chat it is

    @property
    def private(self) -> bool:
        return self.kind == "personal"

    def text(self) -> str:
        """As it is kept."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def parse(cls, text: str) -> "Address":
        """What `text` gave. Raises ValueError."""
        try:
            found = cls(**json.loads(text))
        except TypeError as error:
            raise ValueError(f"is no address ({error})") from error
        if found.kind not in _KINDS:
            raise ValueError(f"{found.kind!r} is no kind of place")
        return found

    @classmethod
    def of(cls, activity: Mapping[str, Any]) -> "Address":
        """Where an activity came from. Raises ValueError where it does not say."""
        conversation = _part(activity, "conversation")
        kind = _kind(conversation)
        return cls(
            service_url=_needed(activity, "serviceUrl"),
            place=_needed(conversation, "id"),
            kind=kind,
            bot_id=_needed(_part(activity, "recipient"), "id"),
            tenant=tenant_of(activity),
            user_id=_needed(_part(activity, "from"), "id") if kind == "personal" else None,
        )

    def channel(self, channel_id: str) -> "Address":
        """A channel of the same tenant."""
        return replace(self, place=channel_id, kind="channel", user_id=None)

    def at(self, place: str) -> "Address":
        """Another place of the same kind: a thread of the same channel."""
        return replace(self, place=place)


def tenant_of(activity: Mapping[str, Any]) -> str | None:
    """The tenant that an activity says it is from; None where it says nothing. Raises ValueError where it contradicts itself."""
    data = activity.get("channelData")
    tenant = data.get("tenant") if isinstance(data, Mapping) else None
    conversation = activity.get("conversation")
    said = [
        conversation.get("tenantId") if isinstance(conversation, Mapping) else None,
        tenant.get("id") if isinstance(tenant, Mapping) else None,
    ]
    if not all(isinstance(each, str | None) for each in said):
        raise ValueError("a tenant's id must be text")
    found = {each for each in said if each is not None}
    if len(found) > 1:
        raise ValueError("the activity names two tenants")
    return found.pop() if found else None


def _kind(conversation: Mapping[str, Any]) -> Kind:
    """Without a type, as development tools send it, `isGroup` says it."""
    said = conversation.get("conversationType")
    if said is None:
        return "groupChat" if conversation.get("isGroup") is True else "personal"
    for kind in _KINDS:
        if kind == said:
            return kind
    raise ValueError("conversation.conversationType must be personal, groupChat or channel")


def _part(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = of.get(name)
    if not isinstance(found, Mapping):
        raise ValueError(f"{name} must be an object")
    return found


def _needed(of: Mapping[str, Any], name: str) -> str:
    found = of.get(name)
    if not isinstance(found, str) or not found:
        raise ValueError(f"{name} must be text")
    return found
