"""Names of places and messages: what one part of CARE writes, another reads."""

import pytest

from bot.connectors.teams.address import Address
from bot.connectors.teams.names import Name, channel_of, parse, root_of, thread_of

THREAD = "19:abc@thread.tacv2;messageid=1700000000000"


@pytest.mark.parametrize("place", ["a:1xyz", THREAD, "19:meeting_x@thread.v2", "odd/place/with/strokes"])
def test_a_message_is_found_again_by_its_name(place: str) -> None:
    name = Name(place, "1700000000001")
    assert parse(str(name)) == name
    assert (name.beside("2").place, name.beside("2").id) == (place, "2")


@pytest.mark.parametrize("name", ["", "/", "place", "place/", "/id"])
def test_what_names_no_message_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no id of a message"):
        parse(name)


def test_an_id_that_would_be_read_as_another_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no id of a message"):
        Name("place", "a/b")


def test_a_thread_knows_its_channel_and_what_it_begins_with() -> None:
    assert (channel_of(THREAD), root_of(THREAD)) == ("19:abc@thread.tacv2", "1700000000000")
    assert thread_of(THREAD, "5") == thread_of("19:abc@thread.tacv2", "5") == "19:abc@thread.tacv2;messageid=5"
    assert (channel_of("a:1"), root_of("a:1")) == ("a:1", None)


def test_where_an_activity_came_from_is_where_answers_go() -> None:
    activity = {
        "serviceUrl": "https://smba.trafficmanager.net/emea/",
        "conversation": {"id": "a:1", "conversationType": "personal", "tenantId": "t"},
        "from": {"id": "29:ada"},
        "recipient": {"id": "28:care"},
    }
    address = Address.of(activity)
    assert address == Address("https://smba.trafficmanager.net/emea/", "a:1", "personal", "28:care", "t", "29:ada")
    assert Address.of({**activity, "conversation": {"id": THREAD, "conversationType": "channel"}}).user_id is None
    assert Address.of({**activity, "conversation": {"id": "x"}}).kind == "personal", "as development tools send it"
    assert Address.of({**activity, "conversation": {"id": "x", "isGroup": True}}).kind == "groupChat"
    with pytest.raises(ValueError, match="two tenants"):
        Address.of({**activity, "channelData": {"tenant": {"id": "another"}}})
