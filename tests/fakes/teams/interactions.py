"""What people do with the app's messages: thumbs, card buttons, suggested actions, Stop, files. Each waits for the app's answer."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.fakes.teams import cards
from tests.fakes.teams.outbox import Delivery
from tests.fakes.teams.people import People
from tests.fakes.teams.refusals import Refused
from tests.fakes.teams.streams import Streams
from tests.fakes.teams.world import CARD, Chat, Json, Message, Person

if TYPE_CHECKING:
    from tests.fakes.teams.files import Files

# What a client does with other statuses in an error is written nowhere.
ERROR_STATUSES = (400, 401, 412, 500)
MESSAGE, ERROR = "application/vnd.microsoft.activity.message", "application/vnd.microsoft.error"
WENT_WRONG = "Something went wrong. Please try again."  # what Teams' client says when an answer is none


@dataclass
class Outcome:
    """What a press came to, and what the person sees then."""

    status: int | None
    response: object  # the body of the app's answer
    card: Json | None = None  # what stands there now, or the dialog that opened
    said: str = ""  # what Teams shows beside it: the app's words, or WENT_WRONG
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether the person is told that it went wrong."""
        return self.said == WENT_WRONG


class Interactions(People):
    """The other half of FakeTeams: everything that ends in an invoke."""

    streams: Streams
    file_server: "Files"
    nested_fetch = False  # message/fetchTask has its value in `value` (the documentation) or in `value.data` (Microsoft's newer SDKs)

    async def invoke(
        self, person: Person, name: str, value: object, in_: Chat | None = None, place: str | None = None, **fields: object
    ) -> Delivery:
        """Any invoke; `fields` such as replyToId."""
        chat = in_ or self.personal(person)
        return await self.told({**self.event("invoke", person, chat, place), "name": name, "value": value, **fields})

    async def _on(self, person: Person, message: Message, name: str, value: Json, in_: Chat | None = None) -> Delivery:
        chat = in_ or message.chat
        place = message.place if in_ is None else None
        return await self.invoke(person, name, value, chat, place, replyToId=message.id)

    # Thumbs

    async def feedback(
        self, person: Person, message: Message, reaction: str, text: str = "", inputs: Json | None = None, playground: bool = False
    ) -> Outcome:
        """Presses a thumb, fills the form that opens and sends it. `inputs=None` fills the first field with `text`.

        `playground` sends it as Microsoft's Agents Playground does: a plain string, and no word of which message.
        """
        assert message.feedback is not None, "the message has no thumbs"
        if message.feedback == "custom":
            dialog = await self.open_feedback(person, message, reaction)
            return (
                dialog
                if dialog.failed or dialog.card is None
                else await self.submit_feedback(person, message, reaction, dialog, text, inputs)
            )
        given: object = text if playground else json.dumps({"feedbackText": text})
        value = {"actionName": "feedback", "actionValue": {"reaction": reaction, "feedback": given}}
        if playground:
            return _submitted(await self.invoke(person, "message/submitAction", value, message.chat, message.place))
        return _submitted(await self._on(person, message, "message/submitAction", value))

    async def open_feedback(self, person: Person, message: Message, reaction: str, in_: Chat | None = None) -> Outcome:
        """Presses a thumb of a custom loop: the dialog that opens."""
        about = {"actionName": "feedback", "actionValue": {"reaction": reaction}}
        value = {"data": about} if self.nested_fetch else about
        told = await self._on(person, message, "message/fetchTask", value, in_)
        outcome = Outcome(told.status, told.response, deliveries=[told])
        try:
            outcome.card, outcome.said = _task(told)
        except Refused:
            outcome.said = WENT_WRONG
        return outcome

    async def submit_feedback(
        self, person: Person, message: Message, reaction: str, dialog: Outcome, text: str = "", inputs: Json | None = None
    ) -> Outcome:
        """Sends the form of a dialog."""
        assert dialog.card is not None
        filled = _filled(dialog.card, inputs, text)
        submit = next((action for action in cards.actions(dialog.card) if action["type"] == "Action.Submit"), None)
        assert submit is not None, "the dialog has no Action.Submit"
        form = {**(submit.get("data") or {}), **filled}
        value = {"actionName": "feedback", "actionValue": {"reaction": reaction, "feedback": json.dumps(form)}}
        outcome = _submitted(await self._on(person, message, "message/submitAction", value))
        outcome.deliveries = [*dialog.deliveries, *outcome.deliveries]
        return outcome

    # Cards

    async def press(self, person: Person, message: Message, action: str, inputs: Json | None = None, in_: Chat | None = None) -> Outcome:
        """Presses a button of a card, by verb, title or id; `in_`: replayed from another chat.

        Action.Execute: the answer replaces the card. Action.Submit: a message with the value, and no words.
        """
        card, found = _find(message, action)
        if found["type"] == "Action.Submit":
            return await self._submit(person, message, card, found, inputs)
        assert found["type"] == "Action.Execute", f"nothing is told of {found['type']}"
        data = found.get("data") or {}
        filled = _filled(card, inputs) if found.get("associatedInputs") != "none" else {}
        pressed = {name: found[name] for name in ("type", "id", "title", "verb") if name in found}
        value = {"action": {**pressed, "data": {**data, **filled} if isinstance(data, dict) else data}, "trigger": "manual"}
        told = await self._on(person, message, "adaptiveCard/action", value, in_)
        return self._replaced(message, card, told)

    async def _submit(self, person: Person, message: Message, card: Json, found: Json, inputs: Json | None) -> Outcome:
        chat, new = message.chat, self.world.new_id()
        value = {**(found.get("data") or {}), **_filled(card, inputs)}
        activity = {**self.event("message", person, chat, message.place), "id": new, "value": value, "replyToId": message.id}
        told = await self.told(activity)
        return Outcome(told.status, told.response, card, deliveries=[told])

    def _replaced(self, message: Message, card: Json, told: Delivery) -> Outcome:
        outcome = Outcome(told.status, told.response, card, deliveries=[told])
        try:
            kind, value = _card_answer(told)
        except Refused:
            outcome.said = WENT_WRONG
            return outcome
        if kind == CARD:
            outcome.card = value
            attachments = [{**each, "content": value} if each.get("content") is card else each for each in message.activity["attachments"]]
            self.world.change(message, {**message.activity, "attachments": attachments})
        else:
            outcome.said = value["message"] if kind == ERROR else value
        return outcome

    async def choose(self, person: Person, message: Message, title: str) -> Message:
        """Taps a suggested action that she sees: it is said in her name."""
        assert title in message.suggested, f"no button {title!r} is shown; there are {message.suggested}"
        action = next(action for action in message.activity["suggestedActions"]["actions"] if action["title"] == title)
        return await self.say(person, action["value"], in_=message.chat)

    # Streams and files

    async def stop(self, chat: Chat) -> bool:
        """Presses Stop: the app hears of it when it goes on. Whether anything streamed."""
        stream = self.streams.running(chat.id)
        if stream is not None:
            self.streams.end(stream, "stopped")
            self.world.changed()
        return stream is not None

    async def consent(
        self, person: Person, message: Message, accept: bool = True, upload_url: str | None = None, in_: Chat | None = None
    ) -> Delivery:
        """Lets the app put its file into her OneDrive, or not; see `files`. `upload_url`: another place for it than ours."""
        (wanted,) = message.consents
        content = wanted["content"]
        value: Json = {"type": "fileUpload", "action": "accept" if accept else "decline"}
        context = content.get("acceptContext" if accept else "declineContext")
        if context is not None:
            value["context"] = context
        if accept:
            value["uploadInfo"] = self.file_server.offer(wanted["name"], upload_url)
        return await self._on(person, message, "fileConsent/invoke", value, in_)

    @property
    def files(self) -> dict[str, bytes]:
        """What the app uploaded, by name."""
        return self.file_server.uploaded


