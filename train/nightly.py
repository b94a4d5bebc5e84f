"""The night, as one list of stages. What each leaves on the disk is what the next start goes on from.

A night that is killed anywhere and started again does what is left of it: collecting is repeated (equal ratings give an equal
snapshot, and so the same run), training goes on from its last complete checkpoint, and what was finished stays as it is. Only
`promote` touches what the server sees, in one rename.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING

from bot import promotion
from bot.store import Store
from model.errors import LoraBaseMismatch, LoraDamaged, LoraMissing
from model.manifest import Draft, Lora
from model.shelf import CONFIG, WEIGHTS, unshelve
from train import canaries, gates, lengths, plan, public, report, runs, suites, taught
from train.choose import choose, measured
from train.combine import combine, mergeable, merged_in
from train.enough import identify, too_little
from train.errors import Interrupted, TooLittleData
from train.examples import texts, write_snapshot
from train.foresee import foresee, free
from train.gather import ask_for_reviews, gather, known_to_live
from train.learn import put_away, train
from train.night import Night

if TYPE_CHECKING:  # torch takes seconds to import
    from train.evaluate import Candidate

# LoRAs that stay on the shelf: a month of nights.
_KEPT = 30
_PASSED = "every gate passed"
CANDIDATE, BASE, UNQUANTIZED = "candidate", "base", "base, unquantized"  # names among the scores
_SCORES = "scores.json"


def collect(night: Night) -> None:
    """Every example that deserves it to date, the starter set and public data where it is, as one snapshot."""
    given = gather(night)
    accepted = night.curated.examples
    held_out = [example for example in (*given, *accepted) if example.held_out]
    # The control is measured on the same items as the night that it is compared with: only what is trained on differs.
    trainable = given if night.control else [*given, *accepted]
    suite = suites.examples(night.domains.system_prompt)
    against = chain(texts([*held_out, *suite]), public.measured_on(night.settings.public_data))
    night.chosen = choose(trainable, against, night.recipe.replay_share)
    held_out = measured(held_out, night.recipe.held_out)
    night.examples = [*night.chosen.examples, *held_out]
    known = known_to_live(night)  # what balance left out is no news: it would be left out again
    night.new = sum(bool(example.turn_ids) and example.id not in known for example in night.examples)
    night.snapshot = write_snapshot(night.examples, night.settings.runs / "snapshots")


def prepare(night: Night) -> None:
    """Finds the base, the device and the run; ends here when there is too little to learn from."""
    assert night.snapshot is not None
    night.too_little = too_little(night)
    if night.too_little is not None:
        raise TooLittleData(f"{night.too_little}; nothing was trained and the shelf is unchanged")
    from model.device import find_device  # importing torch takes seconds, which a night without news does not need

    identity = identify(night)
    night.device = find_device(night.settings.device)
    assert night.base is not None
    longest = lengths.longest(night.examples, night.recipe, night.domains.system_prompt)
    night.plan = plan.require(plan.anatomy(night.base), night.recipe, longest, free(night), night.device.name)
    night.live = night.shelf.live()
    key = runs.run_key(night.snapshot, night.recipe, identity, control=night.control)
    merges = night.recipe.merge != "none" and not night.control
    night.run = runs.find_or_make(night.settings.runs, key, night.snapshot, night.started_at.date(), night.live if merges else None)
    night.merged = mergeable(night)


def measure(night: Night) -> None:
    """Base, live and candidate on the same held-out items."""
    if night.fault is not None or _measured_before(night):
        return
    assert night.run is not None
    try:
        candidate = _candidate(night)
    except LoraDamaged as error:
        night.fault = str(error)
        return
    found = _measure(night, candidate)
    night.scores, night.margins = _apart(night, found)
    night.memory = _remembered(night, candidate)
    told = {name: [asdict(score) for score in scores] for name, scores in found.items()}
    memory = asdict(night.memory) if night.memory is not None else None
    runs.write_json(night.run.folder / _SCORES, {"key": night.run.key, "live": night.live, "scores": told, "memory": memory})


def _candidate(night: Night) -> "Candidate":
    if night.recipe.whole:
        from model.weights import Base  # see prepare

        return Base(CANDIDATE, night.weights)
    return unshelve(_lora(night), {name: (night.weights / name).read_bytes() for name in (WEIGHTS, CONFIG)})


def _measured_before(night: Night) -> bool:
    """Takes the scores of a start that was killed later on, if what is live is still what it was compared with."""
    run = night.run
    assert run is not None
    try:
        told = json.loads((run.folder / _SCORES).read_text())
        if told["key"] != run.key or night.live not in (told["live"], run.lora_id):
            return False
        found = {name: [gates.Score(**score) for score in scores] for name, scores in told["scores"].items()}
        night.scores, night.margins = _apart(night, found)
        night.memory = gates.Memory(**told["memory"]) if told["memory"] is not None else None
        night.live = told["live"]
        return _untrained(night) in found
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _apart(night: Night, found: Mapping[str, Sequence[gates.Score]]) -> tuple[dict[str, list[gates.Score]], dict[str, list[gates.Margin]]]:
    """What was measured on held-out examples, and on the suites."""
    held_out = {example.id for example in night.examples if example.held_out}
    scores = {name: [score for score in each if score.item in held_out] for name, each in found.items()}
    return scores, {name: suites.margins([score for score in each if score.item not in held_out]) for name, each in found.items()}


def _measure(night: Night, candidate: "Candidate") -> dict[str, list[gates.Score]]:
    from train.evaluate import measure as measure_all

    assert night.base is not None
    assert night.device is not None
    candidates = {CANDIDATE: candidate}
    if night.recipe.whole:
        candidates[UNQUANTIZED] = night.base
    if night.live is not None:
        with suppress(LoraMissing, LoraDamaged, LoraBaseMismatch):  # what can't be served needs no beating
            candidates[night.live] = night.shelf.open(night.live, night.identity)
    items = [example for example in night.examples if example.held_out]
    if not night.control:  # which is only compared on what is held out
        items += [*suites.examples(night.domains.system_prompt), *taught.probes(night.rated, night.curated.examples)]
    return measure_all(night.base, night.device, candidates, items, night.recipe.max_tokens, _measuring(night))


def _measuring(night: Night) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if night.stopped():
            raise Interrupted("stopped while measuring; `care nightly` goes on from the trained candidate")
        night.progress.step(done, total)

    return progress


def _remembered(night: Night, candidate: "Candidate") -> gates.Memory | None:
    """How far the canaries stand out; None where nobody needs to know."""
    from train.evaluate import exposures

    marked = canaries.make(night.recipe.canaries, night.recipe.seed)
    if not marked or night.control:  # a control never goes live: what it remembers matters to nobody
        return None
    assert night.base is not None
    assert night.device is not None
    night.progress.stage("looking for canaries")
    found, control = exposures(night.base, night.device, candidate, marked, night.domains.system_prompt, _measuring(night))
    return gates.Memory([each.bits for each in found], sum(each.extracted for each in found), control.bits)


def judge(night: Night) -> None:
    """The gates."""
    if night.fault is not None:
        night.gates = gates.failed("finite weights and gradients", 0.0, 1.0)
        return

    def of(name: str) -> gates.Measured:
        return gates.Measured(night.scores[name], taught.without_probes(night.margins[name]))

    live = of(night.live) if night.live is not None and night.live in night.scores else None
    night.gates = gates.judge(of(CANDIDATE), of(_untrained(night)), live, night.memory)


def _untrained(night: Night) -> str:
    """What was trained from: a part of what a whole model gains on the base that serves is only what quantizing costs that one."""
    return UNQUANTIZED if night.recipe.whole else BASE


def write_samples(night: Night) -> None:
    """What the candidate and what is live write, where the candidate gained and lost most; for the report. Only what may serve writes."""
    if night.fault is not None or night.control or night.recipe.whole or night.recipe.samples == 0:
        return
    from train import samples

    assert night.run is not None
    other = night.live if night.live in night.scores else None
    chosen = gates.differences(night.scores[CANDIDATE], night.scores[other or BASE], night.recipe.samples)
    by_id = {example.id: example for example in night.examples}
    contents = {name: (night.weights / name).read_bytes() for name in (WEIGHTS, CONFIG)}
    loras = {other or BASE: night.shelf.open(other, night.identity) if other else None, CANDIDATE: unshelve(_lora(night), contents)}
    settings = night.settings
    night.samples = samples.write(
        settings.model, settings.models, settings.device, night.recipe.max_tokens, loras, [by_id[item] for item, _ in chosen]
    )


def shelve(night: Night) -> None:
    """The candidate on the shelf, whatever the gates said, with what they said; the shelf is for LoRAs."""
    _require_remembered(night)
    if night.fault is None and not night.recipe.whole:
        assert night.run is not None
        night.lora = night.shelf.add(_lora(night).draft, night.weights)


def _require_remembered(night: Night) -> None:
    """Nothing comes of a night that learned from somebody who has been forgotten since. Raises Interrupted."""
    if not night.settings.database.exists():
        return
    store = Store(night.settings.database)
    try:
        erasures = store.pending_erasures()  # they stay pending as long as a night runs
    finally:
        store.close()
    ids = {example.id for example in night.examples} | merged_in(night)
    if any(not erasure.examples.isdisjoint(ids) for erasure in erasures):
        raise Interrupted("somebody whom this night learned from asked to be forgotten; `care nightly` begins another without them")


def _lora(night: Night) -> Lora:
    """The candidate as its manifest will describe it."""
    assert night.run is not None
    assert night.snapshot is not None
    assert night.identity is not None
    draft = Draft(
        id=night.run.lora_id,
        created_at=night.started_at,
        base=night.identity,
        snapshot_sha256=night.snapshot.sha256,
        seed=night.recipe.seed,
        recipe=night.recipe.facts(),
        gates=night.gates,
        example_ids=tuple(sorted({example.id for example in night.examples} | merged_in(night))),
        control=night.control,
    )
    return Lora(draft, 0, {}, night.weights)


def promote(night: Night) -> None:
    """The candidate goes live if every gate passed, and stays if the running server can serve it."""
    _require_remembered(night)
    refused = [result.gate for result in night.gates if not result.passed]
    if night.control:
        night.verdict, night.why = "control", "trained without the ratings, to compare with; a control never goes live"
    elif refused or night.recipe.whole:
        night.verdict, night.why = "kept", night.fault or _why_kept(night, refused)
    else:
        _go_live(night)


def _why_kept(night: Night, refused: Sequence[str]) -> str:
    gates_said = f"not passed: {', '.join(refused)}" if refused else _PASSED
    return f"full fine-tuning is judged and never served; {gates_said}" if night.recipe.whole else gates_said


def _go_live(night: Night) -> None:
    """First to a share of the conversations of the server that runs, then to all; without a server, from its next start on."""
    assert night.lora is not None
    lora_id, home = night.lora.id, night.settings.home
    try:
        if night.shelf.live() == lora_id:
            pass  # a start that was killed has done it
        elif not promotion.try_out(night.shelf, home, lora_id, by="night", reason=_PASSED):
            promotion.promote(night.shelf, home, lora_id, by="night", reason=_PASSED)
        elif night.settings.canary_hours == 0:
            promotion.wait_until_live(home, lora_id)
    except promotion.Reverted as error:
        night.verdict, night.why = "reverted", str(error)
    else:
        night.verdict, night.why = "promoted", _PASSED
        if night.shelf.canary() == lora_id:
            night.why += f"; it answers {night.settings.canary_share} % of the conversations now, all in {night.settings.canary_hours} h"


def tell(night: Night) -> None:
    """The report, and the notices to operators and to those who taught something; with them the run is finished."""
    assert night.run is not None
    assert night.verdict is not None
    reference = night.live if night.live is not None and night.live in night.margins else BASE
    if night.verdict == "promoted":
        night.taught = taught.learned(night.rated, night.curated.examples, night.margins[CANDIDATE], night.margins[reference])
    report.write(night, night.run.folder)
    _notify(night)
    night.shelf.prune(_KEPT)
    put_away(night)
    night.run.finish(night.verdict)


def _notify(night: Night) -> None:
    """Into the outbox, which the server posts from."""
    if not night.settings.database.exists():
        return
    notices = [report.notice(night)]
    if night.lora is not None:
        notices += taught.notices(night.taught, night.lora.id, night.started_at)
    store = Store(night.settings.database)
    try:
        store.notify(notices)
    finally:
        store.close()


Stage = Callable[[Night], None]

PLAN: tuple[tuple[str, Stage], ...] = (("collecting examples", collect), ("looking ahead", foresee))
STAGES: tuple[tuple[str, Stage], ...] = (
    PLAN[0],
    ("asking for reviews", ask_for_reviews),
    ("preparing", prepare),
    ("training", train),
    ("merging", combine),
    ("measuring", measure),
    ("judging", judge),
    ("writing samples", write_samples),
    ("shelving", shelve),
    ("promoting", promote),
    ("reporting", tell),
)


def run(night: Night, stages: Sequence[tuple[str, Stage]] = STAGES) -> None:
    """Runs the stages in order. Raises NightError, or an error of the store, the engine or the shelf; all are resumable."""
    for name, stage in stages:
        if night.stopped():
            raise Interrupted(f"stopped before {name}; `care nightly` goes on from there")
        night.progress.stage(name)
        began = time.monotonic()
        with runs.room(night.settings.home):
            stage(night)
        night.cost[name] = time.monotonic() - began
    night.progress.close()
