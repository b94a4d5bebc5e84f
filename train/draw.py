"""A night as pictures: the curve of its losses, the gates with their intervals, and one page for a chat."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from model.manifest import GateResult
from train.runs import Loss

if TYPE_CHECKING:  # half a second, and only a finished night draws
    from matplotlib.axes import Axes

_SMOOTHING = 8
_INK, _SOFT, _BLUE, _GOOD, _NOT, _BAD = "#1c2733", "#5b6b7b", "#1f5c99", "#17693b", "#8a5300", "#a3262a"
CARD_BYTES = 14_000  # what a message of Teams (28 kB in all, as base64 in its card) has room for
_CARD_DPI, _CARD_COLOURS, _CARD_GATES = (100, 80, 64, 48), 32, 12
STAGES = ("rated", "eligible", "redacted", "deduplicated", "capped", "approved", "trained")


def losses(found: Sequence[Loss], path: Path) -> None:
    """The loss of every step, and its running mean, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), dpi=120, layout="constrained")
    _losses(figure.subplots(), found)
    figure.savefig(path)


def gates(found: Sequence[GateResult], path: Path) -> None:
    """Every gate that has an interval, as a PNG."""
    from matplotlib.figure import Figure

    measured = [gate for gate in found if gate.interval is not None]
    figure = Figure(figsize=(8, 0.9 + 0.32 * len(measured)), dpi=120, layout="constrained")
    _gates(figure.subplots(), measured)
    figure.savefig(path)


def page(
    verdict: str, why: str, good: bool, gates: Sequence[GateResult], funnel: Mapping[str, int], losses: Sequence[Loss], path: Path
) -> None:
    """All of it on one page as a PNG: what a platform shows of the report."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8), dpi=110, layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=(1.15, 1))
    figure.suptitle(verdict, x=0.02, ha="left", fontsize=20, fontweight="bold", color=_GOOD if good else _NOT)
    above, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    above.suptitle(_wrapped(why), x=0.02, ha="left", fontsize=11, color=_SOFT)
    measured = [gate for gate in gates if gate.interval is not None]
    if measured:
        _gates(above.subplots(), measured)
    left, right = below.subplots(1, 2)
    _funnel(left, funnel)
    _losses(right, losses)
    figure.savefig(path)


def card(gates: Sequence[GateResult], losses: Sequence[Loss], path: Path) -> None:
    """The gates that have an interval (those not passed first), or without any the losses, as a PNG of at most CARD_BYTES."""
    from matplotlib.figure import Figure

    measured = sorted((gate for gate in gates if gate.interval is not None), key=lambda gate: gate.passed)[:_CARD_GATES]
    figure = Figure(figsize=(6, 1.2 + 0.3 * len(measured)) if measured else (6, 2.8), layout="constrained")
    if measured:
        axes = figure.subplots()
        _gates(axes, measured)
        axes.set_xlabel("against the other, 95 %: left of 0 is better")
    else:
        _losses(figure.subplots(), losses)
    for dpi in _CARD_DPI:
        buffer = BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi)
        small = _few_colours(buffer)
        if len(small) <= CARD_BYTES:
            path.write_bytes(small)
            return


def _few_colours(png: BytesIO) -> bytes:
    """The same picture in a palette: half the bytes, and nobody sees it."""
    from PIL import Image

    small = BytesIO()
    Image.open(png).convert("RGB").quantize(_CARD_COLOURS).save(small, format="png", optimize=True)
    return small.getvalue()


def _wrapped(text: str) -> str:
    from textwrap import fill

    return fill(text[:1].upper() + text[1:], 110)


def _losses(axes: "Axes", found: Sequence[Loss]) -> None:
    if found:
        steps, values = [loss.step for loss in found], [loss.loss for loss in found]
        means = [sum(part) / len(part) for part in (values[max(0, at - _SMOOTHING + 1) : at + 1] for at in range(len(values)))]
        axes.plot(steps, values, color="#9db7d5", linewidth=1, label="each step")
        axes.plot(steps, means, color=_BLUE, linewidth=2, label=f"mean of the last {_SMOOTHING}")
        axes.set(xlim=(0, max(steps) + 1), ylim=(0, max(values) * 1.05))
        axes.legend(frameon=False)
    axes.set(xlabel="step", ylabel="loss of the answers (nats a token)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)


def _gates(axes: "Axes", found: Sequence[GateResult]) -> None:
    """Candidate minus the other, so that left is better; the dot is the end of the interval that the gate looks at."""
    for row, gate in enumerate(reversed(found)):
        assert gate.interval is not None
        colour = _GOOD if gate.passed else _BAD
        axes.plot(gate.interval, (row, row), color=colour, linewidth=3, solid_capstyle="butt", alpha=0.6)
        axes.plot([gate.measured], [row], "o", color=colour, markersize=6)
    axes.axvline(0, color=_INK, linewidth=0.8)
    axes.set_yticks(range(len(found)), [gate.gate for gate in reversed(found)])
    axes.set(xlabel="candidate minus the other, 95 % interval (nats a token): left of 0 is better", ylim=(-0.7, len(found) - 0.3))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)


def _funnel(axes: "Axes", counts: Mapping[str, int]) -> None:
    names = [name for name in STAGES if name in counts]
    bars = axes.barh(names[::-1], [counts[name] for name in names[::-1]], color="#9db7d5")
    axes.bar_label(bars, padding=3, color=_INK)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set(xlabel="rated turns left after each stage", xticks=[], xlim=(0, max(1, *(counts[name] for name in names)) * 1.15))
    axes.tick_params(axis="y", length=0)
