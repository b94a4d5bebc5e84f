"""Whole nights on a tiny model: what they exit with, what they leave, and that a kill anywhere costs nothing that serves."""

import json
import random
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from bot.reviews import Review
from tests.model.tiny import save_tiny
from tests.train.nights import Nights
from tests.train.people import MORNING
from train import merge
from train.nightly import STAGES
from train.runs import only_night

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_a_day_becomes_the_live_lora_and_the_next_night_without_news_exits_10(nights: Nights) -> None:
    nights.people_say(12)
    assert nights.run("--json") == 0, nights.said
    told = nights.result
    assert (told["verdict"], told["lora"]) == ("promoted", nights.shelf.live())
    lora = nights.shelf.read(str(told["lora"]))
    rows = [json.loads(line) for line in Path(str(told["snapshot"])).read_text().splitlines()]
    assert lora.draft.snapshot_sha256 == sha256(Path(str(told["snapshot"])).read_bytes()).hexdigest()
    assert set(lora.draft.example_ids) == {row["id"] for row in rows}
    assert {row["id"] for row in rows if row["turn_ids"]} == {f"turn/t{n}" for n in range(1, 13)}
    assert (lora.draft.recipe["rank"], lora.draft.seed, lora.draft.base.quantization) == (2, 1, "nf4")
    assert all(gate.passed for gate in lora.draft.gates)
    folder = Path(str(told["report"])).parent
    page = (folder / "report.html").read_text()
    assert page.index("Promoted") < page.index("Gates") < page.index("From ratings to rows")
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in ("loss.png", "gates.png", "report.png", "card.png"))
    assert json.loads((folder / "report.json").read_text())["verdict"] == "promoted"
    [notice] = nights.day.store.unsent_notices("operators", "")
    assert (notice.kind, notice.report, notice.text.startswith("Promoted: every gate passed.")) == ("report", told["report"], True)
    before = nights.live_bytes()
    assert nights.run() == 10
    assert "0 new accepted examples, a night needs 8" in nights.said
    nights.people_say(7, first=100)
    assert nights.run("--json") == 10
    assert (nights.result["funnel"]["rated"], "verdict" in nights.result) == (19, False)  # type: ignore[index]
    assert nights.live_bytes() == before


def test_an_empty_day_exits_10_and_makes_no_shelf(nights: Nights) -> None:
    (nights.home / "care.db").unlink()
    assert nights.run() == 10
    assert not nights.shelf.folder.exists()


def test_a_dry_run_says_what_would_be_trained_on_and_trains_nothing(nights: Nights) -> None:
    nights.people_say(3)
    assert nights.run("--dry-run", "--json") == 0
    told = nights.result
    assert told["funnel"]["rated"] == told["funnel"]["approved"] == told["funnel"]["new"] == 3  # type: ignore[index]
    assert Path(str(told["snapshot"])).is_absolute()
    assert told["recipe"]["rank"] == 2  # type: ignore[index]
    assert 0 < told["plan"]["weights"] < told["plan"]["total"] < 2**30  # type: ignore[index]
    assert "verdict" not in told
    assert [path.name for path in (nights.home / "runs").iterdir()] == ["snapshots"]


def test_a_control_is_trained_without_the_ratings_and_never_goes_live(nights: Nights) -> None:
    nights.people_say(12)
    assert nights.run("--control", "--json") == 0
    lora = nights.shelf.read(str(nights.result["lora"]))
    assert (lora.draft.control, lora.accepted, nights.shelf.live()) == (True, False, None)
    snapshot = Path(str(nights.result["snapshot"])).read_text().splitlines()
    assert not [row for row in map(json.loads, snapshot) if row["turn_ids"] and row["split"] == "train"]


