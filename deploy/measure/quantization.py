"""`make measure-quantization`: what NF4 costs, of the base as it is and of a LoRA that was trained on it."""

from typing import Any

import click

from deploy.measure import show, study
from deploy.measure.study import Variant


@click.command()
@study.options
def main(**given: Any) -> None:
    """Trains on the quantized base and on the unquantized one, and measures both bases too."""
    setting = study.opened("quantization", **given)
    rows = setting.material.balanced(setting.rows, setting.recipe.replay_share)
    bases = [setting.plain_base(), setting.plain_base(quantize=False)]
    names = {"LoRA on NF4": True, "LoRA on unquantized": False}
    trained = [Variant(name, setting.recipe, rows, setting.material.items, quantize) for name, quantize in names.items()]
    found = study.run(setting, [*bases, *trained])
    own = show.minus_own_base(found, "− own base")
    about = f"The same {len(rows)} rows and steps, each LoRA trained and measured on its own base; `base` is the one in NF4."
    show.write(setting, "NF4 against unquantized", about, found, "LoRA on NF4", more=[own])


if __name__ == "__main__":
    main()
