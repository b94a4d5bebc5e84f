"""Whether an activity of the app has a shape that Teams takes. Knows nothing of who may post it where."""

from tests.fakes.teams.refusals import Refused
from tests.fakes.teams.world import BOT_ID, CARD, CONSENT, Json, Kind

MESSAGE_ENTITY = "https://schema.org/Message"
CITATIONS, NAME_CHARS, ABSTRACT_CHARS, SUGGESTED = 20, 80, 160, 6
_TEXT_FORMATS = ("plain", "markdown", "xml", "extendedmarkdown")
_KNOWN_ATTACHMENTS = (CARD, CONSENT, "application/vnd.microsoft.teams.card.file.info", "application/vnd.microsoft.card.hero")


def stream_info(activity: Json) -> Json | None:
    """The streaminfo of an activity, if it is part of a stream."""
    found = [each for each in activity.get("entities") or [] if isinstance(each, dict) and each.get("type") == "streaminfo"]
    if len(found) > 1:
        raise Refused(400, message="Multiple streaminfo entities")
    return found[0] if found else None


def check_activity(activity: object, kind: Kind, place: str) -> Json:
    """The activity of a request; raises Refused unless it is one that can stand in a chat of this kind."""
    if not isinstance(activity, dict):
        raise Refused(400, "BadSyntax", "The body is no activity")
    if activity.get("type") not in ("message", "typing"):
        raise Refused(400, "BadArgument", f"Unknown activity type {activity.get('type')!r}")
    _check_envelope(activity, place)
    for name, wanted in (("text", str), ("entities", list), ("attachments", list), ("channelData", dict), ("suggestedActions", dict)):
        if activity.get(name) is not None and not isinstance(activity[name], wanted):
            raise Refused(400, "BadArgument", f"{name} is no {wanted.__name__}")
    if activity["type"] == "message" and not str(activity.get("text") or "").strip() and not activity.get("attachments"):
        raise Refused(400, "BadArgument", "A message without text and attachments")
    if activity.get("textFormat") not in (None, *_TEXT_FORMATS):
        raise Refused(400, "BadArgument", f"Unknown textFormat {activity['textFormat']!r}")
    _check_entities(activity.get("entities") or [])
    _check_feedback(activity.get("channelData") or {})
    _check_suggested(activity.get("suggestedActions"), kind)
    _check_attachments(activity.get("attachments") or [], kind)
    return activity


def _check_envelope(activity: Json, place: str) -> None:
    for name in ("from", "recipient", "conversation"):
        if activity.get(name) is not None and not isinstance(activity[name], dict):
            raise Refused(400, "BadArgument", f"{name} is no account")
    sender = (activity.get("from") or {}).get("id", BOT_ID)
    if sender != BOT_ID:
        raise Refused(403, "Forbidden", f"from.id {sender!r} is not the app's")
    named = (activity.get("conversation") or {}).get("id") or place
    if named.partition(";")[0] != place.partition(";")[0]:
        raise Refused(400, "BadArgument", "conversation.id is not that of the address")


def _check_entities(entities: list[object]) -> None:
    if not all(isinstance(entity, dict) and isinstance(entity.get("type"), str) for entity in entities):
        raise Refused(400, "BadArgument", "Entities are objects with a type")
    roots = [entity for entity in entities if isinstance(entity, dict) and entity["type"] == MESSAGE_ENTITY]
    if len(roots) > 1:
        raise Refused(400, message="Multiple root message entities found under entities array")
    for root in roots:
        _check_root(root)


def _check_root(root: Json) -> None:
    if root.get("@type") != "Message" or root.get("@context") != "https://schema.org":
        raise Refused(400, message="Error parsing message entity from entities array")
    if root.get("additionalType", ["AIGeneratedContent"]) != ["AIGeneratedContent"]:
        raise Refused(400, message="Error parsing message entity from entities array: additionalType")
    claims = root.get("citation", [])
    if len(claims) > CITATIONS:
        raise Refused(400, message="Bot message with more than 20 citations")
    for number, claim in enumerate(claims, 1):
        about = claim.get("appearance")
        if not about:
            raise Refused(400, message="The appearance object is empty")
        good = claim.get("@type") == "Claim" and about.get("@type") == "DigitalDocument" and isinstance(claim.get("position"), int)
        if not good or not 0 < len(about.get("name") or "") <= NAME_CHARS or len(about.get("abstract") or "") > ABSTRACT_CHARS:
            raise Refused(400, message=f"Error while parsing citation entity with ID: {number}")


def _check_feedback(data: Json) -> None:
    loop = data.get("feedbackLoop")
    if loop is not None and (not isinstance(loop, dict) or loop.get("type") not in ("default", "custom")):
        raise Refused(400, message="feedbackLoop.type is neither default nor custom")


def _check_suggested(suggested: Json | None, kind: Kind) -> None:
    if not suggested:
        return
    if kind != "personal":
        raise Refused(400, message="Suggested actions are supported in personal chats only")
    actions = suggested.get("actions")
    if not isinstance(actions, list) or not 0 < len(actions) <= SUGGESTED:
        raise Refused(400, message=f"Suggested actions: 1 to {SUGGESTED}")
    for action in actions:
        if action.get("type") != "imBack" or not action.get("title") or not isinstance(action.get("value"), str):
            raise Refused(400, message="Suggested actions are imBack, with title and value")


def _check_attachments(attachments: list[object], kind: Kind) -> None:
    for attachment in attachments:
        content_type = attachment.get("contentType") if isinstance(attachment, dict) else None
        if content_type not in _KNOWN_ATTACHMENTS:
            raise Refused(400, message=f"Unknown attachment type {content_type!r}")
        if content_type == CONSENT:
            _check_consent(attachment, kind)


def _check_consent(attachment: Json, kind: Kind) -> None:
    if kind != "personal":
        raise Refused(400, message="File consent cards are supported in personal chats only")
    content = attachment.get("content")
    if not attachment.get("name") or not isinstance(content, dict) or not isinstance(content.get("sizeInBytes"), int):
        raise Refused(400, message="A file consent card has a name, and sizeInBytes in its content")