def test_a_candidate_that_is_no_better_than_live_is_kept_with_a_wider_one_and_exits_11(nights: Nights) -> None:
    nights.people_say(12)
    assert nights.run() == 0
    before = nights.live_bytes()
    nights.people_say(8, first=100)
    assert nights.run("--json", steps=1, most_rank="7") == 11
    assert nights.result["verdict"] == "kept"
    assert "answer loss against live" in str(nights.result["why"])
    assert nights.live_bytes() == before
    assert [entry.state for entry in nights.shelf.list()] == ["live", "rejected", "rejected"], nights.result["why"]
    assert [entry.lora.draft.recipe["rank"] for entry in nights.shelf.list() if entry.lora] == [2, 2, 4]
    assert "rank 2 learned too little; again with 4" in nights.said


def test_where_the_recipe_says_so_the_new_lora_and_the_live_one_become_one(nights: Nights) -> None:
    nights.people_say(12)
    assert nights.run() == 0, nights.said
    live = nights.shelf.read(str(nights.shelf.live()))
    nights.people_say(10, first=100)
    with nights.day.store._write() as db:  # one answer for all of them would be what several people vote down: a reviewer's matter
        db.execute("UPDATE turns SET answer = 'Look at ' || question")
    assert nights.run("--json", merge="slerp", method="dpo", kill="after:merging") == -9
    assert nights.run("--json", merge="slerp", method="dpo", patch="poison weights") in (0, 11), (
        nights.said
    )  # what was trained is not trained again
    told = nights.result
    shelved = nights.shelf.read(str(told["lora"]))
    assert [shelved.draft.recipe[name] for name in ("method", "merge", "merge_share")] == ["dpo", "slerp", 0.25]
    assert set(live.draft.example_ids) < set(shelved.draft.example_ids)
    assert told["merged_with"] == live.id
    assert f"slerp with 0.25 of {live.id}" in Path(str(told["report"])).read_text()
    trained = merge.read(Path(str(told["report"])).parent / "candidate")
    wanted = merge.merged(trained, merge.read(live.folder), "slerp", 0.25, rank=2)
    found = merge.read(shelved.folder)
    assert all(torch.allclose(found[name].dense(), wanted[name].dense(), atol=1e-5) for name in wanted)


def test_what_can_not_be_merged_is_kept_out_and_the_report_says_why(nights: Nights) -> None:
    nights.people_say(12)
    assert nights.run() == 0, nights.said
    before = nights.live_bytes()
    nights.people_say(10, first=100)
    assert nights.run("--json", merge="ties", patch="poison weights") == 11
    assert "could not be merged" in str(nights.result["why"])
    assert nights.live_bytes() == before


def test_full_fine_tuning_is_judged_like_any_other_candidate_and_never_served(nights: Nights) -> None:
    nights.people_say(12)
    assert nights.run("--json", method="full") == 11, nights.said
    told = nights.result
    assert (told["verdict"], told["lora"], nights.shelf.live(), list(nights.shelf.list())) == ("kept", None, None, [])
    assert str(told["why"]).startswith("full fine-tuning is judged and never served; ")
    scores = {name: {each["item"]: each["loss"] for each in found} for name, found in told["scores"].items()}  # type: ignore[attr-defined]
    assert set(scores) == {"base", "base, unquantized", "candidate"}
    assert scores["base"] != scores["base, unquantized"]
    [against] = [gate for gate in told["gates"] if gate["gate"] == "answer loss against the base"]  # type: ignore[attr-defined]
    assert against["interval"][1] == told["comparisons"]["base, unquantized"]["high"]  # type: ignore[index]
    folder = Path(str(told["report"])).parent
    assert "Full fine-tuning is judged and never served" in (folder / "report.html").read_text()
    assert {path.name for path in (folder / "candidate").iterdir()} == {"training.json", "COMPLETE"}, "a whole model is not left behind"
    assert nights.run("--json", method="full", patch="poison gradients") == 11  # what was trained is not trained again
    assert [nights.result[part] for part in ("why", "scores", "losses")] == [told[part] for part in ("why", "scores", "losses")]


