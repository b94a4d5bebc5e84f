"""What people do with messages: write, edit, delete, react, join. Each returns at once; the app is told in the background."""

from collections.abc import Sequence

from tests.fakes.slack import events
from tests.fakes.slack.events import SCOPES, subscription
from tests.fakes.slack.outbox import Delivery, Outbox
from tests.fakes.slack.workspace import BOT, BOT_USER, Json, Message, Workspace

_TOMBSTONE: Json = {"subtype": "tombstone", "text": "This message was deleted.", "user": "USLACKBOT", "hidden": True}


class People:
    """Half of FakeSlack: everything that ends in an event."""

    workspace: Workspace
    outbox: Outbox
    scopes: set[str]
    events: set[str]

    def say(self, user: str, channel: str, text: str, thread_ts: str | None = None, files: Sequence[str] = ()) -> Message:
        """Writes a message; `files` are file names. With `<@…>` of the app in it, the app is told twice, as Slack does."""
        person = self.workspace.people[user]
        said = Message(channel, self.workspace.new_ts(), user, text, thread_ts, person.bot_id, team=person.team)
        if files:
            said.subtype = "file_share"
            said.files = [self._file(name) for name in files]
        self.workspace.add(said)
        self.tell_message(said)
        return said

    def mention(self, user: str, channel: str, text: str, thread_ts: str | None = None, files: Sequence[str] = ()) -> Message:
        """Writes a message to the app."""
        return self.say(user, channel, f"<@{BOT_USER}> {text}", thread_ts, files)

    def edit(self, said: Message, text: str) -> None:
        """The author changes what it says."""
        before = said.json()
        said.text, said.edited = text, self.workspace.new_ts()
        self.workspace.changed("message", said)
        self.tell_changed(said, before)

    def unfurl(self, said: Message) -> None:
        """Slack adds a preview of a link: a `message_changed` in which nobody has changed anything."""
        before = said.json()
        preview = {"attachments": [{"id": 1, "title": "A page", "from_url": "https://example.com/"}]}
        self._tell(events.changed(self.workspace, self.workspace.channels[said.channel], {**before, **preview}, before))

    def delete(self, said: Message) -> None:
        """The author deletes it."""
        self.erase(said)

    def react(self, user: str, said: Message, name: str = "+1") -> None:
        """Adds a reaction."""
        self.set_reaction(said, name, user, True)

    def unreact(self, user: str, said: Message, name: str = "+1") -> None:
        """Takes a reaction back."""
        self.set_reaction(said, name, user, False)

    def join(self, user: str, channel: str) -> None:
        """Comes into a channel: two events, one of them a message."""
        where, person = self.workspace.channels[channel], self.workspace.people[user]
        where.members.add(user)
        self._tell(events.joined(self.workspace, where, person))
        said = Message(channel, self.workspace.new_ts(), user, f"<@{user}> has joined the channel", subtype="channel_join")
        self.workspace.add(said)
        self.tell_message(said)

    def open_home(self, user: str, tab: str = "messages") -> Delivery | None:
        """Opens the app's `messages` or `home` tab."""
        return self._tell(events.home_opened(self.workspace, user, tab))

    def erase(self, said: Message) -> None:
        """A message goes; over a thread a tombstone stays."""
        before = said.json()
        channel = self.workspace.channels[said.channel]
        thread = [message for message in self.workspace.thread(said.channel, said.ts) if message is not said]
        said.deleted = not thread
        if thread:
            said.text, said.blocks, said.files, said.subtype, said.user, said.bot_id = (
                _TOMBSTONE["text"],
                [],
                [],
                "tombstone",
                "USLACKBOT",
                None,
            )
            self._tell(events.changed(self.workspace, channel, {**said.json(), **_TOMBSTONE}, before))
        else:
            self._tell(events.deleted(self.workspace, channel, before))
        self.workspace.changed("message", said)

    def set_reaction(self, said: Message, name: str, user: str, on: bool) -> bool:
        """False when nothing changes."""
        users = said.reactions.setdefault(name, [])
        if (user in users) == on:
            return False
        (users.append if on else users.remove)(user)
        if not users:
            del said.reactions[name]
        self.workspace.changed("message", said)
        kind = "reaction_added" if on else "reaction_removed"
        self._tell(events.reaction(self.workspace, kind, user, name, said))
        return True

    def tell_message(self, said: Message) -> None:
        """Everybody in the channel is told of a new message, the app that wrote it too."""
        channel, person = self.workspace.channels[said.channel], self.workspace.people[said.user]
        root = self.workspace.thread(said.channel, said.thread_ts)[:1] if said.thread_ts else []
        parent = root[0].user if root and root[0] is not said else None
        if f"<@{BOT_USER}>" in said.text and not channel.with_user and said.bot_id != BOT:
            self._tell(events.mention(channel, said, person, parent), channel.id)
        self._tell(events.message(channel, said, person, parent), channel.id)

    def tell_changed(self, said: Message, before: Json) -> None:
        """Everybody in the channel is told that a message changed."""
        self._tell(events.changed(self.workspace, self.workspace.channels[said.channel], said.json(), before))

    def tell(self, event: Json) -> Delivery:
        """Any event at all, as it stands: malformed ones too."""
        return self.outbox.put("events_api", events.envelope(self.workspace, event))

    def _tell(self, event: Json, channel: str | None = None) -> Delivery | None:
        """An event, if the app has subscribed to it, may read it, and is in the channel."""
        name = subscription(event)
        place = channel or event.get("channel") or event.get("item", {}).get("channel")
        where = self.workspace.channels.get(place)
        scope = SCOPES[name]
        absent = where is not None and BOT_USER not in where.members and name != "app_mention"
        if name not in self.events or (scope is not None and scope not in self.scopes) or absent:
            return None
        return self.outbox.put("events_api", events.envelope(self.workspace, event, shared=where is not None and where.shared))

    def _file(self, name: str) -> Json:
        kind = name.rpartition(".")[2]
        return {
            "id": self.workspace.new_id("F"),
            "name": name,
            "title": name,
            "filetype": kind,
            "mimetype": f"application/{kind}",
            "size": 12345,
        }
