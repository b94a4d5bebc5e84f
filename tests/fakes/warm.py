"""Servers of `tests.fakes.server` from one warm process: what they import takes longer than most of what is asked of them.

`python -m tests.fakes.warm DESCRIPTOR` takes orders from that socket: a JSON object (`arguments`, `environment`) with three descriptors,
for the server's standard output, its standard error, and for what becomes of it: its process id in a line, its exit code in another.
Each server is a forked child that goes on as a process of its own. It never begins a thread or an event loop before it forks.
"""

import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence

import bot.connectors.slack.connector  # with the next what a server imports where it needs it
import bot.connectors.teams.connector  # noqa: F401
from tests.fakes import server

_MOST_BYTES = 2**20


def main() -> None:
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
    _go_on_as_a_server(json.loads(said), descriptors)


def _go_on_as_a_server(order: dict[str, object], descriptors: Sequence[int]) -> None:
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
    sys.argv[1:] = order["arguments"]
    server.main()


if __name__ == "__main__":
    main()