def test_full_fine_tuning_of_a_model_that_is_not_small_is_refused_before_anything_is_trained(nights: Nights) -> None:
    nights.people_say(12)
    for arguments in (["--dry-run"], []):
        assert nights.run(*arguments, method="full", patch="make it large") == 14
        assert 'weights of this model, and is for models of at most 1,000: set method = "sft", which trains a LoRA' in nights.said
    assert [path.name for path in (nights.home / "runs").iterdir()] == ["snapshots"]


def test_what_needs_a_reviewer_is_not_trained_on_until_somebody_approved_it(nights: Nights) -> None:
    nights.people_say(12)
    with nights.day.store._write() as db:
        db.execute("UPDATE turns SET domain = 'medical'")
    assert nights.run() == 10
    assert "12 wait for a reviewer (`care review`)" in nights.said
    waiting = nights.day.store.waiting_reviews()
    for each in waiting:
        nights.day.store.review(Review(each.turn_id, each.sha256, "approved", "cli:rev", MORNING))
    assert nights.run("--json") == 0, nights.said
    assert nights.result["funnel"]["approved"] == 12  # type: ignore[index]


def test_the_counts_of_the_funnel_only_ever_go_down(nights: Nights) -> None:
    nights.people_say(12)
    nights.day.rate(nights.day.ask("How much?", user="x"), -1, user="x", correction="4111 1111 1111 1111")
    assert nights.run("--dry-run", "--json") == 0
    told = nights.result["funnel"]
    stages = ("rated", "eligible", "redacted", "deduplicated", "capped", "approved", "trained")
    counts = [told[name] for name in stages]  # type: ignore[index]
    assert counts[:3] == [13, 13, 12]
    assert counts == sorted(counts, reverse=True)
    assert nights.day.store.waiting_reviews() == [], "a dry run asks nobody"


def test_suites_and_canaries_are_measured_and_stand_in_report_and_manifest(nights: Nights) -> None:
    nights.people_say(12)
    assert nights.run("--json", marks=1, steps=6) in (0, 11), nights.said
    told = nights.result
    gates = [gate["gate"] for gate in told["gates"]]  # type: ignore[attr-defined]
    assert {"emergencies: new failures", "refusals: new failures", "scope: new failures", "general not worse"} < set(gates)
    assert gates[-3:] == ["canaries: exposure (bits)", "canaries: extracted", "canaries: positive control (bits)"]
    assert [gate.gate for gate in nights.shelf.read(str(told["lora"])).draft.gates] == gates
    page = Path(str(told["report"])).read_text()
    assert all(gate in page for gate in gates)
    assert {len(each) for each in told["samples"].values()} == {2}  # type: ignore[attr-defined]
    assert set(told["samples"]) <= set(told["questions"])  # type: ignore[call-overload]
    assert "No model looks for names of people" in page
    assert page.index("Whose words these are") < page.index("What it cost")


@pytest.mark.parametrize("poison", ["poison gradients", "poison weights"])
def test_training_that_ends_in_no_numbers_exits_11_with_a_report(nights: Nights, poison: str) -> None:
    nights.people_say(12)
    assert nights.run("--json", patch=poison) == 11
    assert [gate["gate"] for gate in nights.result["gates"]] == ["finite weights and gradients"]  # type: ignore[attr-defined]
    assert "numbers" in str(nights.result["why"])
    assert list(nights.shelf.list()) == []
    assert Path(str(nights.result["report"])).exists()


def test_a_full_disk_exits_14_and_with_room_again_the_night_goes_on(nights: Nights) -> None:
    nights.people_say(12)
    assert nights.run(patch="fill the disk") == 14
    assert "free some space" in nights.said
    assert nights.run() == 0, nights.said


def test_sigterm_leaves_a_checkpoint_and_exits_15_and_the_next_start_goes_on_from_it(nights: Nights) -> None:
    nights.people_say(12)
    assert nights.run(patch="terminate") == 15
    [checkpoints] = nights.home.glob("runs/*/checkpoints")
    assert (checkpoints / "checkpoint-5" / "COMPLETE").exists()
    assert nights.run("--json") == 0
    stopped = [(loss["step"], round(loss["loss"], 1)) for loss in nights.result["losses"]]  # type: ignore[attr-defined]
    assert [step for step, _ in stopped] == list(range(1, 13))
    assert nights.result["training"]["steps"] == 7, "what this start has trained"  # type: ignore[index]
    assert nights.shelf.read(str(nights.shelf.live())).draft.recipe["steps"] == 12


