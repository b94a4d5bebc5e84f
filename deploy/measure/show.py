"""What a study found as its section of docs/results.md: a table with intervals, and a chart beside it. Trains and measures nothing.

A section lies between `<!-- name -->` and `<!-- /name -->`; only what is between is replaced, so that a conclusion can stand around it.
"""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
import numpy as np
from click.core import ParameterSource

from deploy.measure.material import ASIDE, GENERAL, OWN
from deploy.measure.study import Result, Setting
from train.evaluate import BASE
from train.gates import FEWEST_ITEMS, Interval, Score, paired

if TYPE_CHECKING:  # matplotlib takes seconds to import
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

_COLOURS = ("#111827", "#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed")
_ALL = "all three domains"
_DPI = 110
_SMOOTH = 10  # steps: a batch of four rows says little by itself
_NO_MATTER = {"only", "as_kept", "models", "kept", "results"}  # options that change nothing of what is found


@dataclass(frozen=True, slots=True)
class Column:
    """One comparison: the difference of each result, by its name."""

    title: str
    found: Mapping[str, Interval]
    items: str = _ALL  # that it is measured on
    better: Literal["less", "more"] = "less"


def write(
    setting: Setting,
    title: str,
    about: str,
    results: Mapping[str, Result],
    reference: str,
    *,
    by_domain: bool = False,
    curves: bool = False,
    more: Sequence[Column] = (),
) -> None:
    """Puts section and chart in place: every result against the base and `reference`, with `by_domain` in each domain too.

    `about` says what was varied; `more` are further columns; with `curves` the losses of the trainings are drawn too. What has no
    result yet is left out.
    """
    against = [name for name in (BASE, reference) if name in results]
    columns = [*(minus(results, name) for name in against), *more, *_forgotten(results)]
    text = [f"{_command(setting)}, {_days(results)}. {about} {_sizes(setting, results)}", "", *table(results, columns, reference)]
    domains = sorted({score.domain for score in _of(results[BASE], None)}) if by_domain else []
    parts = [{domain: minus(results, name, domain) for domain in domains} for name in against]
    for name, found in zip(against, parts, strict=True):
        text += ["", *_domain_table(name, found, results)] if found else []
    chart = f"{setting.name}.png"
    panels = [[column, *found.values()] for column, found in zip(columns, [*parts, *({} for _ in columns[len(parts) :])], strict=True)]
    drawn([panel for panel in panels if panel[0].found]).savefig(setting.results.with_name(chart), dpi=_DPI)
    text += ["", f"![{title}, as a chart]({chart})"]
    if curves:
        losses = setting.results.with_name(f"{setting.name}-losses.png")
        draw_losses(results, losses)
        text += ["", f"![The losses of the trainings, the mean of {_SMOOTH} steps]({losses.name})"]
    put(setting.results, setting.name, title, "\n".join(text))


def minus(results: Mapping[str, Result], other: str, domain: str | None = None) -> Column:
    """Every other result but the base's minus this one, on the items of a domain, or on all that are not aside."""
    scores = {name: _of(result, domain) for name, result in results.items()}
    found = {name: paired(mine, scores[other]) for name, mine in scores.items() if name not in (BASE, other)}
    return Column(domain or f"− {other}", {name: each for name, each in found.items() if each.n}, domain or _ALL)


def minus_own_base(results: Mapping[str, Result], title: str, domain: str | None = None) -> Column:
    """Every result minus what it was trained from."""
    bases = {name: results.get(result.own_base) for name, result in results.items()}
    trained = {name: (results[name], base) for name, base in bases.items() if base is not None and name != base.name}
    found = {name: paired(_of(mine, domain), _of(base, domain)) for name, (mine, base) in trained.items()}
    return Column(title, {name: each for name, each in found.items() if each.n}, domain or _ALL)


def _forgotten(results: Mapping[str, Result]) -> list[Column]:
    """Where there are general items: what became of them."""
    column = minus_own_base(results, "general tasks − own base", GENERAL)
    return [column] if column.found else []


def _of(result: Result, domain: str | None) -> list[Score]:
    return [score for score in result.scores if (score.domain == domain if domain else score.domain not in ASIDE)]


def put(page: Path, name: str, title: str, section: str) -> None:
    """Replaces what lies between the section's marks, or adds it at the end of the page."""
    text = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if begin not in text:
        text += f"\n## {title}\n{begin}\n{end}\n"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
        raise click.ClickException(f"{page} has not one {begin} and one {end} behind it; mend the page")
    before, after = text[: text.index(begin)], text[text.index(end) :]
    part = page.with_name(f"{page.name}.part")
    part.write_text(f"{before}{begin}\n{section}\n{after}", encoding="utf-8")
    part.replace(page)


def _command(setting: Setting) -> str:
    """As it was called, with the options that matter."""
    context = click.get_current_context()
    said = [option for option in context.command.params if context.get_parameter_source(str(option.name)) == ParameterSource.COMMANDLINE]
    words = [word for each in said if each.name not in _NO_MATTER for word in (each.opts[0], str(context.params[str(each.name)]))]
    options = f" (`{shlex.join(words)}`)" if words else ""
    return f"`make measure-{setting.name}`{options}"


def _days(results: Mapping[str, Result]) -> str:
    """The day on which all was measured, or the first and the last."""
    days = sorted({result.measured_on for result in results.values() if result.measured_on})
    return " to ".join(map(str, dict.fromkeys([*days[:1], *days[-1:]])))


