"""What the store refuses or fails to do.

StoreError
├── StorageFull        the disk is full: nothing was written, try again later
├── StorageUnavailable the database can't be read or written now (I/O error, read-only, locked)
├── DatabaseCorrupt    the file is damaged; it was left as it is and copied aside
├── DatabaseTooNew     a newer CARE wrote it
├── UnknownTurn        there is no such turn or conversation for this person
├── UnknownHandover    there is no such hand-over
├── NotYours           it belongs to somebody else
├── Forgotten          this message was deleted, or its author forgotten: it is not recorded again
└── OptedOut           this person does not take part in the learning
"""


class StoreError(Exception):
    """Anything the store refuses or fails to do."""


class StorageFull(StoreError):
    """The disk is full; nothing was written."""


class StorageUnavailable(StoreError):
    """The database can't be read or written now."""


class DatabaseCorrupt(StoreError):
    """The database file is damaged."""


class DatabaseTooNew(StoreError):
    """A newer CARE wrote the database."""


class UnknownTurn(StoreError):
    """There is no such turn or conversation for this person."""


class UnknownHandover(StoreError):
    """There is no such hand-over."""


class NotYours(StoreError):
    """It belongs to somebody else."""


class Forgotten(StoreError):
    """This message was deleted, or its author forgotten."""


class OptedOut(StoreError):
    """This person does not take part in the learning."""
