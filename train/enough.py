"""Whether there is enough to learn from, in all and of each kind that the method needs. Knows no other stage."""

from model.errors import LoraBaseMismatch, LoraDamaged, LoraMissing
from model.manifest import BaseModel
from train import runs
from train.night import Night

# Fewer new examples than this are not worth a night (docs/architecture.md: exit 10).
FEWEST_NEW = 8


def too_little(night: Night) -> str | None:
    """What there is too little of, and who waits for a reviewer; None: a night may train. May load the model to find out."""
    missing = _missing(night)
    waiting = len(night.curated.waiting)
    if missing is None or not waiting:
        return missing
    return f"{missing}; {waiting} wait for a reviewer (`{night.review_command}`)"


def _missing(night: Night) -> str | None:
    if not _enough(night):
        return f"{night.new} new accepted examples, a night needs {FEWEST_NEW}"
    missing = night.kinds.missing(night.recipe.method)
    if missing is not None and night.control:
        return f"a control is trained without the ratings, and method = {night.recipe.method!r} learns from them alone; use sft"
    return missing


def _enough(night: Night) -> bool:
    """Whether there is something to do: news, a control, a run that was killed, or a live LoRA that can't be served any more."""
    assert night.snapshot is not None
    if night.new >= FEWEST_NEW or night.control or runs.has_unfinished(night.settings.runs, night.snapshot):
        return True
    return len(night.curated.examples) >= FEWEST_NEW and not _live_opens(night)


def _live_opens(night: Night) -> bool:
    """Whether the live LoRA can be served by the model that is set now."""
    try:
        live = night.shelf.live()
        if live is not None:
            night.shelf.open(live, identify(night))
    except (LoraMissing, LoraDamaged, LoraBaseMismatch):
        return False
    return True


def identify(night: Night) -> BaseModel:
    """The base that is set, found and hashed once a night. Raises ModelNotFound or ModelDamaged."""
    if night.identity is None:
        from model import weights  # torch takes seconds to import

        night.base = weights.find(night.settings.model, night.settings.models)
        night.identity = weights.identify(night.base)
    return night.identity
