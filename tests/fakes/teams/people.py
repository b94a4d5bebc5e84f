"""What people do with messages: write, edit, delete, react, install, join. Each returns once the app has answered."""

from collections.abc import Sequence

from tests.fakes.teams import activities
from tests.fakes.teams.activities import GONE, base, event_id, overridden, with_event, words
from tests.fakes.teams.keys import Keys
from tests.fakes.teams.outbox import Delivery, Outbox
from tests.fakes.teams.world import APP_NAME, BOT_ID, Chat, Json, Message, Person, World, group, personal


class People:
    """Half of FakeTeams: everything that ends in an activity which is no invoke."""

    world: World
    outbox: Outbox
    keys: Keys
    people: list[Person]

    @property
    def service_url(self) -> str:
        """Where the app answers to."""
        raise NotImplementedError

    # Places

    def personal(self, person: Person) -> Chat:
        """A person's chat with the app."""
        return self.world.know(personal(person))

    def group(self, *people: Person) -> Chat:
        """A group chat that the app is in."""
        return self.world.know(group(people))

    def channel(self, chat: Chat) -> Chat:
        """A channel that the app is in."""
        return self.world.know(chat)

    # Saying

    async def say(
        self,
        person: Person,
        text: str,
        in_: Chat | None = None,
        thread: Message | str | None = None,
        mention: bool = True,
        **overrides: object,
    ) -> Message:
        """Writes a message; `status` says how the app answered. In personal chats nobody is mentioned.

        `thread`: the post, or any message below it, that this answers. `overrides` replace fields of the activity
        (`from_`, `localTimestamp`, …), `GONE` removes them.
        """
        said = self.saying(person, text, in_, thread, mention, **overrides)
        assert said.delivery is not None
        await said.delivery.done.wait()
        return said

    def saying(
        self,
        person: Person,
        text: str,
        in_: Chat | None = None,
        thread: Message | str | None = None,
        mention: bool = True,
        **overrides: object,
    ) -> Message:
        """Writes a message and does not wait."""
        chat = self.world.know(in_ or personal(person))
        new = self.world.new_id()
        activity = base("message", new, person, chat, _place(chat, thread, new), new, self.service_url)
        activity |= words(text, mention and chat.kind != "personal")
        return self._said(person, chat, overridden(activity, overrides))

    def _said(self, person: Person, chat: Chat, activity: Json) -> Message:
        new = activity.get("id") if isinstance(activity.get("id"), str) else self.world.new_id()
        where = activity.get("conversation")
        place = where["id"] if isinstance(where, dict) and isinstance(where.get("id"), str) else chat.id
        message = self.world.add(Message(str(new), chat, place, person, activity, self.clock()))
        message.delivery = self.tell(activity)
        return message

    def clock(self) -> float:
        """Monotonic seconds."""
        raise NotImplementedError

    def activity(self, person: Person, text: str, in_: Chat | None = None, **overrides: object) -> Json:
        """A message as `say` would tell it, untold."""
        chat, new = in_ or personal(person), self.world.new_id()
        activity = base("message", new, person, chat, _place(chat, None, new), new, self.service_url)
        return overridden(activity | words(text, chat.kind != "personal"), overrides)

    def tell(self, activity: Json, token: str | None = "") -> Delivery:
        """Tells the app any activity, signed for its serviceUrl; or with this token, None for no token at all."""
        if token == "":
            url = activity.get("serviceUrl")
            token = self.keys.kept(url if isinstance(url, str) else self.service_url)
        return self.outbox.put(activity, token)

    async def told(self, activity: Json, token: str | None = "") -> Delivery:
        """The same, once the app has answered."""
        delivery = self.tell(activity, token)
        await delivery.done.wait()
        return delivery

    async def redeliver(self, said: Message | Delivery, new_id: bool = False) -> Delivery:
        """Tells it again, as Teams does now and then; with `new_id` as another activity of the same words and time."""
        activity = said.activity
        return await self.told({**activity, "id": self.world.new_id()} if new_id else activity)

    # Changing

    async def edit(self, said: Message, text: str) -> Delivery:
        """The author changes what it says."""
        mention = any(entity.get("type") == "mention" for entity in said.entities)
        activity = {**said.activity, **words(text, mention), **activities.stamps(self.world.new_id()), "type": "messageUpdate"}
        self.world.change(said, activity)
        said.updates += 1
        return await self.told(with_event(activity, "editMessage"))

    async def delete(self, said: Message) -> Delivery:
        """The author deletes it."""
        said.deleted = True
        self.world.changed()
        left = {name: value for name, value in said.activity.items() if name not in ("text", "textFormat", "attachments")}
        activity = {**left, **activities.stamps(self.world.new_id()), "type": "messageDelete"}
        return await self.told(with_event(activity, "softDeleteMessage"))

    async def undelete(self, said: Message) -> Delivery:
        """The author takes the deletion back."""
        said.deleted = False
        self.world.changed()
        activity = {**said.activity, **activities.stamps(self.world.new_id()), "type": "messageUpdate"}
        return await self.told(with_event(activity, "undeleteMessage"))

    async def react(self, person: Person, message: Message, kind: str = "like") -> Delivery:
        """Adds a reaction: like, heart, laugh, surprised, sad, angry, or another emoji's name."""
        message.reactions.add((person.id, kind))
        return await self._reaction(person, message, "reactionsAdded", [kind])

    async def unreact(self, person: Person, message: Message, kind: str = "like") -> Delivery:
        """Takes a reaction back."""
        message.reactions.discard((person.id, kind))
        return await self._reaction(person, message, "reactionsRemoved", [kind])

    async def _reaction(self, person: Person, message: Message, name: str, kinds: Sequence[str]) -> Delivery:
        activity = self.event("messageReaction", person, message.chat, message.place)
        return await self.told({**activity, name: [{"type": kind} for kind in kinds], "replyToId": message.id})

    # Coming and going

    async def install(self, person: Person, in_: Chat | None = None) -> list[Delivery]:
        """Somebody adds the app: Teams tells it twice, as installationUpdate and as conversationUpdate."""
        chat = self.world.know(in_ or personal(person))
        self.world.gone.pop(chat.id, None)
        added = {**self.event("conversationUpdate", person, chat), "membersAdded": [{"id": BOT_ID, "name": APP_NAME}]}
        if chat.kind == "channel":
            added = with_event(added, "teamMemberAdded")
        both = [{**self.event("installationUpdate", person, chat), "action": "add"}, added]
        return [await self.told(activity) for activity in both]

    async def uninstall(self, person: Person, in_: Chat | None = None) -> Delivery:
        """Somebody removes the app: from then on it may not write there."""
        chat = self.world.know(in_ or personal(person))
        self.world.gone[chat.id] = "BotNotInConversationRoster"
        return await self.told({**self.event("installationUpdate", person, chat), "action": "remove"})

    def block(self, person: Person) -> None:
        """A person blocks the app; it is not told."""
        self.world.gone[personal(person).id] = "ConversationBlockedByUser"

    async def join(self, person: Person, chat: Chat) -> Delivery:
        """Somebody else comes into a chat."""
        return await self.told({**self.event("conversationUpdate", person, chat), "membersAdded": [person.json()]})

    def event(self, kind: str, person: Person, chat: Chat, place: str | None = None) -> Json:
        """An activity that is no message, untold."""
        return base(kind, event_id(), person, chat, place or chat.id, self.world.new_id(), self.service_url)


def _place(chat: Chat, thread: Message | str | None, new: str) -> str:
    """In channels every post has a conversation of its own."""
    if chat.kind != "channel":
        return chat.id
    if isinstance(thread, Message):
        return thread.place
    return f"{chat.id};messageid={thread or new}"


__all__ = ["GONE", "People"]
