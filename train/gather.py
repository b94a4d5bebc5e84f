"""What people said by the evening, gathered from the store and curated, and what of it waits for a reviewer. Knows no stage."""

import gc
import hashlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version

from bot.store import Store
from model.errors import LoraDamaged, LoraMissing
from train import filters, near, public, redact
from train.curate import Rules, Said, curate
from train.examples import Example, shipped
from train.memo import Memo
from train.names import usual_words
from train.night import Night
from train.redact import Redactor


def gather(night: Night) -> list[Example]:
    """What people said, curated; the starter set and public data as they are, which it was compared with."""
    with _no_collector():
        return _gather(night)


@contextmanager
def _no_collector() -> Iterator[None]:
    """Millions of small values and no cycle among them: looking for some again and again takes a third of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _gather(night: Night) -> list[Example]:
    said = _said(night)
    known = known_to_live(night)
    own = shipped(night.domains.system_prompt)
    given = [*own, *public.examples(night.settings.public_data, night.recipe, night.domains.system_prompt)]
    settings = night.settings
    learns = {"dislikes": night.recipe.learns_from_dislikes, "pairs": night.recipe.learns_from_corrected}
    rules = Rules(night.domains, settings.languages, settings.review, settings.operators, **learns)
    redactor = Redactor(said.user_names, night.settings.names_model, usual_words(own))
    night.names_found = redactor.finds_names
    memo = Memo(night.settings.home / "cache" / "curation.db" if said.rated else None, _rules_version(rules, night.settings.names_model))
    night.curated = curate(said, given, known, rules, redactor, memo)
    memo.close()
    night.rated = said.rated
    return given


def _rules_version(rules: Rules, names_model: str | None) -> str:
    """What decides how a text is judged: the code, its libraries and the settings. When that changes, nothing old is remembered."""
    code = [inspect.getsource(module).encode() for module in (filters, near, redact)]
    libraries = [version(name) for name in ("presidio-analyzer", "phonenumbers", "py3langid", "datasketch")]
    settings = [*rules.languages, rules.domains.system_prompt, str(names_model)]
    return hashlib.sha256(b"\0".join([*code, *(each.encode() for each in (*libraries, *settings))])).hexdigest()


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
        return Said(rated, corrupt, store.opted_out(), store.reviews(), store.user_names())
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
