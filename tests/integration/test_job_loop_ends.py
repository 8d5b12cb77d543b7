"""A server whose job loop ends does not go on as if it worked: it exits, and is started anew."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from objectclassification.store import folder
from objectclassification.worker import MOST_LEASES
from tests.serving import WAIT_S, ServeProcess, photo, until

DAMAGED = "UPDATE jobs SET state = 'queued', rendition_id = x'00ff'"
"""Bytes where a text belongs, as a bad disk or another program leaves them."""


def states(data: Path) -> list[str]:
    with closing(sqlite3.connect(data / folder.DATABASE)) as raw:
        return [state for (state,) in raw.execute("SELECT state FROM jobs ORDER BY id")]


def test_the_server_exits_and_gets_over_it(tmp_path: Path) -> None:
    with ServeProcess(tmp_path) as server:
        assert server.call("PUT", "/snippets/1", data=photo("first")).status_code == 201
        until(lambda: states(server.data) == ["done"])
        with closing(sqlite3.connect(server.data / folder.DATABASE)) as raw, raw:
            raw.execute(DAMAGED)
        assert server.process.wait(WAIT_S) == 1  # the loop looks for jobs every 5 s
        assert server.errors.splitlines()[-1] == (
            "error: the job loop ended, and the server with it: its log says why"
        )
        assert "Traceback" in server.errors
        assert server.errors.count("error: ") == 1
    with closing(sqlite3.connect(server.data / folder.DATABASE)) as raw, raw:
        raw.execute(
            "UPDATE jobs SET attempts = ? WHERE typeof(rendition_id) = 'blob'", (MOST_LEASES,)
        )
    with ServeProcess(tmp_path) as again:  # as systemd does; this time it has tried often enough
        until(lambda: states(again.data) == ["failed"])
        assert again.call("GET", "/readyz").status_code == 200
        assert again.stop() == 0
