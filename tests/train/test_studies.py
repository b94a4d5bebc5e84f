"""A study on a tiny model: what it writes into the page, and what it does not do twice."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.measure import domains, material, methods, rank, show, steps, study
from deploy.measure.show import Column
from deploy.measure.study import Result
from deploy.measure.trained import Trained
from model.weights import Base
from tests.model.tiny import save_tiny
from train.examples import Example
from train.gates import Score
from train.recipe import Recipe
from train.runs import Run

PAGE = "# Results\nBefore.\n\n## Steps\n<!-- steps -->\nold\n<!-- /steps -->\nA conclusion.\n\n<!-- rank -->\nanother\n<!-- /rank -->\n"


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return save_tiny(tmp_path / "tiny", "llama", max_position_embeddings=2048)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    page = tmp_path / "docs" / "results.md"
    page.parent.mkdir()
    page.write_text(PAGE)
    return page


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps of every training that was begun; the trainings themselves are real."""
    begun: list[int] = []
    finetune: Callable[..., object] = study.finetune

    def counted(base: Base, device: object, rows: object, recipe: Recipe, run: Run, *more: object, **options: object) -> object:
        begun.append(recipe.steps)
        return finetune(base, device, rows, recipe, run, *more, **options)

    monkeypatch.setattr(study, "finetune", counted)
    monkeypatch.delenv("CARE_PUBLIC_DATA", raising=False)
    return begun


def test_a_study_writes_its_own_section_and_a_chart_and_trains_nothing_twice(
    tmp_path: Path, base: Base, page: Path, trainings: list[int]
) -> None:
    def measure_steps(*more: str) -> None:
        given = ["--model", base.folder, "--recipe", "embedded", "--rows", 3, "--items", 3, "--max-tokens", 1500]
        where = ["--kept", tmp_path / "kept", "--results", page]
        done = CliRunner().invoke(steps.main, [str(each) for each in [*given, *where, *more]], catch_exceptions=False)
        assert done.exit_code == 0, done.output

    measure_steps("--steps-list", "1,2", "--only", "1 steps")
    assert trainings == [1]
    assert "| 2 steps |" not in page.read_text()
    measure_steps("--steps-list", "1,2")
    measure_steps("--steps-list", "1,2")
    assert trainings == [1, 2]
    text = page.read_text()
    assert text.startswith("# Results\nBefore.\n\n## Steps\n<!-- steps -->\n`make measure-steps` (`")
    assert f"`), {datetime.now(UTC).date()}. The same 3 rows" in text
    assert text.endswith("<!-- /steps -->\nA conclusion.\n\n<!-- rank -->\nanother\n<!-- /rank -->\n")
    assert "old" not in text
    assert "Measured on 3 held-out items (1 banking, 1 medical, 1 telecom)" in text
    assert all(f"| {name} |" in text for name in ("base", "1 steps", "2 steps"))
    assert all((page.parent / name).stat().st_size > 5000 for name in ("steps.png", "steps-losses.png"))
    first = tmp_path / "kept" / "steps" / "base.json"
    older = json.loads(first.read_text()) | {"measured_at": "2026-01-02T23:00:00+00:00"}
    first.write_text(json.dumps(older))
    measure_steps("--steps-list", "1,2", "--as-kept")
    assert f"`), 2026-01-02 to {datetime.now(UTC).date()}. The same" in page.read_text()
    for path in (tmp_path / "kept" / "steps").glob("*.json"):
        path.write_text(json.dumps({name: part for name, part in json.loads(path.read_text()).items() if name != "measured_at"}))
        os.utime(path, (0, 0))
    measure_steps("--steps-list", "1,2", "--as-kept")
    assert "`), 1970-01-01. The same" in page.read_text()
    assert trainings == [1, 2]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--ranks", "8,x"], "'8,x' is no list of whole numbers over 0, as 8,16,32 is"),
        (["--ranks", "8,0"], "'8,0' is no list of whole numbers over 0"),
        (["--items", "0"], "0 is not in the range x>=1"),
        (["--recipe", "fast"], "Error: --recipe 'fast' can't be read (No such file or directory); name one of care-paper"),
    ],
)
def test_what_can_not_be_studied_is_said_in_a_sentence(given: list[str], said: str) -> None:
    done = CliRunner().invoke(rank.main, given)
    assert (done.exit_code, said in done.output) == (2, True), done.output


