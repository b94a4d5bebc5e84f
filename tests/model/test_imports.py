"""What importing the engine costs."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["model.local", "model.engine"])
def test_the_front_of_the_engine_imports_no_torch(module: str) -> None:
    """`care serve` answers its probes before torch is loaded, which takes seconds."""
    check = f"import sys, {module}; sys.exit(str(sorted({{'torch', 'transformers', 'numpy'}} & sys.modules.keys()) or ''))"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=100)
    assert result.stderr.strip() == ""
