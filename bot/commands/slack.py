"""`care slack`"""

import json

import click


@click.group()
def slack() -> None:
    """Set up CARE in Slack; docs/slack.md leads through it."""


@slack.command()
@click.option("--url", metavar="URL", help="CARE's public https address, for events over HTTP; without it Socket Mode, which needs none.")
def manifest(url: str | None) -> None:
    """Print the app manifest: paste it at https://api.slack.com/apps, "Create New App", "From a manifest"."""
    from bot.connectors.slack import manifest as app  # slack_sdk need not be read for `care slack --help`

    try:
        made = app.manifest(url)
    except app.BadUrl as error:
        raise click.BadParameter(str(error), param_hint="--url") from error
    click.echo(json.dumps(made, indent=2, ensure_ascii=False))