def test_two_recipes_at_once_and_a_time_that_is_none_are_wrong_uses(nights: Nights) -> None:
    assert nights.run("--recipe", "embedded") == 2
    assert "--recipe is given 2 times" in nights.said
    assert nights.run("--until", "25:00") == 2


def test_a_live_lora_that_can_not_be_served_is_replaced_without_any_news(nights: Nights) -> None:
    nights.people_say(12)
    assert nights.run() == 0
    first = nights.shelf.live()
    (nights.shelf.folder / str(first) / "adapter_model.safetensors").write_bytes(b"x")
    assert nights.run(steps=9) == 0, nights.said
    second = nights.shelf.live()
    assert second != first
    nights.model = save_tiny(nights.home / "another-model", "llama", max_position_embeddings=2048, intermediate_size=192).folder
    assert nights.run() == 0, nights.said
    assert nights.shelf.live() not in (first, second)


def test_a_clock_that_was_turned_back_neither_hides_the_news_nor_spoils_the_order(nights: Nights) -> None:
    nights.people_say(12)
    assert nights.run(steps=4) == 0
    first = nights.shelf.live()
    nights.people_say(8, first=100)
    assert nights.run(patch="turn the clock back") == 0, nights.said
    assert str(nights.shelf.live()).startswith("19990101-")
    assert [entry.state for entry in nights.shelf.list()] == ["retired", "live"]
    assert nights.run(patch="turn the clock back") == 10
    assert nights.shelf.rollback(by="test", reason="").lora_id == first


def test_a_second_night_at_the_same_time_exits_13(nights: Nights) -> None:
    nights.people_say(12)
    with only_night(nights.home):
        assert nights.run() == 13
    assert "another night runs" in nights.said


def test_a_damaged_database_exits_20(nights: Nights) -> None:
    nights.people_say(12)
    nights.day.store.close()
    path = nights.home / "care.db"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    assert nights.run() == 20
    assert "is damaged" in nights.said


def test_a_kill_at_every_stage_and_at_six_steps_leaves_what_serves_and_the_rerun_finishes(nights: Nights) -> None:
    nights.people_say(12)
    assert nights.run(steps=4) == 0
    before, first = nights.live_bytes(), nights.shelf.live()
    nights.people_say(12, first=50)
    first_night = json.loads(next(nights.home.glob("runs/*/report.json")).read_text())["training"]
    assert nights.run("--dry-run", "--json") == 0
    snapshot, foreseen = nights.result["snapshot_sha256"], nights.result["plan"]["seconds"]  # type: ignore[index]
    assert (first_night["steps"], 2 < foreseen / first_night["seconds"] < 4) == (4, True), "12 steps take about three times as long as 4"
    steps = sorted(random.Random(3).choices(range(1, 13), k=6))
    early = [f"before:{STAGES[0][0]}", *(f"after:{name}" for name, _ in STAGES)]  # nothing happens between two stages
    training, late = early.index("after:training"), early.index("after:promoting")
    order = [*early[:training], *(f"step:{step}" for step in steps), *early[training:late]]
    for point in order:
        assert nights.run(kill=point) == -9, (point, nights.said)
        assert nights.live_bytes() == before, point
    for point in early[late:-1]:
        assert nights.run(kill=point) == -9, (point, nights.said)
        assert nights.shelf.live() != first
    assert nights.run("--json") == 0, nights.said
    told = nights.result
    assert (told["verdict"], told["snapshot_sha256"]) == ("promoted", snapshot)
    lora = nights.shelf.read(str(nights.shelf.live()))
    assert (lora.draft.snapshot_sha256, lora.id) == (snapshot, told["lora"])
    assert [entry.state for entry in nights.shelf.list()] == ["retired", "live"]
    assert nights.run() == 10
