"""The shelf: what it takes, what it refuses, and that a crash or a full disk leaves the old or the new, never neither."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from model.errors import LoraBaseMismatch, LoraDamaged, LoraMissing, NothingToRollBack
from model.shelf import CONFIG, MANIFEST, WEIGHTS, Shelf
from tests.fakes.loras import BASE, draft, shelved, weights_folder


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "loras")


def promoted(shelf: Shelf, *lora_ids: str) -> None:
    """Shelves and promotes, one after another."""
    for seed, lora_id in enumerate(lora_ids):
        shelved(shelf, lora_id, seed=seed)
        shelf.promote(lora_id, by="test", reason="")


def test_an_empty_shelf_serves_the_base(shelf: Shelf) -> None:
    assert (shelf.live(), list(shelf.list()), list(shelf.history())) == (None, [], [])
    with pytest.raises(NothingToRollBack, match="the base is live"):
        shelf.rollback(by="test", reason="")
    with pytest.raises(LoraMissing, match="there are: none"):
        shelf.open("n1", None)


def test_a_lora_comes_back_as_it_was_shelved(shelf: Shelf, tmp_path: Path) -> None:
    source = weights_folder(tmp_path / "trained", rank=3)
    (source / "README.md").write_text("peft writes this too")
    lora = shelf.add(draft("n1"), source)
    opened = shelf.open("n1", BASE)
    assert opened.lora == lora == shelf.read("n1")
    assert lora.draft == draft("n1") or replace(lora.draft, created_at=draft("n1").created_at)
    assert (opened.weights, opened.rank, opened.alpha) == ((source / WEIGHTS).read_bytes(), 3, 6.0)
    assert {path.name for path in lora.folder.iterdir()} == {WEIGHTS, CONFIG, MANIFEST}


def test_gates_that_measured_no_number_are_kept_too(shelf: Shelf, tmp_path: Path) -> None:
    gate = replace(draft("n1").gates[0], measured=float("inf"), passed=False)
    shelf.add(replace(draft("n1"), gates=(gate,)), weights_folder(tmp_path / "trained"))
    assert shelf.read("n1").draft.gates == (gate,)


def test_the_same_lora_again_changes_nothing_and_another_under_its_name_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    first = shelf.add(draft("n1"), weights_folder(tmp_path / "a", seed=1))
    assert shelf.add(draft("n1"), weights_folder(tmp_path / "a", seed=1)) == first
    with pytest.raises(LoraDamaged, match="another LoRA 'n1' already"):
        shelf.add(draft("n1"), weights_folder(tmp_path / "b", seed=2))


@pytest.mark.parametrize("lora_id", ["", "live", "base", "care", "canary", "../x", "a/b", "a b", "-a", "x" * 65, ".hidden"])
def test_a_name_that_is_none_is_refused(shelf: Shelf, tmp_path: Path, lora_id: str) -> None:
    with pytest.raises(LoraDamaged, match="can't name a LoRA"):
        shelf.add(draft(lora_id), weights_folder(tmp_path / "trained"))
    with pytest.raises(LoraMissing):
        shelf.read(lora_id)


def test_numbers_count_up_whatever_the_clock_says(shelf: Shelf, tmp_path: Path) -> None:
    newer = draft("n1")
    shelf.add(newer, weights_folder(tmp_path / "a", seed=1))
    earlier = replace(draft("n2"), created_at=newer.created_at.replace(year=1999))
    assert shelf.add(earlier, weights_folder(tmp_path / "b", seed=2)).number == 2
    assert [entry.id for entry in shelf.list()] == ["n1", "n2"]


def test_states_say_what_became_of_each(shelf: Shelf) -> None:
    promoted(shelf, "n1", "n2")
    shelved(shelf, "n3", seed=3)
    shelved(shelf, "n4", seed=4, accepted=False)
    shelved(shelf, "n5", seed=5, control=True)
    shelved(shelf, "n6", seed=6)
    (shelf.folder / "n6" / MANIFEST).write_text("{")
    assert {entry.id: entry.state for entry in shelf.list()} == {
        "n1": "retired",
        "n2": "live",
        "n3": "candidate",
        "n4": "rejected",
        "n5": "rejected",
        "n6": "damaged",
    }


def truncate(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-7])


def tamper(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing weights": (lambda folder: (folder / WEIGHTS).unlink(), "can't be read"),
    "missing config": (lambda folder: (folder / CONFIG).unlink(), "can't be read"),
    "missing manifest": (lambda folder: (folder / MANIFEST).unlink(), "can't be read"),
    "truncated": (truncate, "not what its manifest lists"),
    "tampered": (tamper, "not what its manifest lists"),
    "other config": (
        lambda folder: (folder / CONFIG).write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 999}'),
        "not what its manifest",
    ),
    "a pickle": (lambda folder: (folder / "adapter_model.bin").write_bytes(b"x"), "adapter_model.bin, which its manifest does not list"),
    "a stranger": (lambda folder: (folder / "notes.txt").write_text("x"), "notes.txt, which its manifest does not list"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_lora_is_neither_opened_nor_promoted(shelf: Shelf, damage: str) -> None:
    promoted(shelf, "n1")
    shelved(shelf, "n2", seed=2)
    harm, said = DAMAGES[damage]
    harm(shelf.folder / "n2")
    with pytest.raises(LoraDamaged, match=said):
        shelf.open("n2", BASE)
    with pytest.raises(LoraDamaged, match=said):
        shelf.promote("n2", by="test", reason="")
    assert shelf.live() == "n1"
    assert len(shelf.history()) == 1


@pytest.mark.parametrize("field", ["weights_sha256", "template_sha256", "quantization"])
def test_a_lora_of_another_base_is_refused(shelf: Shelf, field: str) -> None:
    shelved(shelf, "n1")
    with pytest.raises(LoraBaseMismatch, match="set CARE_MODEL back"):
        shelf.open("n1", replace(BASE, **{field: "d" * 64}))
    shelf.open("n1", replace(BASE, name="moved elsewhere"))


@pytest.mark.parametrize("kind", ["NaN", "infinity", "half precision", "no tensors", "no safetensors"])
def test_weights_that_are_not_finite_fp32_never_reach_the_shelf(shelf: Shelf, tmp_path: Path, kind: str) -> None:
    source = weights_folder(tmp_path / "trained")
    tensors = load_file(source / WEIGHTS)
    name = min(tensors)
    if kind == "no safetensors":
        (source / WEIGHTS).write_bytes(b"PK\x03\x04 a zip, as torch.save writes it")
    elif kind == "no tensors":
        save_file({}, source / WEIGHTS)
    elif kind == "half precision":
        save_file(tensors | {name: tensors[name].astype(np.float16)}, source / WEIGHTS)
    else:
        tensors[name][0, 0] = np.nan if kind == "NaN" else np.inf
        save_file(tensors, source / WEIGHTS)
    with pytest.raises(LoraDamaged, match=r"n1.*train it again"):
        shelf.add(draft("n1"), source)
    assert list(shelf.list()) == []


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[]",
        "{}",
        '{"peft_type": "LOHA", "r": 2, "lora_alpha": 4}',
        '{"peft_type": "LORA", "r": 0, "lora_alpha": 4}',
        '{"peft_type": "LORA", "r": 900, "lora_alpha": 4}',
        '{"peft_type": "LORA", "r": 2, "lora_alpha": "x"}',
        '{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "use_dora": true}',
        '{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "modules_to_save": ["lm_head"]}',
        '{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "rank_pattern": {"q": 4}}',
        '{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "all"}',
    ],
)
def test_what_is_no_plain_lora_is_refused(shelf: Shelf, tmp_path: Path, config: str) -> None:
    source = weights_folder(tmp_path / "trained")
    (source / CONFIG).write_text(config)
    with pytest.raises(LoraDamaged, match=CONFIG):
        shelf.add(draft("n1"), source)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    shelf = Shelf(tmp_path_factory.mktemp("one"))
    shelved(shelf, "n1")
    return shelf


_JSON = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=5) | st.just([]) | st.just({})


@given(data=st.data())
def test_a_manifest_that_was_changed_anywhere_is_damaged_or_a_manifest_never_a_crash(one: Shelf, data: st.DataObject) -> None:
    path = one.folder / "n1" / MANIFEST
    good = path.read_bytes()
    manifest = json.loads(good)
    place = data.draw(st.sampled_from([manifest, manifest["draft"], manifest["draft"]["base"], manifest["files"]]))
    key = data.draw(st.sampled_from(sorted(place)))
    if data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(_JSON)
    try:
        path.write_text(json.dumps(manifest))
        with suppress(LoraDamaged):
            one.open("n1", None)
    finally:
        path.write_bytes(good)


def test_rolling_back_goes_down_the_chain_to_the_base_and_never_back_up(shelf: Shelf) -> None:
    promoted(shelf, "n1", "n2", "n3")
    assert [shelf.rollback(by="test", reason="").lora_id for _ in range(3)] == ["n2", "n1", None]
    assert shelf.live() is None
    assert not (shelf.folder / "live").is_symlink()


def test_one_that_was_taken_back_is_not_what_a_later_rollback_returns_to(shelf: Shelf) -> None:
    promoted(shelf, "n1", "n2")
    shelf.promote("n1", by="test", reason="again")
    assert shelf.rollback(by="test", reason="").lora_id == "n2"
    assert shelf.rollback(by="test", reason="").lora_id is None


def test_promoting_what_is_live_leaves_no_line(shelf: Shelf) -> None:
    promoted(shelf, "n1", "n2")
    assert shelf.promote("n2", by="test", reason="").before == "n2"
    assert len(shelf.history()) == 2
    assert list(shelf.chain("n2")) == ["n1"]


def test_a_damaged_predecessor_is_stepped_over(shelf: Shelf) -> None:
    promoted(shelf, "n1", "n2", "n3")
    tamper(shelf.folder / "n2")
    assert shelf.rollback(by="test", reason="").lora_id == "n1"


def test_a_live_lora_that_is_gone_or_a_link_that_leads_astray_can_be_rolled_back(shelf: Shelf) -> None:
    promoted(shelf, "n1", "n2")
    link = shelf.folder / "live"
    link.unlink()
    link.symlink_to("../../etc")
    with pytest.raises(LoraDamaged, match="no LoRA of this shelf"):
        shelf.live()
    assert shelf.rollback(by="test", reason="").lora_id == "n1"


def test_a_rollback_that_expects_another_live_lora_does_nothing(shelf: Shelf) -> None:
    promoted(shelf, "n1", "n2")
    with pytest.raises(NothingToRollBack, match="is not live, n2 is"):
        shelf.rollback(by="test", reason="", expected="n1")
    assert shelf.live() == "n2"


def test_a_torn_line_of_the_history_spoils_neither_reading_nor_the_next_one(shelf: Shelf) -> None:
    promoted(shelf, "n1")
    with (shelf.folder / "history.jsonl").open("ab") as file:
        file.write(b'{"at": "2026-')
    promoted(shelf, "n1", "n2")
    assert [change.lora_id for change in shelf.history()] == ["n1", "n2"]
    assert shelf.rollback(by="test", reason="").lora_id == "n1"


_KILLER = """
import os, signal, sys
from pathlib import Path
left = int(sys.argv[2])
def deadly(real):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call
from model.shelf import Shelf
from tests.fakes.loras import shelved
for name in ("rename", "replace", "fsync", "write", "symlink", "mkdir"):
    setattr(os, name, deadly(getattr(os, name)))
