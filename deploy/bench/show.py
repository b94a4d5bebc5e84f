"""The benchmark for people: a table for the terminal and README, and a chart. Knows no process."""

from collections.abc import Mapping, Sequence
from pathlib import Path

_NAMES = {
    "ours": "CARE, NF4",
    "llama": "llama.cpp, Q4_1",
    "static": "transformers `generate`, one static batch, NF4",
    "continuous": "transformers continuous batching, NF4",
    "one": "CARE with one LoRA for all rows",
    "mixed": "CARE with three LoRAs and none, mixed",
}
_COLOURS = {"ours": "#2563eb", "llama": "#f59e0b", "static": "#9ca3af"}
_STREAMS = (1, 8, 16)


def table(medians: Mapping[str, float], ratios: Mapping[str, float]) -> str:
    """Markdown: tokens a second, then every ratio."""
    lines = ["| decode, tokens a second | 1 stream | 8 | 16 |", "|---|---|---|---|"]
    for key, name in _NAMES.items():
        figures = [medians.get(f"{key}_{streams}") for streams in _STREAMS]
        if any(figure is not None for figure in figures):
            lines.append(f"| {name} | " + " | ".join("" if figure is None else f"{figure:.0f}" for figure in figures) + " |")
    lines += ["", "| ratio | |", "|---|---|"]
    lines += [f"| {name} | {value:.3g} |" for name, value in ratios.items()]
    return "\n".join(lines)


def chart(medians: Mapping[str, float], rounds: Sequence[Mapping[str, float]], path: Path) -> None:
    """Bars of the medians with every round as a dot."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 3.6), dpi=120)
    peers = [peer for peer in _COLOURS if f"{peer}_1" in medians]
    width = 0.8 / len(peers)
    for number, peer in enumerate(peers):
        places = [at + (number - (len(peers) - 1) / 2) * width for at in range(len(_STREAMS))]
        heights = [medians[f"{peer}_{streams}"] for streams in _STREAMS]
        bars = axes.bar(places, heights, width * 0.92, color=_COLOURS[peer], label=_NAMES[peer].replace("`", ""))
        axes.bar_label(bars, fmt="%.0f", label_type="center", color="white", fontsize=9)
        for place, streams in zip(places, _STREAMS, strict=True):
            dots = [each[f"{peer}_{streams}"] for each in rounds]
            axes.plot([place] * len(dots), dots, ".", color="black", markersize=3, alpha=0.6)
    axes.set_xticks(range(len(_STREAMS)), [f"{streams} stream{'s' * (streams > 1)}" for streams in _STREAMS])
    axes.set_ylabel("tokens a second")
    axes.set_title("Decode on two CPU cores, SmolLM2-135M", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylim(top=axes.get_ylim()[1] * 1.25)  # room for the legend
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
