"""Teams as the service and the application see it: started, stopped, and what the service brings there. Puts the parts together."""

import logging

from bot.connectors.teams.api import TeamsApi
from bot.connectors.teams.keys import Keys
from bot.connectors.teams.sdk import Dispatch, Ears
from bot.connectors.teams.trust import Trust
from bot.connectors.teams.webhook import Webhook
from bot.settings import Settings

log = logging.getLogger(__name__)


def door(settings: Settings, api: TeamsApi, ears: Ears) -> Webhook:
    """Where Teams' requests come in. Without an app id anybody's: the settings allow that on this machine alone."""
    if settings.teams_app_id is None:
        assert settings.teams_no_auth, "the application makes it for an app id, or without authentication on purpose"
        return Webhook(None, api.hosts, Dispatch(ears).take)
    assert settings.teams_tenant_id is not None, "the settings belong together"
    trust = Trust(settings.teams_app_id, settings.teams_tenant_id, Keys(settings.teams_openid_url, api.http))
    return Webhook(trust, api.hosts, Dispatch(ears).take)
