from pathlib import Path

import pytest

from bot import settings
from bot.settings import BadSettings, Settings

ROOT = Path(__file__).parents[2]


def test_nothing_set_gives_the_defaults() -> None:
    assert settings.load({}) == Settings()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("CARE_PORT=9001\nCARE_SLOTS=3\n")
    loaded = settings.load({"CARE_PORT": "9002"}, dotenv)
    assert (loaded.port, loaded.slots) == (9002, 3)


def test_every_fault_is_reported_at_once_by_variable_name() -> None:
    wrong = {"CARE_PORT": "eighty", "CARE_SLOTS": "0", "CARE_DEVICE": "tpu", "CARE_HOST": "two words", "CARE_LOG": "loud"}
    with pytest.raises(BadSettings) as caught:
        settings.load(wrong)
    assert [fault.split("=")[0] for fault in caught.value.faults] == [name for name in settings.variables() if name in wrong]
    assert "'eighty'" in str(caught.value)
    assert "whole number from 0 to 65535" in str(caught.value)


def test_a_bind_that_others_can_reach_needs_a_token() -> None:
    with pytest.raises(BadSettings, match="CARE_TOKEN must be set"):
        settings.load({"CARE_HOST": "0.0.0.0"})  # noqa: S104
    assert not settings.load({"CARE_HOST": "0.0.0.0", "CARE_TOKEN": "secret"}).loopback  # noqa: S104


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    assert settings.load({"CARE_HOST": host}).loopback


def test_an_answer_must_fit_into_the_context() -> None:
    with pytest.raises(BadSettings, match="CARE_MAX_TOKENS=2048: must be smaller than CARE_CONTEXT"):
        settings.load({"CARE_MAX_TOKENS": "2048"})


def test_a_token_is_never_shown() -> None:
    with pytest.raises(BadSettings) as caught:
        settings.load({"CARE_TOKEN": "top secret"})
    assert "top secret" not in str(caught.value)
    assert "s3cret" not in repr(settings.load({"CARE_TOKEN": "s3cret"}))


def test_a_misspelt_setting_is_named() -> None:
    given = {"CARE_PROT": "1", "CARE_PORT": "1", "SLACK_TOKEN": "1", "TEAMS_ID": "1", "HOME": "/"}
    assert settings.unknown(given) == ["CARE_PROT", "SLACK_TOKEN", "TEAMS_ID"]


def test_the_example_lists_every_setting_with_its_default() -> None:
    example = ROOT / ".env.example"
    assert settings.load({}, example) == Settings()
    listed = [line.split("=")[0] for line in example.read_text().splitlines() if line.startswith(("CARE_", "SLACK_", "TEAMS_"))]
    assert listed == list(settings.variables())


SLACK = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "s3cret"}


def test_slack_is_off_without_a_bot_token() -> None:
    assert settings.load({"SLACK_API_URL": "https://slack-gov.com/api"}).slack_bot_token is None


def test_slack_takes_socket_mode_or_signed_events() -> None:
    loaded = settings.load(
        {**SLACK, "SLACK_CHANNELS": "C024BE91L, G0AAA", "SLACK_EXTERNAL": "yes", "CARE_LINKS": "Help.Example.com, x.org"}
    )
    assert (loaded.slack_signing_secret, loaded.slack_channels, loaded.slack_external) == ("s3cret", ("C024BE91L", "G0AAA"), True)
    assert loaded.links == ("help.example.com", "x.org")
    assert settings.load({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}).slack_app_token == "xapp-1"
    assert settings.load({**SLACK, "SLACK_API_URL": "http://127.0.0.1:9/api"}).slack_api_url == "http://127.0.0.1:9/api/"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-1"}, "SLACK_SIGNING_SECRET: must be set, or SLACK_APP_TOKEN for Socket Mode"),
        ({"SLACK_APP_TOKEN": "xapp-1"}, "SLACK_APP_TOKEN=.hidden.: is of no use without SLACK_BOT_TOKEN"),
        ({"SLACK_SIGNING_SECRET": "s"}, "SLACK_SIGNING_SECRET=.hidden.: is of no use without SLACK_BOT_TOKEN"),
        ({**SLACK, "SLACK_BOT_TOKEN": "xapp-1"}, "SLACK_BOT_TOKEN=.hidden.: must begin with xoxb-"),
        ({**SLACK, "SLACK_APP_TOKEN": "xoxb-1"}, "SLACK_APP_TOKEN=.hidden.: must begin with xapp-"),
        ({**SLACK, "SLACK_API_URL": "http://slack.com/api/"}, "must begin with https://"),
        ({**SLACK, "SLACK_CHANNELS": "#support"}, "'#support' is no channel id"),
        ({**SLACK, "SLACK_EXTERNAL": "maybe"}, "must be yes or no"),
        ({**SLACK, "SLACK_SOCKETS": "11"}, "whole number from 1 to 10"),
        ({"CARE_LINKS": "https://x.org/a"}, "is no host"),
    ],
)
def test_what_slack_could_not_work_with_stops_the_start(given: dict[str, str], said: str) -> None:
    with pytest.raises(BadSettings, match=said):
        settings.load(given)