def test_better_and_worse_are_said_where_the_interval_and_ten_items_prove_it_only() -> None:
    losses = {"base": [2.0] * 10, "a": [1.0] * 10, "b": [1.0 + (-1) ** n for n in range(10)], "c": [3.0] * 10, "d": [0.0] * 9}
    results = {name: Result(name, [Score(str(n), "telecom", loss) for n, loss in enumerate(found)], None) for name, found in losses.items()}
    columns = [show.minus(results, "base"), show.minus(results, "a")]
    _, _, _, *rows = show.table(results, columns, "a")
    assert "better than the base |" in rows[0]
    assert "better than the base; not proven other than a |" in rows[1]
    assert "worse than the base; worse than a |" in rows[2]
    assert "too few items to say |" in rows[3]
    assert "**−1.000** (−1.000 … −1.000)" in rows[0]


def test_items_are_as_many_of_each_domain_as_there_are() -> None:
    many = {"telecom": 2, "medical": 9, "banking": 30}
    examples = [Example(f"{domain}{n}", "g", (), "", domain, "starter", "") for domain, count in many.items() for n in range(count)]
    found = [each.domain for each in material.drawn(examples, 21)]
    assert {domain: found.count(domain) for domain in many} == {"telecom": 2, "medical": 9, "banking": 10}
    assert len(material.drawn(examples, 100)) == 41


def test_general_tasks_stand_apart_against_what_a_model_was_trained_from() -> None:
    def result(name: str, loss: float, general: float, own_base: str = "base") -> Result:
        scores = [Score(f"t{n}", "telecom", loss) for n in range(10)] + [Score(f"g{n}", material.GENERAL, general) for n in range(10)]
        return Result(name, scores, None, own_base)

    given = [
        result("base", 3, 3),
        result(study.UNQUANTIZED, 2, 2, study.UNQUANTIZED),
        result("sft", 2, 4),
        result("full", 1, 2.5, study.UNQUANTIZED),
    ]
    results = {each.name: each for each in given}
    assert {name: (each.mean, each.n) for name, each in show.minus(results, "base").found.items()} == {
        study.UNQUANTIZED: (-1, 10),
        "sft": (-1, 10),
        "full": (-2, 10),
    }
    [forgotten] = show._forgotten(results)
    assert {name: each.mean for name, each in forgotten.found.items()} == {"sft": 1, "full": 0.5}
    figure = show.drawn([[show.minus(results, "base")], [Column("apart", forgotten.found, better="more")], [forgotten]])
    axes = [each for each in figure.axes if each.axison]
    assert [each.get_xlabel().partition("; ")[2] for each in axes] == ["less is better", "more is better", "less is better"]
    first, second, general = (each.get_lines()[0].get_color() for each in axes)
    assert first == second != general
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["all three domains", "general"]


def test_what_is_gained_over_the_bases_own_answers_counts_items_of_one_document_together() -> None:
    gained = [0.6, 0.5, 0.3, 0.2, 0.2, 0.0, 0.0, -0.1, -0.2, -0.3]

    def result(name: str, losses: list[float], group: str) -> Result:
        own = [Score(f"{material.OWN}/{n}", material.OWN, 2.0, group and f"{group} {n // 6}") for n in range(60)]
        return Result(name, [*own, *(replace(each, item=str(n), loss=losses[n]) for n, each in enumerate(own))], None)

    wide, narrow = (
        methods.apart(
            {
                name: result(name, losses, group)
                for name, losses in {"base": [3.0] * 60, "sft": [3 - gained[n // 6] for n in range(60)]}.items()
            }
        )
        for group in ("document", "")
    )
    assert wide.found["sft"].mean == pytest.approx(0.12)
    assert (narrow.found["sft"].low > 0, wide.found["sft"].low > 0) == (True, False)


def test_the_domains_own_loras_are_one_result_as_soon_as_all_are_there() -> None:
    def result(domain: str, steps: int, peak: int, day: int) -> Result:
        trained = Trained([2.0] * steps, 10 * steps, steps, 1.5 * steps, peak)
        return Result(domain, [Score(domain, domain, 1.0)], trained, measured_on=date(2026, 3, day))

    found = {"base": Result("base", [], None), "banking": result("banking", 2, 7, 1), "medical": result("medical", 4, 5, 2)}
    assert list(domains._together(found, ["banking", "medical", "telecom"])) == ["base"]
    _, together = domains._together(found, ["banking", "medical"]).values()
    assert together.trained == Trained([2.0] * 6, 60, 6, 9.0, 7)
    assert [score.domain for score in together.scores] == ["banking", "medical"]
    assert together.measured_on == date(2026, 3, 2)
