"""What `care forget` and `care export` share: naming a person, and a database to look into."""

import re
from pathlib import Path

import click

from bot.exits import Exit
from bot.store import Store


class Person(click.ParamType[tuple[str, str]]):
    """PLATFORM:USER"""

    name = "PLATFORM:USER"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        platform, colon, user = value.partition(":")
        if not colon or not user or re.fullmatch(r"[a-z]+", platform) is None:
            self.fail(f"{value!r} names nobody; write PLATFORM:USER, for example slack:U024BE7LH", param, ctx)
        return platform, user


class _Nothing(click.ClickException):
    exit_code = Exit.USAGE


def open_store(path: Path) -> Store:
    """The database of this home, also while a server uses it. Raises StoreError, or ends the command where there is none."""
    if not path.exists():
        raise _Nothing(f"there is no database {path}; is CARE_HOME the folder of your server?")
    return Store(path)
