"""How to train: a Recipe from TOML. Knows no data and no model."""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from train.errors import RecipeInvalid

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_SHIPPED = Path(__file__).with_name("recipes")
_FORMAT = 1
FEWEST_OF_KTO = 2  # rows in one pass: with one alone, what it compares would be the row itself


class Recipe(BaseModel):
    """One way to train a LoRA. `recipes/*.toml` say why each number is what it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1]  # of this file
    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    method: Literal["sft", "kto", "dpo", "orpo", "full"]  # train/methods.py says what each learns from
    beta: Annotated[float, Field(gt=0, le=10)]  # how near to the base kto and dpo stay; how much orpo minds the worse answer
    steps: Annotated[int, Field(ge=1, le=100_000)]
    batch_size: Annotated[int, Field(ge=1, le=1024)]  # examples in one forward pass
    accumulate: Annotated[int, Field(ge=1, le=1024)]  # passes in one step
    learning_rate: Annotated[float, Field(gt=0, lt=1)]
    warmup_steps: Annotated[int, Field(ge=0)]
    rank: Annotated[int, Field(ge=1, le=256)]
    most_rank: Annotated[int, Field(ge=1, le=256)]  # as long as that is all the gates ask for, the night trains again with twice the rank
    alpha: Annotated[int, Field(ge=1, le=1024)]
    dropout: Annotated[float, Field(ge=0, le=0.9)]
    max_tokens: Annotated[int, Field(ge=64, le=131_072)]  # of a prompt with its answer
    save_every: Annotated[int, Field(ge=1)]  # steps between two checkpoints
    gradient_checkpointing: bool
    repeat_people: Annotated[int, Field(ge=1, le=100)]  # how often a rated turn stands among the rows
    public_per_source: Annotated[int, Field(ge=0)]  # most examples from one public source
    held_out: Annotated[int, Field(ge=0)]  # most items a domain that are measured on, besides those that ship with CARE
    replay_share: Annotated[float, Field(ge=0, lt=1)]  # of the rows: general ones, against forgetting
    canaries: Annotated[int, Field(ge=0, le=60)]  # made-up secrets among the rows, to measure what is remembered
    samples: Annotated[int, Field(ge=0, le=100)]  # answers written side by side for the report, of each end
    merge: Literal["none", "linear", "ties", "slerp"]  # how the new LoRA and the one that is live become one (train/merge.py)
    merge_share: Annotated[float, Field(gt=0, lt=1)]  # of the live one in that
    seed: Annotated[int, Field(ge=0, lt=2**32)]

    @field_validator("batch_size", "warmup_steps", "most_rank", "merge")
    @classmethod
    def _with_the_others(cls, value: int | str, info: ValidationInfo) -> int | str:
        if (fault := _conflict(str(info.field_name), value, info.data)) is not None:
            raise ValueError(fault)
        return value

    @property
    def whole(self) -> bool:
        """Whether all weights are trained: what comes of it is a model of its own, and is never served."""
        return self.method == "full"

    @property
    def learns_from_dislikes(self) -> bool:
        """Whether an answer that is only known to be bad is of use."""
        return self.method == "kto"

    @property
    def learns_from_corrected(self) -> bool:
        """Whether an answer that was corrected is unlearned beside its correction."""
        return self.method in ("kto", "dpo", "orpo")

    def facts(self) -> Mapping[str, str | int | float | bool]:
        """The recipe as plain values, for manifests and reports."""
        return dict(self)


def load(name: str) -> Recipe:
    """A shipped recipe by its name, or one in a TOML file. Raises RecipeInvalid, which names every fault."""
    path = _SHIPPED / f"{name}.toml" if "/" not in name and not name.endswith(".toml") else Path(name)
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors of Windows write a mark before the first key
    except OSError as error:
        shipped = ", ".join(sorted(file.stem for file in _SHIPPED.glob("*.toml")))
        raise RecipeInvalid(f"--recipe {name!r} can't be read ({error.strerror}); name one of {shipped}, or a TOML file") from error
    except (ValueError, RecursionError) as error:  # tomllib's own is one, and so are no UTF-8 and a number of 5,000 digits
        raise RecipeInvalid(f"{path} is no TOML: {error}") from error
    if told.get("format", _FORMAT) != _FORMAT:
        raise RecipeInvalid(
            f"{path}: format = {told['format']!r}, and this CARE reads format {_FORMAT}: write the recipe anew from one in {_SHIPPED}"
        )
    try:
        return Recipe.model_validate(told)
    except ValidationError as error:
        faults = [_fault(path, fault) for fault in error.errors()]
        if any(fault["type"] == "missing" for fault in error.errors()):
            faults.append(f"{path}: every key of a recipe has to be there; a whole one is {_SHIPPED / 'nightly.toml'}")
        raise RecipeInvalid("\n".join(faults)) from error


def _fault(path: Path, fault: "ErrorDetails") -> str:
    where = ".".join(map(str, fault["loc"]))
    if fault["type"] == "missing":
        return f"{path}: {where} is missing"
    said = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        near = get_close_matches(where, Recipe.model_fields, 1)
        said = f"a recipe has no such key; do you mean {near[0]}?" if near else "a recipe has no such key; leave it out"
    return f"{path}: {where} = {fault['input']!r}: {said}"


def _conflict(name: str, value: int | str, before: Mapping[str, Any]) -> str | None:
    """Why a value does not go with those of the fields before it."""
    number = value if isinstance(value, int) else 0
    if name == "batch_size" and before.get("method") == "kto" and number < FEWEST_OF_KTO:
        return f"method = 'kto' compares the rows of a batch with one another: set {FEWEST_OF_KTO} at least"
    if name == "warmup_steps" and number > before.get("steps", number):
        return f"the learning rate would never be reached in steps = {before['steps']}"
    if before.get("method") == "full" and name in ("most_rank", "merge") and value not in ("none", before.get("rank", value)):
        return "method = 'full' makes no LoRA: set merge = \"none\", and most_rank to the rank, which means nothing here"
    if name == "most_rank" and number < before.get("rank", number):
        return f"the night starts with rank = {before['rank']}: set most_rank to that at least"
    return None


def default_name(model: str) -> str:
    """The recipe that fits what CARE_MODEL names."""
    return "embedded" if model == "embedded" else "nightly"
