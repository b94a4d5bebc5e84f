"""What a night knows so far: the workspace that its stages fill, one after another. Knows no stage."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bot.domains import Domains
from bot.settings import Settings
from bot.turns import RatedTurn
from model.manifest import BaseModel, GateResult, Lora
from model.shelf import Shelf
from train.choose import Chosen
from train.curate import Curated
from train.examples import Example, Snapshot
from train.gates import Margin, Memory, Score
from train.kinds import Kinds, count
from train.plan import Plan
from train.progress import Progress
from train.recipe import Recipe
from train.runs import Loss, Run
from train.taught import Taught

if TYPE_CHECKING:  # importing torch takes seconds, which a dry run does not need
    from model.device import Device
    from model.weights import Base

Verdict = Literal["promoted", "kept", "reverted", "control"]


@dataclass(slots=True)
class Night:
    """Settings and tools first; below them what each stage leaves for those after it."""

    settings: Settings
    recipe: Recipe
    domains: Domains
    shelf: Shelf
    progress: Progress
    stopped: Callable[[], bool]
    started_at: datetime
    control: bool = False
    processes: int = 1  # that share the training, each on a device of its own

    # collect
    curated: Curated = field(default_factory=Curated)
    chosen: Chosen = field(default_factory=Chosen)
    names_found: bool = False  # whether a model looked for names of people
    rated: Sequence[RatedTurn] = ()
    examples: Sequence[Example] = ()  # what is trained on, and what is held out
    new: int = 0  # accepted examples that the live LoRA has not been trained or measured on
    snapshot: Snapshot | None = None
    # prepare, foresee
    too_little: str | None = None  # to train on, and of what
    base: "Base | None" = None
    identity: BaseModel | None = None
    device: "Device | None" = None
    plan: Plan | None = None
    operations: float = 0.0  # of training at most, in a dry run
    foreseen_seconds: float | None = None  # of training, in a dry run
    run: Run | None = None
    live: str | None = None
    # train
    losses: Sequence[Loss] = ()
    trained: int = 0
    too_long: int = 0
    trained_steps: int = 0  # by the start that finished the training; those before it left a checkpoint
    trained_seconds: float = 0.0  # that these took it
    weights: Path = Path()  # the folder with what is measured and shelved
    merged: Lora | None = None  # the LoRA that went into it besides the trained one
    fault: str | None = None  # why there is no candidate to measure
    # measure, judge
    scores: Mapping[str, Sequence[Score]] = field(default_factory=dict)
    margins: Mapping[str, Sequence[Margin]] = field(default_factory=dict)
    memory: Memory | None = None
    gates: tuple[GateResult, ...] = ()
    samples: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by item and model, what they write
    # shelve, promote
    lora: Lora | None = None
    verdict: Verdict | None = None
    why: str = ""
    taught: Sequence[Taught] = ()
    cost: dict[str, float] = field(default_factory=dict)  # seconds by stage

    @property
    def kinds(self) -> Kinds:
        """Of what people said and tonight is trained on."""
        return count(example for example in self.chosen.examples if example.turn_ids)

    @property
    def review_command(self) -> str:
        """What shows a reviewer all that this night has waiting: other recipes may not learn from answers that were voted down."""
        return "care review --recipe …" if self.recipe.learns_from_corrected else "care review"

    @property
    def compared_with(self) -> str:
        """What the candidate was measured beside: a live LoRA that can't be served is none, and needs no beating."""
        return self.live if self.live is not None and self.live in self.scores else "base"

    @property
    def merging(self) -> str:
        """What became of the recipe's merge, for people; "" where it has none."""
        recipe = self.recipe
        if recipe.merge == "none" or self.control:
            return ""
        if self.merged is None:
            return f"{recipe.merge} with nothing: no LoRA was live that can be served"
        return f"{recipe.merge} with {recipe.merge_share:g} of {self.merged.id}"
