"""The notify protocol of systemd (sd_notify(3)), for a unit of Type=notify with a watchdog. Silent elsewhere."""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)


class Systemd:
    """What systemd asked for in the environment of this process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET")
        microseconds = environment.get("WATCHDOG_USEC", "")
        self._watchdog_seconds = int(microseconds) / 1e6 if microseconds.isdigit() else None

    def notify(self, state: str) -> None:
        """Sends one state line, for example READY=1."""
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.connect("\0" + self._address[1:] if self._address.startswith("@") else self._address)
                sender.sendall(state.encode())
        except OSError as error:
            log.warning("systemd can't be notified", extra={"state": state, "error": str(error)})

    async def feed_watchdog(self, alive: Callable[[], bool]) -> None:
        """Feeds the watchdog for as long as `alive` says so; a process that hangs is restarted by systemd."""
        if self._watchdog_seconds is None:
            return
        while True:
            if alive():
                self.notify("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_seconds / 3)
