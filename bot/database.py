"""Opens `care.db`: looks for damage, keeps a damaged file aside, brings the schema up to date. Knows no table."""

import hashlib
import os
import shutil
import sqlite3
from pathlib import Path

from sqlite_utils import Database

from bot.migrations import migrations
from bot.turns import now


def connect_read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def find_damage(path: Path) -> str | None:
    """What is wrong with an existing file, without writing to it."""
    if not path.exists():
        return None
    connection = connect_read_only(path)
    try:
        found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    finally:
        connection.close()
    return None if found == "ok" else found


def keep_aside(path: Path) -> str:
    """Copies a damaged database with its log, once; says what came of it."""
    aside = path.with_name(f"{path.name}.corrupt-{_digest(path)}")
    try:
        for file, copy in ((path.with_name(f"{path.name}-wal"), aside.with_name(f"{aside.name}-wal")), (path, aside)):
            if file.exists() and not copy.exists():
                shutil.copy2(file, f"{copy}.part")
                os.replace(f"{copy}.part", copy)
    except OSError as error:
        return f"could not be copied aside ({error.strerror})"
    return f"copied to {aside}"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def migrate(connection: sqlite3.Connection, path: Path) -> set[str]:
    """Brings the schema up to date, after a backup of what was there; does nothing and names them if migrations are unknown."""
    db = Database(connection)
    known = {migration.name for migration in migrations._migrations}  # no public way to list them
    applied = {migration.name for migration in migrations.applied(db)}
    if applied - known:
        return applied - known
    if applied and known - applied:
        backup = path.with_name(f"{path.name}.before-{min(known - applied)}-{now():%Y%m%dT%H%M%SZ}")
        connection.execute("VACUUM INTO ?", (str(backup),))
    if known - applied:
        migrations.apply(db)
    return set()
