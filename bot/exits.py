"""Exit codes of `care`, and which error ends with which."""

from enum import IntEnum

from bot.home import AddressTaken, AlreadyRunning, HomeUnusable
from bot.settings import BadSettings
from bot.store import DatabaseCorrupt, DatabaseTooNew, StoreError
from model.errors import DeviceUnusable, EngineError, ModelDamaged, ModelNotFound


class Exit(IntEnum):
    """What every verb ends with; the contract of docs/architecture.md."""

    DONE = 0
    USAGE = 2
    ALREADY_RUNNING = 13
    MACHINE_CANNOT = 14
    INTEGRITY = 20


# The first match counts: special errors stand before the general ones.
_CODES: tuple[tuple[type[Exception], Exit], ...] = (
    (BadSettings, Exit.USAGE),
    (AddressTaken, Exit.USAGE),
    (ModelNotFound, Exit.USAGE),
    (AlreadyRunning, Exit.ALREADY_RUNNING),
    (ModelDamaged, Exit.INTEGRITY),
    (DatabaseCorrupt, Exit.INTEGRITY),
    (DatabaseTooNew, Exit.INTEGRITY),
    (HomeUnusable, Exit.MACHINE_CANNOT),
    (DeviceUnusable, Exit.MACHINE_CANNOT),
    (EngineError, Exit.MACHINE_CANNOT),
    (StoreError, Exit.MACHINE_CANNOT),
)
EXPECTED = tuple(kind for kind, _ in _CODES)


def exit_code(error: Exception) -> Exit:
    """The exit code of one of the EXPECTED errors."""
    return next(code for kind, code in _CODES if isinstance(error, kind))
