"""What a night did, for people (HTML with a loss curve) and for programs (JSON). Verdict first. Knows no stage."""

import resource
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bot.notices import OPERATORS, Notice
from bot.turns import new_id, now
from train import draw, lengths
from train.examples import Example
from train.gates import Interval, Score, differences, paired
from train.night import Night
from train.runs import write_json

_VERDICTS = {
    "promoted": "Promoted",
    "kept": "Kept what was live",
    "reverted": "Promoted, and taken back",
    "control": "Control trained",
}
_MEANINGS = {
    "rated": "turns that anybody rated",
    "eligible": "with a thumb or a correction that counts tonight, and fit to be learned",
    "redacted": "left after personal data was masked",
    "deduplicated": "left without near-duplicates",
    "capped": "left under the caps a person, a thread and a cluster",
    "approved": "left after the reviewers: accepted",
    "trained": "of them trained on tonight",
    "bad": "of these voted down: what not to answer",
    "pairs": "of these corrections that differ from the answer",
    "repeated": "of these corrections that only repeat the answer, but for spaces and capitals: no pair of a better and a worse one",
    "withdrawn": "every rating was taken back",
    "disliked": "thumbs down, and nobody said what would have been right: only kto learns from that",
    "contradictory": "people disagreed",
    "unanswered": "no whole answer to learn",
    "corrupt": "rows of the database that make no sense",
    "opted_out": "somebody in the conversation does not take part",
    "length": "too long, or nearly empty",
    "unsafe": "asks for a secret, or gives orders to the model",
    "leaked": "repeats the system prompt",
    "refusal": "a thumb for a refusal",
    "language": "in a language that CARE_LANGUAGES does not name",
    "unpaired": "corrections that are learned, but not against what they correct: that was unfit, measured on, or somebody else's answer",
    "personal": "mostly personal data",
    "duplicate": "nearly the same as another",
    "over_person": "over 3 a person and night, or 30 a person",
    "over_thread": "over 1 a thread and night",
    "over_cluster": "over 2 a cluster and night",
    "waiting": "wait for a reviewer",
    "rejected": "a reviewer said no",
    "new": "accepted, and unknown to the live LoRA",
    "held_out": "examples that are only measured on, for ever",
    "starter": "trained examples that ship with CARE",
    "public": "trained examples from public data",
    "replay": "of them general ones, against forgetting",
    "unbalanced": "left out so that no domain outweighs another",
    "contaminated": "left out: thirteen words in a row stand in a held-out item too",
    "too_long": "did not fit the context",
    "rows": "examples trained on in all",
}
_SHOWN_DIFFERENCES = 10


def write(night: Night, folder: Path) -> None:
    """Writes report.json, report.html, report.png, card.png and the pictures of the page into the night's folder. Raises OSError."""
    assert night.verdict is not None
    if night.losses:
        draw.losses(night.losses, folder / "loss.png")
    if any(gate.interval for gate in night.gates):
        draw.gates(night.gates, folder / "gates.png")
    draw.page(
        _VERDICTS[night.verdict], night.why, night.verdict == "promoted", night.gates, funnel(night), night.losses, folder / "report.png"
    )
    draw.card(night.gates, night.losses, folder / "card.png")
    write_json(folder / "report.json", result(night))
    (folder / "report.html").write_text(_html(night), encoding="utf-8")


def result(night: Night) -> Mapping[str, object]:
    """The night for other programs; what it did not come to is left out."""
    told: dict[str, object] = {
        "funnel": funnel(night),
        "snapshot": str(night.snapshot.path) if night.snapshot else None,
        "snapshot_sha256": night.snapshot.sha256 if night.snapshot else None,
        "recipe": dict(night.recipe.facts()),
        "control": night.control,
        "processes": night.processes,
        "masked": dict(night.curated.masked),
        "names_model": night.names_found,
        "plan": {**asdict(night.plan), "total": night.plan.total, "operations": night.operations, "seconds": night.foreseen_seconds}
        if night.plan
        else None,
        "too_little": night.too_little,
        "waiting": [{"turn_id": each.turn_id, "domain": each.domain, "why": each.why} for each in night.curated.waiting],
    }
    if night.verdict is None or night.run is None:
        return told
    return told | {
        "verdict": night.verdict,
        "why": night.why,
        "lora": night.lora.id if night.lora else None,
        "model": night.base.name if night.base else None,
        "compared_with": night.compared_with,
        "merged_with": night.merged.id if night.merged else None,
        "gates": [asdict(gate) for gate in night.gates],
        "training": {
            "steps": night.trained_steps,
            "seconds": night.trained_seconds,
            "tokens_a_row": lengths.mean(night.examples, night.recipe, night.domains.system_prompt),
        },
        "losses": [asdict(loss) for loss in night.losses],
        "scores": {name: [asdict(score) for score in scores] for name, scores in night.scores.items()},
        "comparisons": {name: asdict(interval) for name, interval in _comparisons(night).items()},
        "taught": [{"turn_id": each.turn_id, "question": each.masked} for each in night.taught],
        "samples": night.samples,
        "questions": _questions(night),
        "cost": _cost(night),
        "minutes": round((now() - night.started_at).total_seconds() / 60, 1),
        "report": str((night.run.folder / "report.html").resolve()),
    }


