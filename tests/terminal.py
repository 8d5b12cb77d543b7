"""A command on a terminal of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

from tests.serving import WAIT_S, until

COMMAND = (sys.executable, "-m", "objectclassification")


class Terminal:
    """A command whose standard input, output and error are one terminal, as a person's are.

    Args:
        home: its working folder; made if it is missing.
        *words: of the command line.
        **environment: more of the environment.
    """

    def __init__(self, home: Path, *words: str, **environment: str) -> None:
        home.mkdir(exist_ok=True)
        self._ours, theirs = os.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=home,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "dumb", **environment},
            start_new_session=True,
        )
        os.close(theirs)
        self._heard = bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        os.close(self._ours)

    @property
    def screen(self) -> str:
        """All that it showed so far."""
        return self._heard.decode().replace("\r\n", "\n")

    def shows(self, text: str, times: int = 1) -> None:
        """Waits until it has shown this so often."""
        until(lambda: self.screen.count(text) >= times or not self._reader.is_alive())
        assert self.screen.count(text) >= times, self.screen

    def type(self, text: str) -> None:
        """Types a line."""
        os.write(self._ours, text.encode())

    def stop(self) -> int:
        """Ends it as Ctrl-C does; returns its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.ended()

    def ended(self) -> int:
        """Waits for its end, and for the last of its output; returns its exit code."""
        code = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return code

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 4096)
            except OSError:  # EIO: nobody has the other side any more
                return
            self._heard += data