def _sizes(setting: Setting, results: Mapping[str, Result]) -> str:
    recipe, counts = setting.recipe, Counter(score.domain for score in results[BASE].scores if score.domain != OWN)
    device = f"{setting.device.name} ({str(setting.device.dtype).removeprefix('torch.')})"
    general = counts.pop(GENERAL, 0)
    domains = ", ".join(f"{count} {domain}" for domain, count in sorted(counts.items())) + (
        f"; {general} general ones apart" * bool(general)
    )
    return (
        f"Model {setting.base.name} on {device}, recipe `{recipe.name}` (batches of {recipe.batch_size * recipe.accumulate}, at most "
        f"{recipe.max_tokens} tokens a row). Measured on {counts.total() + general} held-out items ({domains}), in nats "
        f"a token of the right answer; less is better. One seed."
    )


def table(results: Mapping[str, Result], columns: Sequence[Column], reference: str) -> list[str]:
    heads = ["", "rows", "steps", "loss", *(column.title for column in columns), "so", "training", "memory"]
    lines = [_row(heads), _row(["---"] * len(heads))]
    for name, result in results.items():
        trained = result.trained
        sizes = [str(trained.rows), str(trained.steps)] if trained else ["", ""]
        costs = [f"{trained.seconds:.0f} s", f"{trained.peak_bytes / 1e9:.1f} GB"] if trained and trained.losses else ["", ""]
        loss = float(np.mean([score.loss for score in _of(result, None)]))
        cells = [_cell(column.found.get(name)) for column in columns]
        lines.append(_row([name, *sizes, f"{loss:.3f}", *cells, _verdict(name, columns, reference), *costs]))
    return lines


def _domain_table(other: str, found: Mapping[str, Column], results: Mapping[str, Result]) -> list[str]:
    counts = {domain: max((each.n for each in column.found.values()), default=0) for domain, column in found.items()}
    heads = [f"− {other}", *(f"{domain} ({counts[domain]})" for domain in found)]
    names = [name for name in results if any(name in column.found for column in found.values())]
    rows = [[name, *(_cell(column.found.get(name)) for column in found.values())] for name in names]
    return [_row(heads), _row(["---"] * len(heads)), *map(_row, rows)]


def _cell(found: Interval | None) -> str:
    """The mean, bold where the interval lies on one side of 0, and the interval."""
    if found is None:
        return ""
    bold = "**" if found.n >= FEWEST_ITEMS and (found.high < 0 or found.low > 0) else ""
    return f"{bold}{_signed(found.mean)}{bold} ({_signed(found.low)} … {_signed(found.high)})"


def _verdict(name: str, columns: Sequence[Column], reference: str) -> str:
    """In words what the intervals say, and no more."""
    said = []
    for other in dict.fromkeys((BASE, reference)):
        found = next((column.found[name] for column in columns if column.title == f"− {other}" and name in column.found), None)
        if found is not None and found.n < FEWEST_ITEMS:
            said = ["too few items to say"]
        elif found is not None:
            what = "better than" if found.high < 0 else "worse than" if found.low > 0 else "not proven other than"
            said.append(f"{what} {'the base' if other == BASE else other}")
    return "; ".join(said)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |" if cells[0] else f"| | {' | '.join(cells[1:])} |"


def drawn(panels: Sequence[Sequence[Column]]) -> "Figure":
    """Every panel is one comparison: its first column on all its items, the others by domain, with their intervals."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for panel in panels for column in panel for name in column.found))
    items = list(dict.fromkeys(column.items for panel in panels for column in panel))
    most = max(len(panel) for panel in panels)
    high, wide = -(-len(panels) // 2), min(2, len(panels))
    figure = Figure(figsize=(1.4 + 3.9 * wide, (1.2 + len(names) * (0.2 + 0.14 * most)) * high + 0.4), layout="constrained")
    grid = figure.subplots(high, wide, sharey=True, squeeze=False).flatten()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    shown: dict[str, Artist] = {}
    for axes, panel in zip(grid, panels, strict=False):
        for number, column in enumerate(panel):
            places = [-names.index(name) + ((len(panel) - 1) / 2 - number) * 0.8 / most for name in column.found]
            values = list(column.found.values())
            spread = [[value.mean - value.low for value in values], [value.high - value.mean for value in values]]
            colour = _COLOURS[items.index(column.items)]
            shown[column.items] = axes.errorbar([each.mean for each in values], places, xerr=spread, fmt="o", color=colour, ms=5, capsize=3)
        axes.axvline(0, color="#9ca3af", linewidth=1, zorder=0)
        axes.set_title(panel[0].title.replace("− ", "minus "), fontsize=11)
        axes.set_xlabel(f"nats a token, 95 %; {panel[0].better} is better")
        axes.set_ylim(-len(names) + 0.4, 0.6)
        axes.locator_params(axis="x", nbins=5)
        axes.set_yticks([-at for at in range(len(names))], names)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=len(shown), frameon=False)
    return figure


def draw_losses(results: Mapping[str, Result], path: Path) -> None:
    """The loss of every training over its steps, smoothed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    trained = [(result.name, result.trained.losses) for result in results.values() if result.trained and result.trained.losses]
    for (name, losses), colour in zip(trained, _COLOURS[1:] * len(trained), strict=False):
        sums, wide = np.cumsum([0.0, *losses]), min(_SMOOTH, len(losses))
        axes.plot(np.arange(wide, len(losses) + 1), (sums[wide:] - sums[:-wide]) / wide, color=colour, label=name, linewidth=1.6)
    axes.set(xlabel="step", ylabel=f"training loss, mean of {_SMOOTH} steps")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=_DPI)
