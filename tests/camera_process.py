"""``objectclassification camera`` as a process of its own."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.serving import WAIT_S

COMMAND = (sys.executable, "-m", "objectclassification", "camera")


class CameraProcess:
    """A camera program.

    Args:
        home: its working folder; pictures, the token file and its spool are in it. It may be used
            again.
        url: the server's.
        token: of a camera or an admin.
        *arguments: more of the command line.
        source_tree: of another release, whose program it is then; this one's by default.
        environment: more of it.
    """

    def __init__(
        self,
        home: Path,
        url: str,
        token: str | None,
        *arguments: str,
        source_tree: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        home.mkdir(exist_ok=True)
        self.home = home
        self.spool = home / "spool"
        (home / "token").write_text(token or "")
        login = ("--token-file", str(home / "token")) if token else ()
        more = {**({"PYTHONPATH": str(source_tree)} if source_tree else {}), **(environment or {})}
        with (home / "stderr").open("ab") as errors:
            self.process = subprocess.Popen(
                [*COMMAND, url, *login, "--spool", str(self.spool), *arguments],
                cwd=home,
                env={**os.environ, **more},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> CameraProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def errors(self) -> str:
        """What it wrote to standard error so far, the runs before this one included."""
        return (self.home / "stderr").read_text()

    def line(self, pattern: str) -> str:
        """Waits for the next line on its screen that holds the pattern."""
        seen = []
        while (line := self._lines.get(timeout=WAIT_S)) is not None:
            if re.search(pattern, line):
                return line
            seen.append(line)
        raise AssertionError(f"it ended without {pattern!r}: {seen} {self.errors}")

    def log(self, text: str) -> None:
        """Waits until it has written this to standard error."""
        until = time.monotonic() + WAIT_S
        while text not in self.errors:
            assert self.process.poll() is None, self.errors
            assert time.monotonic() < until, self.errors
            time.sleep(0.02)  # a file tells nobody that it grows

    def ready(self) -> CameraProcess:
        """Waits until it is connected."""
        self.line("is ready")
        return self

    def rest(self) -> list[str]:
        """Waits for its end, and returns the lines that were not looked at."""
        self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return [line for line in self._lines.queue if line is not None]

    def stop(self) -> int:
        """Ends it as systemd does; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)

    def kill(self) -> None:
        """Ends it as a power cut does."""
        self.process.kill()
        self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        assert self.process.stdout
        self.process.stdout.close()

    def waiting(self) -> list[Path]:
        """The pictures in its spool."""
        return sorted(self.spool.glob("*.jpg"))

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)
