"""What people said by the evening, gathered from the store and curated, and what of it waits for a reviewer. Knows no stage."""

from contextlib import suppress

from bot.store import Store
from model.errors import LoraDamaged, LoraMissing
from train import public
from train.curate import Rules, Said, curate
from train.examples import Example, starter
from train.night import Night
from train.redact import Redactor, names_of_people


def gather(night: Night) -> list[Example]:
    """What people said, curated; the starter set and public data as they are, which it was compared with."""
    said = _said(night)
    known = known_to_live(night)
    given = [*starter(night.domains.system_prompt), *public.examples(night.settings.public_data, night.recipe, night.domains.system_prompt)]
    rules = Rules(night.domains, night.settings.languages, night.settings.review, night.settings.operators)
    redactor = Redactor(names_of_people(said.rated), night.settings.names_model)
    night.names_found = redactor.finds_names
    night.curated = curate(said, given, known, rules, redactor)
    night.rated = said.rated
    return given


def fill_the_queue(night: Night) -> None:
    """Brings what waits for a reviewer up to date, without a night."""
    gather(night)
    ask_for_reviews(night)


def _said(night: Night) -> Said:
    if not night.settings.database.exists():
        return Said()
    store = Store(night.settings.database)
    try:
        rated, corrupt = store.rated()
        return Said(rated, corrupt, store.opted_out(), store.reviews())
    finally:
        store.close()


def ask_for_reviews(night: Night) -> None:
    """What needs a reviewer waits for one from now on, where `care review` and the operator page find it."""
    if not night.settings.database.exists():
        return
    store = Store(night.settings.database)
    try:
        store.queue_reviews(night.curated.waiting, night.started_at)
    finally:
        store.close()


def known_to_live(night: Night) -> frozenset[str]:
    """The examples that the live LoRA has seen; none when it can't be read, so that the night can put another in its place."""
    with suppress(LoraMissing, LoraDamaged):
        live = night.shelf.live()
        return frozenset(night.shelf.read(live).draft.example_ids) if live is not None else frozenset()
    return frozenset()
