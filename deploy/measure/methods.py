"""`make measure-methods`: SFT, KTO, DPO, ORPO, full fine-tuning and merges of two LoRAs, trained on the same corrections.

A correction is a row, and what it corrects is what the base itself wrote to that question: as in service, where people correct what
they were told. Merged are, in three ways, two LoRAs that saw half of the rows each, and SFT's with the one of the first half: the night's
with the live one, which an earlier night trained on what there was. Measured are the loss of the right answer, how much likelier it is
than the base's own, and what was forgotten of general tasks, of which none is among the rows.
"""

import fcntl
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from bot.reviews import DOWN
from deploy.measure import show, study
from deploy.measure.material import GENERAL, OWN
from deploy.measure.show import Column
from deploy.measure.study import Result, Setting, Variant
from train import plan, samples
from train.evaluate import BASE
from train.examples import Example
from train.gates import Score, paired
from train.runs import write_json

METHODS, MERGES = ("sft", "kto", "dpo", "orpo"), ("linear", "ties", "slerp")
SLOWER = ("kto", "dpo", "orpo")  # at a third of SFT's learning rate too


@click.command()
@study.options
def main(**given: Any) -> None:
    """Trains once by each method, in full where the model is small enough, and twice on half of the rows, and merges these two."""
    setting = study.opened("methods", **given)
    rows, items = corrections(setting)
    own = [replace(each, id=f"{OWN}/{each.id}", response=str(each.rejected), domain=OWN) for each in items if each.domain != GENERAL]
    found = study.run(setting, variants(setting, rows, [*items, *own]))
    about = (
        f"{len(rows)} rows are the corrections, and what they correct is what the base wrote to those questions; thumbs alone are likes of "
        "half of the right answers and dislikes of what the base wrote to the others. The halves saw half of the rows in half of the steps "
        "each, and are then merged; *night and live* merges SFT's LoRA with the first half's, as if that were live from an earlier night. "
        "*Over the base's own*: how much likelier the right answer became than what the base wrote, and more is better there. KTO, DPO and "
        "ORPO were trained at SFT's learning rate and at a third of it, full at a tenth: none was given the best of its own."
    )
    show.write(setting, "Methods beside each other", about, found, "SFT", more=[apart(found)])


def variants(setting: Setting, rows: Sequence[Example], items: Sequence[Example]) -> list[Variant]:
    """The bases, every method, two halves, and every merge of them."""
    bases = [replace(setting.plain_base(quantize), items=items) for quantize in (True, False)]
    sft, *_ = trained = [Variant(method.upper(), setting.varied(method=method), rows, items) for method in METHODS]
    third = setting.recipe.learning_rate / 3
    trained += [Variant(f"{each.upper()}, a third", setting.varied(method=each, learning_rate=third), rows, items) for each in SLOWER]
    trained.append(Variant("KTO, thumbs alone", setting.varied(method="kto"), thumbs(rows), items))
    if plan.anatomy(setting.base).parameters <= plan.MOST_FULL:
        # A tenth of a LoRA's learning rate, as in the recipe `full`; its checkpoints would take gigabytes.
        recipe = setting.recipe
        whole = {"method": "full", "most_rank": recipe.rank, "learning_rate": recipe.learning_rate / 10, "save_every": recipe.steps + 1}
        trained.append(Variant("full", setting.varied(**whole), rows, items))
    short = setting.varied(steps=max(1, setting.recipe.steps // 2))
    one, other = Variant("SFT, first half", short, rows[::2], items), Variant("SFT, second half", short, rows[1::2], items)
    merged = [
        Variant(f"{name}, {way}", setting.varied(merge=way), (), items, parents=parents)
        for name, parents in {"halves": (one, other), "night and live": (sft, one)}.items()
        for way in MERGES
    ]
    return [*bases, *trained, one, other, *merged]


def thumbs(rows: Sequence[Example]) -> list[Example]:
    """The same questions where nobody corrects anything: every other right answer is liked, what the base wrote to the others is not."""
    liked = [replace(each, rejected=None) for each in rows[::2]]
    return liked + [replace(each, source=DOWN, response=str(each.rejected), rejected=None) for each in rows[1::2]]


def corrections(setting: Setting) -> tuple[list[Example], list[Example]]:
    """Rows to train on and items to measure, each with what the base writes to its question; written once, and then kept."""
    rows, items = setting.material.balanced(setting.rows, 0.0), setting.material.items
    path = setting.folder / "written.json"
    with (setting.folder / "written.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes may share a study, and what is written is drawn by chance
        kept: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        wrote = kept.get(setting.digest, {})
        missing = [each for each in [*rows, *items] if each.id not in wrote]
        if missing:
            click.echo(f"the base writes to {len(missing)} questions", err=True)
            texts = samples.write(setting.model, setting.models, "auto", setting.recipe.max_tokens, {BASE: None}, missing)
            wrote |= {name: text[BASE] for name, text in texts.items()}
            write_json(path, kept | {setting.digest: wrote})
    return _corrected(rows, wrote), _corrected(items, wrote)


def _corrected(examples: Sequence[Example], wrote: Mapping[str, str]) -> list[Example]:
    return [replace(each, rejected=wrote[each.id]) for each in examples if wrote[each.id].strip()]


def apart(found: Mapping[str, Result]) -> Column:
    """How much likelier than the base's own the right answer became, against what was trained (nats a token)."""
    margins = {name: _margins(result) for name, result in found.items()}
    trained = {name: result.own_base for name, result in found.items() if name != result.own_base and result.own_base in found}
    gained = {name: paired(margins[name], margins[base]) for name, base in trained.items()}
    return Column("over the base's own", gained, better="more")


def _margins(result: Result) -> list[Score]:
    losses = {score.item: score.loss for score in result.scores}
    both = [score for score in sorted(result.scores, key=lambda each: each.item) if f"{OWN}/{score.item}" in losses]
    return [replace(score, loss=losses[f"{OWN}/{score.item}"] - score.loss) for score in both]


if __name__ == "__main__":
    main()
