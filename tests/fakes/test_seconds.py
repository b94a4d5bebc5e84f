"""What `make test` measures once more: seconds, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.seconds import MEASURE_AGAIN

ROOT = Path(__file__).parents[2]
SLOW = "def test_slow():\n    within(1.0, [0.2, 1.1])\n"
WRONG = "def test_wrong():\n    assert 1 == 2\n"
BROKEN = "@pytest.fixture\ndef broken():\n    yield\n    raise ValueError\ndef test_broken(broken):\n    within(1.0, [0.2])\n"


@pytest.mark.parametrize(("tests", "code"), [(SLOW, MEASURE_AGAIN), (SLOW + WRONG, 1), (SLOW + BROKEN, 1)])
def test_only_where_nothing_but_seconds_failed_the_exit_code_says_so(tmp_path: Path, tests: str, code: int) -> None:
    (tmp_path / "test_these.py").write_text(f"import pytest\nfrom tests.seconds import within\n{tests}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.seconds", "-p", "no:cacheprovider", str(tmp_path)]
    run = subprocess.run([*command, f"--rootdir={tmp_path}"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == code, run.stdout
