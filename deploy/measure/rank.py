"""`make measure-rank`: what a LoRA of a higher rank gains, alpha kept at CARE's ratio of four times the rank (32 for rank 8)."""

from typing import Any

import click

from deploy.measure import show, study
from deploy.measure.study import Variant

_CARE = 8  # arXiv 2503.14136


@click.command()
@study.options
@click.option(
    "--ranks", type=study.Numbers(), default="4,8,16,32,64", help="Of each training; the others are held against 8, or the first."
)
def main(ranks: str, **given: Any) -> None:
    """Trains with higher and higher ranks on the same rows."""
    setting = study.opened("rank", **given)
    many = study.numbers(ranks)
    rows = setting.material.balanced(setting.rows, setting.recipe.replay_share)
    recipes = {f"rank {rank}": setting.varied(rank=rank, most_rank=rank, alpha=4 * rank) for rank in many}
    trained = [Variant(name, recipe, rows, setting.material.items) for name, recipe in recipes.items()]
    found = study.run(setting, [setting.plain_base(), *trained])
    about = f"The same {len(rows)} rows and steps; alpha is four times the rank, as in CARE (32 for rank 8)."
    show.write(setting, "Rank", about, found, f"rank {_CARE if _CARE in many else many[0]}")


if __name__ == "__main__":
    main()
