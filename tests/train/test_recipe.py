"""Recipes: the shipped ones, and what is refused by name."""

from pathlib import Path

import pytest

from train.errors import RecipeInvalid
from train.recipe import default_name, load


@pytest.mark.parametrize("name", ["care-paper", "embedded", "full", "nightly"])
def test_the_shipped_recipes_have_cares_rank_alpha_and_dropout(name: str) -> None:
    recipe = load(name)
    assert (recipe.name, recipe.rank, recipe.alpha, recipe.dropout) == (name, 8, 32, 0.05)


def test_the_recipe_follows_the_model() -> None:
    assert [default_name(model) for model in ("embedded", "microsoft/Phi-3.5-mini-instruct")] == ["embedded", "nightly"]


def changed(tmp_path: Path, old: str, new: str) -> str:
    path = tmp_path / "mine.toml"
    text = Path("train/recipes/embedded.toml").read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return str(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("\nrank = 8", "\nrank = 0", "rank = 0: Input should be greater than or equal to 1"),
        ("\nrank = 8", '\nrank = "8"', "rank = '8': Input should be a valid integer"),
        ("dropout = 0.05", "dropout = 1.5", "dropout = 1.5"),
        ("learning_rate = 1e-3", "learning_rate = nan", "learning_rate = nan"),
        ("dropout = 0.05", "dropout = 0.95", "dropout = 0.95: Input should be less than or equal to 0.9"),
        ("\nsteps = 118", "", "mine.toml: steps is missing"),
        (
            "\nwarmup_steps = 5",
            "\nwarmup_steps = 119",
            "warmup_steps = 119: the learning rate would never be reached in steps = 118",
        ),
        ("most_rank = 8", "most_rank = 4", "most_rank = 4: the night starts with rank = 8"),
        ("seed = 20260301", "seed = -1", "seed = -1: Input should be greater than or equal to 0"),
        ("seed = 20260301", "seed = 4294967296", "seed = 4294967296: Input should be less than 4294967296"),
        ('method = "sft"', 'method = "ppo"', "method = 'ppo': Input should be 'sft', 'kto', 'dpo', 'orpo' or 'full'"),
        ("format = 1", "format = 2", "format = 2, and this CARE reads format 1: write the recipe anew"),
        ('merge = "none"', 'merge = "average"', "merge = 'average': Input should be 'none', 'linear', 'ties' or 'slerp'"),
        ("merge_share = 0.5", "merge_share = 1.0", "merge_share = 1.0"),
        ("\nrank = 8", "\nrank = 8\nranks = 8", "ranks = 8: a recipe has no such key; do you mean rank?"),
        ("\nrank = 8", "\nrank = 8\ncolour = 8", "colour = 8: a recipe has no such key; leave it out"),
        ("\nsteps = 118", f"\nsteps = {'9' * 5000}", "is no TOML: Exceeds the limit (4300 digits)"),
        ("\nsteps = 118", f"\nsteps = {'[' * 5000}", "is no TOML"),
        ('name = "embedded"', 'name = "../x"', "name = '../x'"),
        ("\nrank = 8", "\nrank =", "is no TOML"),
    ],
)
def test_a_value_that_can_not_be_is_refused_by_name(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(RecipeInvalid) as caught:
        load(changed(tmp_path, old, new))
    assert said in str(caught.value)
    assert "mine.toml" in str(caught.value)


@pytest.mark.parametrize(("old", "new"), [('merge = "none"', 'merge = "slerp"'), ("most_rank = 8", "most_rank = 16")])
def test_full_fine_tuning_has_no_lora_to_merge_or_to_widen(tmp_path: Path, old: str, new: str) -> None:
    path = Path(changed(tmp_path, old, new))
    load(str(path))
    path.write_text(path.read_text().replace('method = "sft"', 'method = "full"'))
    with pytest.raises(RecipeInvalid, match=f"{new.replace(chr(34), chr(39))}: .*method = 'full' makes no LoRA"):
        load(str(path))


def test_kto_compares_rows_and_needs_two_in_a_batch(tmp_path: Path) -> None:
    path = Path(changed(tmp_path, "batch_size = 4", "batch_size = 1"))
    load(str(path))
    path.write_text(path.read_text().replace('method = "sft"', 'method = "kto"'))
    with pytest.raises(RecipeInvalid, match=r"batch_size = 1: .*method = 'kto' compares the rows of a batch .*: set 2 at least"):
        load(str(path))


def test_a_missing_value_is_said_without_the_others(tmp_path: Path) -> None:
    with pytest.raises(RecipeInvalid) as caught:
        load(changed(tmp_path, "\nsteps = 118", ""))
    assert "embedded" not in str(caught.value)


def test_what_is_written_for_another_format_is_said_once_and_not_key_by_key(tmp_path: Path) -> None:
    with pytest.raises(RecipeInvalid) as caught:
        load(changed(tmp_path, "format = 1\n", 'format = 2\nschedule = "linear"\n'))
    assert len(str(caught.value).splitlines()) == 1


def test_where_a_key_is_missing_a_whole_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeInvalid) as caught:
        load(changed(tmp_path, "\nsteps = 118", ""))
    assert Path(str(caught.value).split()[-1]).name == "nightly.toml"
    load(str(caught.value).split()[-1])


def test_the_mark_that_some_editors_write_before_the_first_key_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(Path("train/recipes/embedded.toml").read_text(), encoding="utf-8-sig")
    assert load(str(path)) == load("embedded")


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeInvalid) as caught:
        load(changed(tmp_path, "rank = 8\nalpha = 32", "rank = 0\nalpha = 0"))
    assert len(str(caught.value).splitlines()) == 2


def test_an_unknown_recipe_names_those_there_are() -> None:
    with pytest.raises(RecipeInvalid, match="name one of care-paper, embedded, full, nightly"):
        load("fast")
