"""Commands of `care` in the process of the tests: their imports, which take seconds, are done once."""

import contextlib
import io
import os
import subprocess
from pathlib import Path
from unittest.mock import patch

import pytest

from bot import cli


def care_here(home: Path, *arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
    """What a command says and ends with. One that steps back for others has to be kept from it: it would be the tests that step back."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, {"CARE_HOME": str(home), **settings}),
        patch("sys.argv", ["care", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        cli.main()
    return subprocess.CompletedProcess(arguments, int(end.value.code or 0), out.getvalue(), err.getvalue())
