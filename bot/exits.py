"""Exit codes of `care`, and which error ends with which."""

from enum import IntEnum
from typing import ClassVar

from bot.home import AddressTaken, AlreadyRunning, HomeUnusable
from bot.promotion import Reverted
from bot.reviews import NotReviewable
from bot.settings import BadSettings
from bot.store import DatabaseCorrupt, DatabaseTooNew, StoreError
from model.errors import (
    DeviceUnusable,
    EngineError,
    LoraBaseMismatch,
    LoraDamaged,
    LoraMissing,
    ModelDamaged,
    ModelNotFound,
    NothingToRollBack,
)


class Exit(IntEnum):
    """What every verb ends with; the contract of docs/architecture.md."""

    DONE = 0
    USAGE = 2
    TOO_LITTLE_DATA = 10
    GATE_REFUSED = 11
    REVERTED = 12
    ALREADY_RUNNING = 13
    MACHINE_CANNOT = 14
    INTERRUPTED = 15
    INTEGRITY = 20


class CareError(Exception):
    """An error that knows its exit code: what other packages raise through a verb."""

    exit: ClassVar[Exit]


# The first match counts: special errors stand before the general ones.
_CODES: tuple[tuple[type[Exception], Exit], ...] = (
    (BadSettings, Exit.USAGE),
    (AddressTaken, Exit.USAGE),
    (ModelNotFound, Exit.USAGE),
    (LoraMissing, Exit.USAGE),
    (NothingToRollBack, Exit.USAGE),
    (NotReviewable, Exit.USAGE),
    (Reverted, Exit.REVERTED),
    (AlreadyRunning, Exit.ALREADY_RUNNING),
    (ModelDamaged, Exit.INTEGRITY),
    (LoraDamaged, Exit.INTEGRITY),
    (LoraBaseMismatch, Exit.INTEGRITY),
    (DatabaseCorrupt, Exit.INTEGRITY),
    (DatabaseTooNew, Exit.INTEGRITY),
    (HomeUnusable, Exit.MACHINE_CANNOT),
    (DeviceUnusable, Exit.MACHINE_CANNOT),
    (EngineError, Exit.MACHINE_CANNOT),
    (StoreError, Exit.MACHINE_CANNOT),
)
EXPECTED: tuple[type[Exception], ...] = (CareError, *(kind for kind, _ in _CODES))


def exit_code(error: Exception) -> Exit:
    """The exit code of one of the EXPECTED errors."""
    if isinstance(error, CareError):
        return error.exit
    return next(code for kind, code in _CODES if isinstance(error, kind))
