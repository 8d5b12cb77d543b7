"""What systemd is told by a service of ``Type=notify`` (sd_notify(3)); elsewhere nothing happens.

::

    notifier = Notifier(notify_socket(), watchdog_s())
    ...
    notifier.ready("serving http://192.0.2.7:8000")   # inside the running event loop
    ...
    notifier.stopping()
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress


class Notifier:
    """Tells systemd how a service is.

    Args:
        address: systemd's socket, ``$NOTIFY_SOCKET``; an ``@`` stands for the abstract namespace.
            None where no systemd listens.
        watchdog_s: after so many seconds without a word systemd takes the process for hung.

    Attributes:
        address: as given.
    """

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        self.address = address
        self._watchdog_s = watchdog_s

    def ready(self, status: str) -> None:
        """The service serves; from now on the event loop shows that it turns."""
        self._tell("READY=1", f"STATUS={status}")
        if self.address is not None and self._watchdog_s is not None:
            self._show_life(asyncio.get_running_loop(), self._watchdog_s / 3)

    def status(self, status: str) -> None:
        """What ``systemctl status`` shows, in one line."""
        self._tell(f"STATUS={status}")

    def stopping(self) -> None:
        """The service is on its way down."""
        self._tell("STOPPING=1", "STATUS=stopping")

    def _show_life(self, loop: asyncio.AbstractEventLoop, every_s: float) -> None:
        # By the loop itself and by no thread or task: what keeps the loop from turning, for
        # whatever reason, must be found.
        self._tell("WATCHDOG=1")
        loop.call_later(every_s, self._show_life, loop, every_s)

    def _tell(self, *lines: str) -> None:
        if self.address is None:
            return
        # One line each: a newline in a status would begin another assignment.
        message = "\n".join(line.replace("\n", " ") for line in lines)
        path = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            # Where nobody takes it, systemd has its own clocks; this service serves on.
            with suppress(OSError):
                sender.sendto(message.encode(), path)
