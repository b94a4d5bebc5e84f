"""How to train: a Recipe from TOML. Knows no data and no model."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from train.errors import RecipeInvalid

_SHIPPED = Path(__file__).with_name("recipes")


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
    dropout: Annotated[float, Field(ge=0, lt=1)]
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
    seed: int

    @field_validator("most_rank", "merge")
    @classmethod
    def _of_a_lora(cls, value: int | str, info: ValidationInfo) -> int | str:
        if info.data.get("method") != "full" or value in ("none", info.data.get("rank")):
            return value
        raise ValueError("method = 'full' makes no LoRA: set merge = \"none\", and most_rank to the rank, which means nothing here")

    @property
    def whole(self) -> bool:
        """Whether all weights are trained: what comes of it is a model of its own, and is never served."""
        return self.method == "full"

    @property
    def learns_from_dislikes(self) -> bool:
        """Whether an answer that is only known to be bad is of use."""
        return self.method == "kto"

    def facts(self) -> Mapping[str, str | int | float | bool]:
        """The recipe as plain values, for manifests and reports."""
        return dict(self)


def load(name: str) -> Recipe:
    """A shipped recipe by its name, or one in a TOML file. Raises RecipeInvalid, which names every fault."""
    path = _SHIPPED / f"{name}.toml" if "/" not in name and not name.endswith(".toml") else Path(name)
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        shipped = ", ".join(sorted(file.stem for file in _SHIPPED.glob("*.toml")))
        raise RecipeInvalid(f"--recipe {name!r} can't be read ({error.strerror}); name one of {shipped}, or a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeInvalid(f"{path} is no TOML: {error}") from error
    except ValidationError as error:
        raise RecipeInvalid("\n".join(_fault(path, fault["loc"], fault["msg"], fault["input"]) for fault in error.errors())) from error


def _fault(path: Path, where: tuple[int | str, ...], message: str, value: object) -> str:
    return f"{path}: {'.'.join(map(str, where))} = {value!r}: {message}"


def default_name(model: str) -> str:
    """The recipe that fits what CARE_MODEL names."""
    return "embedded" if model == "embedded" else "nightly"
