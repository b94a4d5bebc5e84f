"""One thing that `care doctor` looked at, and what came of it. Knows nothing of what is looked at."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """`detail` says what was found, `next_step` what to do about it; a warning stops nothing."""

    section: str
    name: str
    state: State
    detail: str
    next_step: str | None = None


def passed(section: str, name: str, detail: str) -> Check:
    return Check(section, name, "ok", detail)


def warned(section: str, name: str, detail: str, next_step: str) -> Check:
    return Check(section, name, "warning", detail, next_step)


def failed(section: str, name: str, detail: str, next_step: str) -> Check:
    return Check(section, name, "failed", detail, next_step)
