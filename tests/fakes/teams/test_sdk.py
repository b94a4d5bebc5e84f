"""Microsoft's SDK against the fake: what it sends is understood, and it believes whom it should."""

import asyncio

import pytest
from botbuilder.schema import Activity, ChannelAccount, ConversationParameters, ErrorResponseException
from botframework.connector.aio import ConnectorClient
from botframework.connector.auth import (
    AppCredentials,
    AuthenticationConfiguration,
    BotFrameworkAuthenticationFactory,
    PasswordServiceClientCredentialFactory,
)

from tests.fakes.teams import ADA, SUPPORT, FakeTeams
from tests.fakes.teams.conftest import App


class Credentials(AppCredentials):
    """A token that somebody else has fetched."""

    def __init__(self, app_id: str, token: str) -> None:
        super().__init__(app_id)
        self._token = token

    def get_access_token(self, force_refresh: bool = False) -> str:
        return self._token


@pytest.fixture
def client(teams: FakeTeams, app: App) -> ConnectorClient:
    return ConnectorClient(Credentials(teams.app_id, app.token), base_url=teams.service_url)


async def test_messages_are_posted_updated_and_deleted(teams: FakeTeams, client: ConnectorClient) -> None:
    asked = await teams.say(ADA, "Hello", in_=SUPPORT)
    account = ChannelAccount(id=f"28:{teams.app_id}", name="CARE")
    posted = await client.conversations.send_to_conversation(asked.place, Activity(type="message", text="Hi", from_property=account))
    replied = await client.conversations.reply_to_activity(
        asked.place, asked.id, Activity(type="message", text="Hi again", reply_to_id=asked.id)
    )
    await client.conversations.update_activity(asked.place, posted.id, Activity(type="message", text="Hello Ada"))
    await client.conversations.delete_activity(asked.place, replied.id)
    (answer,) = teams.answers(asked)
    assert (answer.id, answer.text, answer.updates, len(answer.history)) == (posted.id, "Hello Ada", 1, 2)


async def test_new_posts_and_personal_chats(teams: FakeTeams, client: ConnectorClient) -> None:
    post = ConversationParameters(
        is_group=True, channel_data={"channel": {"id": SUPPORT.id}}, activity=Activity(type="message", text="A person asks for help")
    )
    made = await client.conversations.create_conversation(post)
    assert made.id == f"{SUPPORT.id};messageid={made.activity_id}"
    assert [message.text for message in teams.posts(SUPPORT)] == ["A person asks for help"]
    direct = ConversationParameters(
        members=[ChannelAccount(id=ADA.id)], tenant_id=teams.tenant, bot=ChannelAccount(id=f"28:{teams.app_id}")
    )
    assert (await client.conversations.create_conversation(direct)).id == teams.personal(ADA).id


async def test_refusals_are_the_sdks_errors(teams: FakeTeams, client: ConnectorClient) -> None:
    with pytest.raises(ErrorResponseException) as refused:
        await client.conversations.send_to_conversation("19:nowhere@thread.v2", Activity(type="message", text="Hi"))
    assert refused.value.response.status_code == 404
    assert refused.value.error.error.code == "ConversationNotFound"


async def test_the_sdk_believes_what_is_signed_and_nothing_else(teams: FakeTeams, app: App) -> None:
    await teams.say(ADA, "Hello")
    auth = BotFrameworkAuthenticationFactory.create(
        to_channel_from_bot_login_url=f"{teams.url}/login/",
        to_channel_from_bot_oauth_scope="https://api.botframework.com",
        to_bot_from_channel_token_issuer="https://api.botframework.com",
        oauth_url="https://token.botframework.com",
        to_bot_from_channel_open_id_metadata_url=teams.settings()["teams_openid_url"],
        to_bot_from_emulator_open_id_metadata_url=teams.settings()["teams_openid_url"],
        credential_factory=PasswordServiceClientCredentialFactory(teams.app_id, teams.password),
        auth_configuration=AuthenticationConfiguration(),
    )
    activity = Activity().deserialize(app.told[0])

    def believed(header: str) -> bool:
        identity = asyncio.run(auth.authenticate_request(activity, header)).claims_identity
        return bool(identity.is_authenticated)

    assert await asyncio.to_thread(believed, app.authorizations[0])
    for lie in (
        {"aud": "another"},
        {"exp": 1},
        {"serviceurl": "https://evil.example/"},
        {"kid": "teams-key", "key": "unknown-key"},
        {"iss": "https://evil.example"},
        {"key": "webchat-key"},
    ):
        with pytest.raises(
            Exception, match=r"(?i)token|key|claim|signature|identity|authorized|index|appid"
        ):  # the SDK has no error of its own
            await asyncio.to_thread(believed, f"Bearer {teams.token(**lie)}")
