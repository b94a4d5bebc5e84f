"""What experts are told once they have a conversation: kept for a while, and forgotten with who it is of."""

from bot.connectors.posts import Posts


def test_what_waits_is_told_once_the_experts_have_the_conversation() -> None:
    posts = Posts[str]()
    posts.wait("h1", "ada", "a file")
    posts.wait("h1", "grace", "another")
    assert posts.name("h1") is None
    assert posts.made("h1", "post") == ["a file", "another"]
    assert posts.made("h1", "post") == []
    assert posts.name("h1") == "post"


def test_nothing_waits_of_who_is_forgotten() -> None:
    posts = Posts[str]()
    for handover in ("h1", "h2"):
        posts.wait(handover, "ada", "a file")
    posts.wait("h2", "grace", "another")
    posts.forget("ada")
    assert "ada" not in str(vars(posts))
    assert (posts.made("h1", "post"), posts.made("h2", "post")) == ([], ["another"])


def test_a_year_of_handovers_takes_no_more_room_than_a_day() -> None:
    posts = Posts[str](most=10)
    for number in range(1000):
        posts.wait(f"w{number}", "ada", "a file")
        posts.wait("h", "ada", "a file")
        posts.made(f"h{number}", "post")
    assert len(posts._names) == 10
    assert len(posts._waiting) == 10
    assert len(posts._waiting["h"]) == 10
