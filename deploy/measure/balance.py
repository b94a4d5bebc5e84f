"""`make measure-balance`: every domain down-sampled to the smallest, as in CARE, against all rows that there are, in the same steps."""

from collections import Counter
from typing import Any

import click

from deploy.measure import show, study
from deploy.measure.study import Variant


@click.command()
@study.options
def main(**given: Any) -> None:
    """Trains twice."""
    setting = study.opened("balance", **given)
    share = setting.recipe.replay_share
    chosen = {"balanced": setting.material.balanced(len(setting.material.pool), share), "all rows": setting.material.all(share)}
    trained = [Variant(name, setting.recipe, rows, setting.material.items) for name, rows in chosen.items()]
    found = study.run(setting, [setting.plain_base(), *trained])
    counts = {name: Counter(each.domain for each in rows) for name, rows in chosen.items()}
    sizes = "; ".join(f"{name}: {', '.join(f'{n} {domain}' for domain, n in sorted(each.items()))}" for name, each in counts.items())
    about = f"--rows says nothing here. The same steps on the domains down-sampled to the smallest, and on all rows there are ({sizes})."
    show.write(setting, "Balanced against all data", about, found, "balanced", by_domain=True)


if __name__ == "__main__":
    main()