def funnel(night: Night) -> Mapping[str, int]:
    """How many of each kind there were, from the rated turns to the trained rows; why a turn was left out only where any was."""
    counts = asdict(night.curated.funnel)
    counts["unpaired"] = counts["unpaired"] + night.chosen.unpaired if night.recipe.learns_from_corrected else 0  # others learn no pairs
    stages = list(counts)[: list(counts).index("approved") + 1]
    rows = night.chosen.examples
    kinds = {"bad": sum(not each.good for each in rows), "pairs": night.kinds.pairs, "repeated": night.kinds.repeated}
    return {
        **{name: counts[name] for name in stages},
        "trained": sum(bool(example.turn_ids) for example in rows),
        **{name: n for name, n in kinds.items() if n},
        **{name: n for name, n in counts.items() if name not in stages and n},
        "new": night.new,
        "held_out": len(night.examples) - len(rows),
        "starter": sum(example.source == "starter" for example in rows),
        "public": sum(example.id.startswith("public/") for example in rows),
        "replay": night.chosen.replay,
        "unbalanced": sum(night.chosen.unbalanced.values()),
        "contaminated": night.chosen.contaminated,
        "too_long": night.too_long,
        "rows": night.trained or len(rows),
    }


def _comparisons(night: Night) -> dict[str, Interval]:
    """The candidate against each other model, by name."""
    mine = night.scores.get("candidate", ())
    return {name: paired(mine, scores) for name, scores in night.scores.items() if name != "candidate"}


def _html(night: Night) -> str:
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)
    assert night.run is not None
    assert night.verdict is not None
    assert night.snapshot is not None
    assert night.identity is not None
    return environment.get_template("report.html").render(
        night=night,
        verdict=_VERDICTS[night.verdict],
        good=night.verdict == "promoted",
        has_intervals=any(gate.interval for gate in night.gates),
        funnel=funnel(night),
        meanings=_MEANINGS,
        comparisons=_comparisons(night),
        models=_model_table(night.scores),
        differences=_differences(night),
        reference=night.compared_with,
        lineage=_lineage(night),
        cost=_cost(night),
        minutes=round((now() - night.started_at).total_seconds() / 60, 1),
        texts={example.id: example for example in night.examples},
    )


def _model_table(scores: Mapping[str, Sequence[Score]]) -> Mapping[str, Mapping[str, float]]:
    """Mean loss of each model, over all items and by domain."""
    table = {}
    for name, found in scores.items():
        domains = {"all": list(found)} | {each: [s for s in found if s.domain == each] for each in sorted({s.domain for s in found})}
        table[name] = {domain: sum(score.loss for score in part) / len(part) for domain, part in domains.items() if part}
    return table


def _differences(night: Night) -> Sequence[tuple[str, float]]:
    """The items that the candidate gained and lost most on, against what it was compared with."""
    other = night.scores.get(night.compared_with, ())
    return differences(night.scores.get("candidate", ()), other, _SHOWN_DIFFERENCES)


def _questions(night: Night) -> Mapping[str, str]:
    """Of those items, by id."""
    texts = {example.id: example.instruction for example in night.examples}
    return {item: texts[item] for item, _ in _differences(night)}


def _lineage(night: Night) -> Mapping[str, Sequence[Example]]:
    """The rows that people brought, by who vouched for them: from a LoRA's manifest to a thumb."""
    found: dict[str, list[Example]] = {}
    for example in night.chosen.examples:
        for person in example.raters:
            found.setdefault(person, []).append(example)
    return dict(sorted(found.items()))


def _cost(night: Night) -> Mapping[str, float]:
    """Seconds by stage, processor seconds and the largest resident memory (MB) of this process, its children left out."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    stages = {name: round(seconds, 1) for name, seconds in night.cost.items() if seconds >= 0.1}
    return {**stages, "processor": round(usage.ru_utime + usage.ru_stime, 1), "memory_mb": round(usage.ru_maxrss / 1024)}


def notice(night: Night) -> Notice:
    """The night in a few lines, for the operators on every platform."""
    assert night.run is not None
    assert night.verdict is not None
    funnel_ = night.curated.funnel
    refused = [gate for gate in night.gates if not gate.passed]
    lines = [f"{_VERDICTS[night.verdict]}: {night.why}."]
    lines.append(
        f"{funnel_.rated} rated turns, {funnel_.approved} accepted, {night.new} new, {len(night.curated.waiting)} wait for a reviewer."
    )
    lines += [f"Not passed: {gate.gate} ({gate.told})." for gate in refused]
    if night.taught:
        lines.append(f"{len(night.taught)} corrected questions are answered better now.")
    subject = f"{night.run.folder.name} {night.run.key[:12]} {night.verdict}"
    path = str((night.run.folder / "report.html").resolve())
    return Notice(new_id(), "report", OPERATORS, "", subject, "\n".join(lines), night.started_at, report=path)
