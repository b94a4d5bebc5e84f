"""`care review`: somebody decides what CARE may learn."""

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict

import click

from bot.cli import load_settings, operator
from bot.reviews import Decision, NotReviewable, Review, Waiting
from bot.store import Store
from bot.turns import now
from train.commands.nightly import open_night
from train.gather import fill_the_queue

_KEYS = "[a]pprove  [e]dit  [r]eject  [s]kip  [q]uit"


@click.command()
@click.option("--list", "list_only", is_flag=True, help="Only show what waits.")
@click.option("--approve", multiple=True, metavar="TURN", help="Approve this one; `all` for whatever waits and is not your own.")
@click.option("--reject", multiple=True, metavar="TURN", help="Reject this one.")
@click.option("--edit", multiple=True, metavar="TURN TEXT", nargs=2, help="Approve this one with another answer.")
@click.option(
    "--recipe",
    "recipe_name",
    help="The night's recipe, as `care nightly` takes it: answers voted down or corrected wait for those that learn from them.",
)
@click.option("--as", "reviewer", metavar="PLATFORM:USER", help="Who reviews; by default this terminal's user (cli:name).")
@click.option("--json", "as_json", is_flag=True, help="Print what waits, or what was decided, as JSON.")
def review(
    list_only: bool,
    approve: tuple[str, ...],
    reject: tuple[str, ...],
    edit: tuple[tuple[str, str], ...],
    recipe_name: str | None,
    reviewer: str | None,
    as_json: bool,
) -> None:
    """Look at what waits for a reviewer: approve, edit or reject it. Nobody reviews what they asked, rated or corrected."""
    settings = load_settings()
    who = reviewer or operator()
    fill_the_queue(open_night(settings, recipe_name))
    if not settings.database.exists():
        return click.secho(f"there is no database in {settings.home} yet: nothing waits", err=True)
    with closing(Store(settings.database)) as store:
        waiting = store.waiting_reviews()
        orders = list(_orders(waiting, approve, reject, edit, who))
        for order in orders:
            store.review(order)
        if orders:
            return _say_decided(orders, as_json)
        if list_only or as_json:
            return click.echo(json.dumps([_told(each) for each in waiting], ensure_ascii=False) if as_json else _listed(waiting))
        return _ask(store, waiting, who)


def _orders(
    waiting: Sequence[Waiting], approve: Iterable[str], reject: Iterable[str], edit: Iterable[tuple[str, str]], who: str
) -> Iterable[Review]:
    """Raises NotReviewable for a turn that does not wait, before anything is decided."""
    known = {each.turn_id: each for each in waiting}
    wanted: list[tuple[str, Decision, str | None]] = []
    for turn_id in approve:
        chosen = [each.turn_id for each in waiting if who not in each.people] if turn_id == "all" else [turn_id]
        wanted += [(each, "approved", None) for each in chosen]
    wanted += [(turn_id, "rejected", None) for turn_id in reject]
    wanted += [(turn_id, "edited", text.strip()) for turn_id, text in edit]
    if unknown := [turn_id for turn_id, _, _ in wanted if turn_id not in known]:
        raise NotReviewable(f"turn {unknown[0]!r} does not wait for a review; `care review --list` shows what does")
    return [Review(turn_id, known[turn_id].sha256, decision, who, now(), text) for turn_id, decision, text in wanted]


def _say_decided(orders: Sequence[Review], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([{"turn_id": each.turn_id, "decision": each.decision, "reviewer": each.reviewer} for each in orders]))
    else:
        click.echo("\n".join(f"{each.decision} {each.turn_id}" for each in orders))


def _told(waiting: Waiting) -> dict[str, object]:
    return {**asdict(waiting), "sha256": waiting.sha256}


def _listed(waiting: Sequence[Waiting]) -> str:
    return "\n\n".join(_shown(each) for each in waiting) if waiting else "nothing waits for a reviewer"


def _shown(waiting: Waiting) -> str:
    before = [click.style(waiting.input, dim=True)] if waiting.input else []
    head = f"{click.style(waiting.domain, bold=True)} · {waiting.source} · {waiting.why} · turn {waiting.turn_id}"
    instead = [click.style(f"instead of  {waiting.corrects}", dim=True)] if waiting.corrects else []
    return "\n".join([head, *before, f"Q  {waiting.instruction}", f"{'BAD?' if waiting.bad else 'A '} {waiting.response}", *instead])


def _ask(store: Store, waiting: Sequence[Waiting], who: str) -> None:
    """One after another, by single keys."""
    mine = [each for each in waiting if who not in each.people]
    click.secho(
        f"{len(mine)} to review as {who}" + (f", {len(waiting) - len(mine)} of your own left out" if len(mine) < len(waiting) else "")
    )
    for number, each in enumerate(mine, 1):
        click.echo(f"\n{number} of {len(mine)}  {_shown(each)}\n{_KEYS}")
        decision = _decision(each)
        if decision is None:
            return
        if decision:
            store.review(Review(each.turn_id, each.sha256, decision[0], who, now(), decision[1]))


def _decision(waiting: Waiting) -> tuple[Decision, str | None] | tuple[()] | None:
    """What the reviewer pressed: a decision, nothing (skip), or None to quit."""
    while True:
        key = click.getchar().lower()
        if key == "a":
            return "approved", None
        if key == "r":
            return "rejected", None
        if key == "s":
            return ()
        if key in ("q", "\x1b"):
            return None
        if key == "e" and (text := (click.edit(waiting.response) or "").strip()):
            return "edited", text
        click.echo(_KEYS)
