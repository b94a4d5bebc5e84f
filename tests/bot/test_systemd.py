"""The notify protocol, with a socket of our own in systemd's place."""

import asyncio
import socket
from pathlib import Path

import pytest

from bot.systemd import Systemd


@pytest.fixture
def supervisor(tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def test_readiness_is_announced(supervisor: socket.socket) -> None:
    Systemd({"NOTIFY_SOCKET": supervisor.getsockname()}).notify("READY=1")
    assert supervisor.recv(100) == b"READY=1"


async def test_the_watchdog_is_fed_only_while_the_engine_lives(supervisor: socket.socket) -> None:
    alive = [True, True, False, False]
    systemd = Systemd({"NOTIFY_SOCKET": supervisor.getsockname(), "WATCHDOG_USEC": "3000"})
    feeding = asyncio.create_task(systemd.feed_watchdog(lambda: bool(alive) and alive.pop(0)))
    while alive:
        await asyncio.sleep(0)
    feeding.cancel()
    assert [supervisor.recv(100) for _ in range(2)] == [b"WATCHDOG=1"] * 2
    with pytest.raises(BlockingIOError):
        supervisor.recv(100)


async def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    Systemd({}).notify("READY=1")
    await Systemd({}).feed_watchdog(lambda: True)
    Systemd({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).notify("READY=1")
