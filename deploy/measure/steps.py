"""`make measure-steps`: has a training converged at CARE's 118 steps? Separate trainings, each with a cosine schedule of its own."""

from typing import Any

import click

from deploy.measure import show, study
from deploy.measure.study import Variant

_CARE = 118  # arXiv 2503.14136


@click.command()
@study.options
@click.option(
    "--steps-list",
    type=study.Numbers(),
    default="30,60,118,180,240",
    help="Of each training; the others are held against 118, or the last.",
)
def main(steps_list: str, **given: Any) -> None:
    """Trains with more and more steps on the same rows."""
    setting = study.opened("steps", **given)
    many = study.numbers(steps_list)
    rows = setting.material.balanced(setting.rows, setting.recipe.replay_share)
    trained = [Variant(f"{steps} steps", setting.varied(steps=steps), rows, setting.material.items) for steps in many]
    found = study.run(setting, [setting.plain_base(), *trained])
    about = f"The same {len(rows)} rows, every training from the base and with a cosine schedule of its own."
    show.write(setting, "Steps", about, found, f"{_CARE if _CARE in many else many[-1]} steps", curves=True)


if __name__ == "__main__":
    main()
