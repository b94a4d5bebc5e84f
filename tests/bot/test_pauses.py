"""How long a platform wants us to wait."""

import pytest

from bot.connectors.pauses import retry_after


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("0", 0.0), ("2", 2.0), ("1.5", 1.5), (" 7 ", 7.0), ("-3", 0.0), ("86400", 600.0), ("inf", 600.0)]
    + [(nonsense, 1.0) for nonsense in ("", "soon", "nan", "Wed, 21 Oct 2026 07:28:00 GMT", "1,5")],
)
def test_a_pause_is_as_long_as_asked_for_within_reason_and_a_second_where_nonsense_is(said: str, seconds: float) -> None:
    assert retry_after({"retry-AFTER": said}) == seconds
    assert retry_after({}) == 1.0
