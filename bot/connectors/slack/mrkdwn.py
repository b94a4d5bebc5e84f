"""Slack's own markup, as it may hold what people wrote. Pure."""


def mrkdwn_escape(text: str) -> str:
    """A person's text as it may stand in a `mrkdwn` field (with `verbatim`): shown, never read as a mention or link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
