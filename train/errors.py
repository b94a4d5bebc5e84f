"""Why a night ends before its verdict, one class per cause.

NightError
├── TooLittleData    10: fewer new accepted examples than a night needs; no alarm
├── RecipeInvalid     2: a recipe that can't be used, with every fault
├── ItemsInvalid      2: a file of items for `care eval` that can't be used
├── PublicDataInvalid 2: a file under CARE_PUBLIC_DATA that can't be read
├── RedactorUnusable  2: a model for names that can't be loaded
├── NoRoom           14: the disk is full or read-only
├── TooLarge         14: the training does not fit into this device, or into this model
├── Failed            whatever a process that shared the training ended with, in its words
└── Interrupted      15: stopped; the next night goes on from its last checkpoint
"""

from bot.exits import CareError, Exit


class NightError(CareError):
    """Anything that ends the night early."""


class TooLittleData(NightError):
    """Fewer new accepted examples than a night needs."""

    exit = Exit.TOO_LITTLE_DATA


class RecipeInvalid(NightError):
    """A recipe that can't be used."""

    exit = Exit.USAGE


class ItemsInvalid(NightError):
    """A file of items that can't be used."""

    exit = Exit.USAGE


class PublicDataInvalid(NightError):
    """A file under CARE_PUBLIC_DATA can't be read."""

    exit = Exit.USAGE


class RedactorUnusable(NightError):
    """The model for names that is set can't be loaded."""

    exit = Exit.USAGE


class NoRoom(NightError):
    """The disk is full or read-only."""

    exit = Exit.MACHINE_CANNOT


class TooLarge(NightError):
    """The training does not fit into this device, or into this model."""

    exit = Exit.MACHINE_CANNOT


class Failed(NightError):
    """A process that shared the training ended with this error."""

    def __init__(self, said: str, code: Exit) -> None:
        super().__init__(said)
        self.exit = code  # type: ignore[misc]  # each has its own


class Interrupted(NightError):
    """Stopped from outside; resumable."""

    exit = Exit.INTERRUPTED


class Diverged(Exception):
    """Training produced gradients or losses that are no numbers, again and again. A gate turns it into a verdict."""
