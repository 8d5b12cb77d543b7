"""schemathesis against a real server's own description of itself, as each role.

Every call is tried with what its description allows and with what it does not; no answer may be a
5xx, have a status or a content that the description does not name, or take what it forbids.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.settings import LONG
from tests.serving import ServeProcess, photo

ROOT = Path(__file__).parents[2]
EXAMPLES = 6
"""Of each call, besides those that cover its parameters' bounds."""
CHECKS_LEFT_OUT = (
    # A schema does not say that camera tokens name cameras, or that context has the form key=value.
    "positive_data_acceptance",
)
LESSER_ROLES = ("operator", "viewer", "camera", "nobody") if LONG else ("operator",)
"""Who may do what is a table of its own (``test_api_access``): one is enough for each run."""
LONG_S = 30
"""Seconds for each of the explorations here in a round of ``make fuzz``."""
TOKENS = "/api/tokens/{token_id}"


class Explored:
    """A server with cameras, a picture, and a snap that ended; and schemathesis to explore it."""

    def __init__(self, server: ServeProcess) -> None:
        self._server = server
        server.new_token("camera", "door", "yard")
        picture = server.call("PUT", "/snippets/1", data=photo())
        snap = server.call("POST", "/api/snaps?wait=1", json={"to": ["door"]})
        self._known = json.dumps(
            {
                "name": ["door", "yard"],
                "number": [1, 2],
                "picture_id": [picture.json()["id"]],
                "snap_id": [snap.json()["snap"]],
            }
        )

    def new_token(self, role: str) -> str:
        """A token of that role; none for nobody."""
        if role == "nobody":
            return ""
        return self._server.new_token(role, *(("door",) if role == "camera" else ()))

    def explore(self, token: str, *words: str) -> None:
        """Runs schemathesis; fails with what it found."""
        budget = ["--generation-deterministic", "--max-examples", str(EXAMPLES)]
        if LONG:
            budget = ["--max-time", str(LONG_S)]
        ran = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                *("run", f"{self._server.url}/openapi.json", "--no-color", "--continue-on-failure"),
                *("--exclude-checks", ",".join(CHECKS_LEFT_OUT), "--request-timeout", "20"),
                *(["--header", f"Authorization: Bearer {token}"] if token else []),
                *budget,
                *words,
            ],
            env={
                **os.environ,
                "OBJECTCLASSIFICATION_TEST_KNOWN": self._known,
                "PYTHONHASHSEED": "0",
                "PYTHONPATH": str(ROOT),
                "SCHEMATHESIS_HOOKS": "tests.fuzz.schemathesis_hooks",
            },
            cwd=self._server.data.parent,  # it keeps notes where it runs
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}"

    def answers(self) -> set[tuple[str, int]]:
        """Methods with the statuses that they were answered with so far."""
        lines = [json.loads(line) for line in self._server.errors.splitlines()]
        return {(line["method"], line["status"]) for line in lines if line["event"] == "request"}


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explored]:
    with ServeProcess(tmp_path_factory.mktemp("openapi")) as server:
        yield Explored(server)
        assert server.process.poll() is None
        assert "Traceback" not in server.errors


@pytest.mark.long
def test_every_call_as_admin(explored: Explored) -> None:
    phases = () if LONG else ("--phases", "coverage,fuzzing")
    explored.explore(explored.new_token("admin"), "--exclude-path", TOKENS, *phases)
    # It got as far as there is to get: pictures were taken in, and snaps ended.
    assert {("PUT", 201), ("PUT", 422), ("PUT", 415), ("POST", 201)} <= explored.answers()


@pytest.mark.parametrize("role", LESSER_ROLES)
def test_every_call_as_a_lesser_role(explored: Explored, role: str) -> None:
    explored.explore(explored.new_token(role), "--exclude-path", TOKENS, "--phases", "coverage")


def test_tokens_are_revoked(explored: Explored) -> None:
    """By itself: it may hit on its own token."""
    explored.explore(explored.new_token("admin"), "--include-path", TOKENS)