def test_secrets_of_slack_are_never_shown() -> None:
    secrets = {"SLACK_BOT_TOKEN": "xoxb-hidden one", "SLACK_APP_TOKEN": "xapp-hidden two", "SLACK_SIGNING_SECRET": "hidden three"}
    with pytest.raises(BadSettings) as caught:
        settings.load(secrets)
    assert "hidden " not in str(caught.value)
    assert "s3cret" not in repr(settings.load(SLACK))
    assert "xoxb" not in repr(settings.load(SLACK))


ID = "12345678-90AB-cdef-1234-567890abcdef"
TEAMS = {"TEAMS_APP_ID": ID, "TEAMS_APP_PASSWORD": "p~ssword", "TEAMS_TENANT_ID": ID}


def test_teams_is_off_without_an_app() -> None:
    assert not settings.load({}).teams
    assert settings.load(TEAMS).teams
    assert settings.load({"TEAMS_NO_AUTH": "1"}).teams


def test_a_channel_of_teams_may_be_given_by_the_link_to_it() -> None:
    link = "https://teams.microsoft.com/l/channel/19%3Aab12c%40thread.tacv2/Support?groupId=1&tenantId=2"
    loaded = settings.load({**TEAMS, "TEAMS_HANDOVER_CHANNEL": link, "TEAMS_ADMIN_CHANNEL": "19:ops@thread.tacv2"})
    assert (loaded.teams_handover_channel, loaded.teams_admin_channel) == ("19:ab12c@thread.tacv2", "19:ops@thread.tacv2")
    assert loaded.teams_app_id == ID.lower()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"TEAMS_APP_ID": ID}, "TEAMS_APP_PASSWORD: must be set too"),
        ({"TEAMS_APP_ID": ID}, "TEAMS_TENANT_ID: must be set too"),
        ({**TEAMS, "TEAMS_APP_ID": "care"}, "TEAMS_APP_ID='care': is no id of Entra's"),
        ({**TEAMS, "TEAMS_NO_AUTH": "1"}, "exclude each other"),
        ({"TEAMS_NO_AUTH": "1", "CARE_HOST": "0.0.0.0", "CARE_TOKEN": "t"}, "takes messages from anybody, so CARE_HOST must be 127.0.0.1"),  # noqa: S104
        ({"TEAMS_NO_AUTH": "yes"}, "must be 1, or empty"),
        ({**TEAMS, "TEAMS_HANDOVER_CHANNEL": "support"}, "names no channel"),
        ({**TEAMS, "TEAMS_OPENID_URL": "http://keys.example.com/"}, "must begin with https://"),
        ({**TEAMS, "TEAMS_PUBLIC_URL": "care.example.com"}, "must begin with https://"),
        ({**TEAMS, "TEAMS_SERVICE_HOSTS": "smba.trafficmanager.net:443"}, "has a port"),
        ({**TEAMS, "TEAMS_FEEDBACK": "stars"}, "must be one of dialog, comment, card"),
    ],
)
def test_what_teams_could_not_work_with_stops_the_start(given: dict[str, str], said: str) -> None:
    with pytest.raises(BadSettings, match=said):
        settings.load(given)


def test_the_password_of_teams_is_never_shown() -> None:
    with pytest.raises(BadSettings) as caught:
        settings.load({**TEAMS, "TEAMS_APP_PASSWORD": " hidden"})
    assert "hidden'" not in str(caught.value)
    assert "p~ssword" not in repr(settings.load(TEAMS))