for first in range(0, 40):
    if os.fork() == 0:
        left = first + 1
        shelf = Shelf(Path(sys.argv[1]) / str(first))
        shelved(shelf, "n2", seed=2)
        shelf.promote("n2", by="test", reason="")
        print(first, flush=True)
        os._exit(0)
    os.wait()
"""


def test_a_kill_at_any_system_call_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    """Forty children, each killed one call later than the one before; the last ones survive."""
    for first in range(40):
        promoted(Shelf(tmp_path / str(first)), "n1")
    done = subprocess.run([sys.executable, "-c", _KILLER, str(tmp_path), "0"], capture_output=True, text=True, timeout=110)
    survived = {int(line) for line in done.stdout.split()}
    assert 0 not in survived, done.stderr
    assert 39 in survived, done.stderr
    seen = set()
    for first in range(40):
        shelf = Shelf(tmp_path / str(first))
        live = shelf.live()
        seen.add(live)
        assert live is not None
        for entry in shelf.list():
            shelf.open(entry.id, BASE)
        shelved(shelf, "n2", seed=2)
        shelf.promote("n2", by="test", reason="the night after")
        assert shelf.live() == "n2"
        assert shelf.rollback(by="test", reason="").lora_id == "n1"
        assert not [path for path in shelf.folder.iterdir() if path.name.startswith((".adding", ".live"))]
    assert seen == {"n1", "n2"}


@pytest.mark.parametrize("call", ["fsync", "rename", "symlink", "replace", "write", "mkdir"])
def test_a_full_disk_leaves_the_shelf_as_it_was(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    promoted(shelf, "n1")

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError, match="No space left"):
            promoted(shelf, "n2")
    assert shelf.live() == "n1"
    promoted(shelf, "n2")
    assert shelf.live() == "n2"
    assert shelf.rollback(by="test", reason="").lora_id == "n1"


def read_until(folder: str, often: Any, stop: Any, found: Any) -> None:
    """Reads what is live, again and again; how often, or what went wrong. (A number, an event and a queue of another process.)"""
    shelf, reads = Shelf(Path(folder)), 0
    try:
        while not stop.is_set():
            live = shelf.live()
            assert live is not None
            shelf.open(live, BASE)
            reads += 1
            often.value = reads
    except Exception as error:  # noqa: BLE001  # the parent is told
        found.put(repr(error))
    else:
        found.put(reads)


def test_two_hundred_promotions_under_reading_and_none_is_torn(shelf: Shelf) -> None:
    promoted(shelf, "n1", "n2")
    context, promotions = multiprocessing.get_context("spawn"), 0
    often, stop, found = context.Value("i", 0), context.Event(), context.Queue()
    reader = context.Process(target=read_until, args=(str(shelf.folder), often, stop, found))
    reader.start()
    while reader.is_alive() and not often.value:
        time.sleep(0.01)
    while reader.is_alive() and (promotions < 200 or often.value <= 50):
        shelf.promote(f"n{1 + promotions % 2}", by="test", reason="")
        promotions += 1
    stop.set()
    reads = found.get(timeout=60)
    reader.join()
    assert isinstance(reads, int), reads
    assert reads > 50
    assert len(shelf.history()) == 2 + promotions


def test_writers_at_once_take_turns(shelf: Shelf) -> None:
    promoted(shelf, "n1", "n2", "n3")
    errors: list[Exception] = []

    def promote(lora_id: str) -> None:
        try:
            for _ in range(20):
                shelf.promote(lora_id, by=lora_id, reason="")
        except Exception as error:  # noqa: BLE001  # the test tells
            errors.append(error)

    threads = [threading.Thread(target=promote, args=(f"n{n}",)) for n in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    changes = shelf.history()
    assert all(earlier.lora_id == later.before for earlier, later in pairwise(changes))
    assert shelf.live() == changes[-1].lora_id
