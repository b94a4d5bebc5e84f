"""`care teams`"""

from pathlib import Path

import click

from bot.cli import load_settings

_NO_ID = "set TEAMS_APP_ID to the id of the app registration, or give it with --app-id; docs/teams.md leads through it"


@click.group()
def teams() -> None:
    """Set up CARE in Microsoft Teams; docs/teams.md leads through it."""


@teams.command()
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), default="care-teams.zip", show_default=True, help="Where to write it."
)
@click.option("--app-id", metavar="ID", help="The app registration's id (Application ID).  [default: TEAMS_APP_ID]")
@click.option("--developer", metavar="NAME", required=True, help="Who offers CARE to its people: your organisation. At most 32 characters.")
@click.option("--website", metavar="URL", required=True, help="Where people read about it, an https address.")
@click.option("--privacy", metavar="URL", help="Your privacy statement.  [default: the website]")
@click.option("--terms", metavar="URL", help="Your terms of use.  [default: the website]")
@click.option("--name", default="CARE", show_default=True, help="What people call it, and mention. At most 30 characters.")
@click.option("--full-name", default="CARE, support that learns from its ratings", show_default=True, help="At most 100 characters.")
@click.option("--app-version", metavar="X.Y.Z", default="1.0.0", show_default=True, help="Raise it whenever you upload the package again.")
@click.option(
    "--follow-ups",
    is_flag=True,
    help="Ask for all messages of a team, to answer in CARE's threads without a mention. A team's owner must consent.",
)
def package(
    output: Path,
    app_id: str | None,
    developer: str,
    website: str,
    privacy: str | None,
    terms: str | None,
    name: str,
    full_name: str,
    app_version: str,
    follow_ups: bool,
) -> None:
    """Build the app package: upload it in the Teams admin center, "Manage apps". Asks nobody on the network."""
    from bot.connectors.teams import package as app  # pydantic and Pillow need not be read for `care teams --help`

    chosen = app_id or load_settings().teams_app_id
    if chosen is None:
        raise click.UsageError(_NO_ID)
    options = app.Options(chosen, developer, website, privacy or website, terms or website, name, full_name, app_version, follow_ups)
    try:
        built = app.build(app.manifest(options))
        app.check(built)
    except app.BadPackage as error:
        raise click.UsageError("Teams would refuse this:\n  " + "\n  ".join(error.faults)) from error
    try:
        output.write_bytes(built)
    except OSError as error:
        raise click.BadParameter(f"{output} can't be written ({error.strerror})", param_hint="--output") from error
    click.echo(
        f'{output}: {name} {app_version} for the bot {chosen}; upload it under "Manage apps" at https://admin.teams.microsoft.com', err=True
    )