def _submitted(told: Delivery) -> Outcome:
    """Teams takes 200 with an empty object; anything else is an error to the person."""
    good = told.status == 200 and told.response in ({}, None, "")
    return Outcome(told.status, told.response, said="" if good else WENT_WRONG, deliveries=[told])


def _task(told: Delivery) -> tuple[Json | None, str]:
    """The card of a dialog, or its message."""
    task = told.response.get("task") if told.status == 200 and isinstance(told.response, dict) else None
    if not isinstance(task, dict):
        raise Refused(400)
    value = task.get("value")
    if task.get("type") == "message" and isinstance(value, str):
        return None, value
    attachment = value.get("card") if isinstance(value, dict) else None
    if task.get("type") != "continue" or not isinstance(attachment, dict) or attachment.get("contentType") != CARD:
        raise Refused(400)
    return cards.check(attachment.get("content")), ""


def _card_answer(told: Delivery) -> tuple[str, Json]:
    """Type and value of the answer to an Action.Execute; raises Refused when it is none."""
    answer = told.response
    if told.status != 200 or not isinstance(answer, dict) or not isinstance(answer.get("statusCode"), int):
        raise Refused(400)
    kind, value = answer.get("type"), answer.get("value")
    if kind == CARD and answer["statusCode"] == 200:
        return CARD, cards.check(value)
    if kind == MESSAGE and isinstance(value, str):
        return MESSAGE, value  # type: ignore[return-value]
    if kind == ERROR and isinstance(value, dict) and isinstance(value.get("message"), str) and answer["statusCode"] in ERROR_STATUSES:
        return ERROR, value
    raise Refused(400)


def _find(message: Message, action: str) -> tuple[Json, Json]:
    for card in message.cards:
        for found in cards.actions(card):
            if action in (found.get("verb"), found.get("title"), found.get("id")):
                return card, found
    known = [str(found.get("verb") or found.get("title")) for card in message.cards for found in cards.actions(card)]
    raise AssertionError(f"no button {action!r} in the message; there are {known}")


def _filled(card: Json, inputs: Json | None, text: str = "") -> Json:
    """What stands in the fields of a card; the client sends nothing while a required one is empty."""
    fields = cards.inputs(card)
    given = dict(inputs or {})
    if inputs is None and text and fields:
        given[fields[0]["id"]] = text
    unknown = set(given) - {each["id"] for each in fields}
    assert not unknown, f"no such field: {unknown}"
    filled = {each["id"]: str(given.get(each["id"], each.get("value", ""))) for each in fields}
    for each in fields:
        assert filled[each["id"]] or not each.get("isRequired"), f"{each['id']!r} is required"
        assert len(filled[each["id"]]) <= each.get("maxLength", 1 << 30), f"{each['id']!r} is too long"
    return {name: value for name, value in filled.items() if value or name in given}
