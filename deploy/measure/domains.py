"""`make measure-domains`: one LoRA for all three domains, against three that saw a third of the rows each in a third of the steps."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from deploy.measure import show, study
from deploy.measure.material import GENERAL
from deploy.measure.study import Result, Variant
from deploy.measure.trained import Trained

_ONE, _EACH = "one LoRA", "one LoRA a domain"


@click.command()
@study.options
def main(**given: Any) -> None:
    """Trains four times: on all rows, and on those of each domain."""
    setting = study.opened("domains", **given)
    items = [each for each in setting.material.items if each.domain != GENERAL]
    rows = setting.material.balanced(setting.rows, 0.0)
    domains = sorted({each.domain for each in rows})
    third = max(1, setting.recipe.steps // len(domains))
    warm = setting.recipe.warmup_steps // len(domains)
    trained = [Variant(_ONE, setting.varied(steps=third * len(domains)), rows, items)]
    for domain in domains:
        mine, measured = ([each for each in part if each.domain == domain] for part in (rows, items))
        trained.append(Variant(domain, setting.varied(steps=third, warmup_steps=warm), mine, measured))
    found = study.run(setting, [replace(setting.plain_base(), items=items), *trained])
    about = (
        f"{len(rows)} rows: one LoRA on all of them, or one on the rows of each domain in its share of the steps and of the warm-up, "
        "measured on that domain."
    )
    show.write(setting, "One LoRA against one a domain", about, _together(found, domains), _ONE, by_domain=True)


def _together(found: Mapping[str, Result], domains: list[str]) -> dict[str, Result]:
    """The domains' own LoRAs as one result, once all are there."""
    whole = {name: result for name, result in found.items() if name not in domains}
    own = [found[domain] for domain in domains if domain in found]
    if len(own) == len(domains):
        trained = [each.trained for each in own if each.trained]
        whole[_EACH] = Result(
            _EACH,
            [score for each in own for score in each.scores],
            Trained(
                [loss for each in trained for loss in each.losses],
                sum(each.rows for each in trained),
                sum(each.steps for each in trained),
                sum(each.seconds for each in trained),
                max(each.peak_bytes for each in trained),
            ),
            measured_on=max((each.measured_on for each in own if each.measured_on), default=None),
        )
    return whole


if __name__ == "__main__":
    main()
