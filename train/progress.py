"""How a night tells whoever watches how far it is: a bar on a terminal, lines elsewhere. Always on stderr."""

import sys
import time
from collections.abc import Callable

import click
from tqdm import tqdm

_LINE_SECONDS = 30.0


class Progress:
    """One stage after another, each of a known or unknown number of steps."""

    def __init__(self, *, terminal: bool | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._terminal = sys.stderr.isatty() if terminal is None else terminal
        self._clock = clock
        self._bar: tqdm[None] | None = None
        self._stage = ""
        self._said_at = 0.0

    def stage(self, name: str) -> None:
        """Another stage begins."""
        self.close()
        self._stage, self._said_at = name, self._clock()
        click.echo(f"{name} …", err=True)

    def step(self, done: int, total: int, note: str = "") -> None:
        """So many of so many steps of this stage are done."""
        if self._terminal:
            self._draw(done, total, note)
        elif self._clock() - self._said_at > _LINE_SECONDS or done == total:
            self._said_at = self._clock()
            click.echo(f"  {done} of {total} {note}".rstrip(), err=True)

    def _draw(self, done: int, total: int, note: str) -> None:
        if self._bar is None:
            self._bar = tqdm(total=total, desc=f"  {self._stage}", file=sys.stderr, leave=False, dynamic_ncols=True)
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
