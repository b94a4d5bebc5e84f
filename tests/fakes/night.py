"""The real `care nightly` many times over from one warm process: its imports take ten seconds, a tiny night two.

`python -m tests.fakes.night` reads one JSON order a line (`arguments`, `settings`, `log`, maybe `kill`, `patch`, `suites`), runs it in a
forked child and answers with its exit code (negative: the signal). It never computes with torch before it forks.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

import click
import matplotlib.figure  # noqa: F401  # with the next what a night imports where it needs it: a second in every child
import sklearn.cluster  # noqa: F401

from bot import cli
from train import finetune, nightly
from train.commands import nightly as command
from train.filters import _identifier
from train.night import Night


def main() -> None:
    _identifier()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(order)
        _, status = os.waitpid(child, 0)
        click.echo(os.waitstatus_to_exitcode(status))


def _run(order: dict[str, Any]) -> None:
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{order['log']}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.update(order["settings"])
    if order.get("kill"):
        kill_at(*order["kill"].split(":"))
    if not order.get("suites"):
        # A network of random weights passes and fails probes by chance.
        nightly.suites.examples = lambda system_prompt: []
        nightly.taught.probes = lambda rated, accepted: []
    command.step_back = lambda *, serving: None  # beside tests a night with the lowest priority may wait for minutes
    if order.get("patch"):
        PATCHES[order["patch"]]()
    sys.argv = ["care", *order["arguments"]]
    try:
        cli.main()
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(int(end.code or 0))
    except BaseException:  # noqa: BLE001  # the child must not go on as its parent
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def kill_at(point: str, where: str) -> None:
    """SIGKILL before or after a stage (`before:training`), or at the end of a training step (`step:7`)."""
    if point == "step":
        _die_at_step(int(where))
        return

    def deadly(stage: nightly.Stage) -> nightly.Stage:
        def run(night: Night) -> None:
            if point == "after":
                stage(night)
            _die()

        return run

    nightly.run.__defaults__ = (tuple((name, deadly(stage) if name == where else stage) for name, stage in nightly.STAGES),)


def _die_at_step(step: int, send: int = signal.SIGKILL) -> None:
    real = finetune._Watcher.on_step_end

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == step:
            os.kill(os.getpid(), send)
        real(self, args, state, control, **kwargs)

    finetune._Watcher.on_step_end = on_step_end  # type: ignore[method-assign]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _poison_gradients() -> None:
    """Every gradient of one factor is NaN."""
    real = finetune.trainable

    def trainable(*args: Any) -> Any:
        network = real(*args)
        next(parameter for parameter in network.parameters() if parameter.requires_grad).register_hook(lambda grad: grad * float("nan"))
        return network

    finetune.trainable = trainable


def _poison_weights() -> None:
    """What was trained ends as NaN."""
    real = finetune.PeftModel.save_pretrained

    def save_pretrained(self: Any, folder: Any, *args: Any, **kwargs: Any) -> None:
        for parameter in self.parameters():
            if parameter.requires_grad and "candidate" in str(folder):
                parameter.data.fill_(float("nan"))
        real(self, folder, *args, **kwargs)

    finetune.PeftModel.save_pretrained = save_pretrained


def _fill_the_disk() -> None:
    """No file may grow beyond 20 kB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def _turn_the_clock_back() -> None:
    from datetime import UTC, datetime

    command.now = lambda: datetime(1999, 1, 1, tzinfo=UTC)


def _forget_somebody() -> None:
    """While it measures, the person u0 asks to be forgotten."""
    from bot import forgetting
    from bot.store import Store

    def measure(night: Night) -> None:
        store = Store(night.settings.database)
        assert forgetting.forget(store, night.shelf, night.settings.home, "web", "u0").waits_for_night
        store.close()
        nightly.measure(night)

    nightly.run.__defaults__ = (tuple((name, measure if name == "measuring" else stage) for name, stage in nightly.STAGES),)


def _make_it_large() -> None:
    """The tiny model counts as too large for full fine-tuning."""
    from train import plan

    plan.MOST_FULL = 1000


PATCHES: dict[str, Callable[[], None]] = {
    "poison gradients": _poison_gradients,
    "poison weights": _poison_weights,
    "fill the disk": _fill_the_disk,
    "turn the clock back": _turn_the_clock_back,
    "forget somebody": _forget_somebody,
    "make it large": _make_it_large,
    "terminate": lambda: _die_at_step(5, signal.SIGTERM),
}

if __name__ == "__main__":
    main()
