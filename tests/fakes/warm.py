"""Servers of `tests.fakes.server` and commands of `care` from one warm process: what they import takes longer than what they then do.

`python -m tests.fakes.warm DESCRIPTOR [MODULE…]` imports these modules too and takes orders from that socket: a JSON object (`program`,
`arguments`, `environment`) with three descriptors, for the program's standard output, its standard error, and for what becomes of it: its
process id in a line, its exit code in another. Each is a forked child that goes on as a process of its own. It never begins a thread or an
event loop, nor computes with torch, before it forks.
"""

import gc
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

import bot.commands.loras  # with the next what they import where they need it
import bot.commands.promote
import bot.commands.rollback
import bot.commands.status
import bot.connectors.slack.connector
import bot.connectors.teams.connector  # noqa: F401
from bot import cli
from tests.fakes import server

PROGRAMS = {"server": server.main, "care": cli.main}
_MOST_BYTES = 2**20


def main() -> None:
    for module in sys.argv[2:]:
        importlib.import_module(module)
    orders = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who waits for a server is not waited for
    gc.freeze()
    while True:
        said, descriptors, _, _ = socket.recv_fds(orders, _MOST_BYTES, 3)
        if not said:
            return
        if os.fork() == 0:
            orders.close()
            break
        for descriptor in descriptors:
            os.close(descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _go_on(json.loads(said), descriptors)


def _go_on(order: dict[str, Any], descriptors: Sequence[int]) -> None:
    """As that program; or as the one that waits for it."""
    out, errors, fate = descriptors
    child = os.fork()
    if child:
        os.close(out)
        os.write(fate, f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(fate, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    for number, descriptor in ((1, out), (2, errors)):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv[:] = [order["program"], *order["arguments"]]
    PROGRAMS[order["program"]]()


if __name__ == "__main__":
    main()
