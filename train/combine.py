"""The stage in which the new LoRA and the live one become one, where the recipe says so. Knows no other stage."""

import shutil
from collections.abc import Callable

from model.errors import LoraBaseMismatch, LoraDamaged, LoraMissing
from model.manifest import Lora
from train import runs
from train.errors import Interrupted
from train.night import Night


def mergeable(night: Night) -> Lora | None:
    """The LoRA that was live when the run began, where the recipe merges it into the new one and it can be served at all."""
    assert night.run is not None
    if night.run.merged_with is None:
        return None
    try:
        return night.shelf.open(night.run.merged_with, night.identity).lora
    except (LoraMissing, LoraDamaged, LoraBaseMismatch):
        return None


def combine(night: Night) -> None:
    """The new LoRA and the live one become one, where the recipe says so: that is what is measured from here on."""
    if night.fault is not None or night.merged is None:
        return
    assert night.run is not None
    assert night.recipe.merge != "none"
    from train import merge  # torch takes seconds to import

    night.weights = night.run.merged
    if runs.is_complete(night.weights, night.run.key):
        return
    shutil.rmtree(night.weights, ignore_errors=True)
    try:
        both = merge.read(night.run.candidate), merge.read(night.merged.folder)
        found = merge.merged(*both, night.recipe.merge, night.recipe.merge_share, night.recipe.rank, _merging(night))
    except merge.Unmergeable as error:
        night.fault = f"could not be merged with {night.merged.id}: {error}"
        return
    merge.write(found, night.run.candidate, night.weights)
    runs.mark_complete(night.weights, night.run.key)


def _merging(night: Night) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if night.stopped():
            raise Interrupted("stopped while merging; `care nightly` goes on from the trained candidate")
        night.progress.step(done, total)

    return progress


def merged_in(night: Night) -> set[str]:
    """What the LoRA that was merged in has seen: who is forgotten takes with it whatever came of them."""
    return set(night.merged.draft.example_ids) if night.merged is not None else set()
