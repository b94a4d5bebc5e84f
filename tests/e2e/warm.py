"""The test's end of `tests.fakes.warm`: warm processes, and the servers and commands that came from them."""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO

ROOT = Path(__file__).parents[2]
ENGINE = "model.network"  # what a real engine needs to begin with: torch and transformers
_COMMAND_SECONDS = 110


class Forked:
    """A process, as far as `subprocess.Popen` is used for one."""

    def __init__(self, stdout: IO[str], fate: IO[str]) -> None:
        self.stdout = stdout
        self._fate = fate
        self.pid = int(fate.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.returncode is None and select.select([self._fate], [], [], 0)[0]:
            self._end()
        return self.returncode

    def wait(self, seconds: float) -> int:
        """The same, once it has ended. Raises TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._fate], [], [], seconds)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), seconds)
            self._end()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _end(self) -> None:
        self.returncode = int(self._fate.readline())
        self._fate.close()


class Warm:
    """Starts them."""

    def __init__(self, *modules: str) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.fakes.warm", str(theirs.fileno()), *modules]
        nothing = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        patient = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}  # what torch computes with reads it while it is imported
        self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], env=patient, **nothing)
        theirs.close()
        atexit.register(self._close)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """What a command of `care` did, with nothing but this environment and without a terminal."""
        with TemporaryFile() as errors:
            command = self.start("care", arguments, environment, errors)
            try:
                with command.stdout:
                    said = command.stdout.read()
                code = command.wait(_COMMAND_SECONDS)
            finally:
                command.kill()
            errors.seek(0)
            return subprocess.CompletedProcess(arguments, code, said, errors.read().decode())

    def start(self, program: str, arguments: Sequence[str], environment: Mapping[str, str], errors: IO[bytes]) -> Forked:
        """A "server" or "care" with these arguments and nothing but this environment; what it says on standard error goes to `errors`."""
        (stdout, its_stdout), (fate, its_fate) = os.pipe(), os.pipe()
        order = json.dumps({"program": program, "arguments": list(arguments), "environment": dict(environment)}).encode()
        socket.send_fds(self._orders, [order], [its_stdout, errors.fileno(), its_fate])
        os.close(its_stdout)
        os.close(its_fate)
        return Forked(os.fdopen(stdout), os.fdopen(fate))

    def _close(self) -> None:
        self._orders.close()
        self._process.kill()  # taking itself down takes seconds
        self._process.wait()


_starting = Lock()
_warm = cache(Warm)


def warm(*modules: str) -> Warm:
    """The one that has imported these modules."""
    with _starting:
        return _warm(*modules)
