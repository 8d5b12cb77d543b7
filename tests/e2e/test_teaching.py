"""The commands of teaching, as a person types them, on real programs and photographs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.camera_process import CameraProcess
from tests.photographs import CHELSEA, COFFEE, views
from tests.serving import WAIT_S, ServeProcess

OPEN, CLOSED = "open, wide", "geschlossen"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[ServeProcess]:
    """A server, and a camera ``door`` that shows views of two photographs by turns."""
    folder = tmp_path / "views"
    folder.mkdir()
    both = zip(views(COFFEE, 8), views(CHELSEA, 8), strict=True)
    for number, image in enumerate(image for pair in both for image in pair):
        (folder / f"{number:02}.jpg").write_bytes(image)
    with ServeProcess(tmp_path) as server:
        token = server.new_token("camera", "door")
        arguments = ("--name", "door", "--source", str(folder))
        with CameraProcess(tmp_path / "door", server.url, token, *arguments) as camera:
            camera.ready()
            yield server


@pytest.fixture
def run(plant: ServeProcess) -> Run:
    """Runs a command with the admin's token."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "objectclassification", *arguments],
            capture_output=True,
            text=True,
            env=os.environ
            | {
                "OBJECTCLASSIFICATION_SERVER": plant.url,
                "OBJECTCLASSIFICATION_TOKEN": plant.token or "",
                "COLUMNS": "160",
            },
            timeout=WAIT_S,
        )

    return call


def snapped(run: Run, *arguments: str) -> Any:
    done = run("snap", "door", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["shots"][0]


def good(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_label_teach_activate_ask_and_roll_back(run: Run) -> None:
    refused = run("snap", "door", "--ask", "valve")
    assert refused.returncode == 1
    assert refused.stderr == "error: no head 'valve' is switched on; there is none\n"

    pictures = [snapped(run)["picture"]["id"] for _ in range(12)]
    for number, name in ((0, OPEN), (1, CLOSED)):
        said = good(run("label", *pictures[number::2], "--head", "valve", "--class", name))
        assert said.splitlines() == [f"{one}  valve: {name}" for one in pictures[number::2]]
    assert f"{CLOSED} 6, {OPEN} 6" in good(run("heads", "list"))

    evidence = good(run("teach", "valve", "--class", OPEN, "--class", CLOSED, "--camera", "door"))
    assert "valve, version 1, camera door" in evidence
    assert "12 pictures, each held out in turn: 100% right (95 % interval 76% to 100%)" in evidence
    assert "Of the newest 12 pictures it would call" in evidence
    assert "heads activate valve --version 1" in evidence
    assert good(run("heads", "activate", "valve")) == "valve: version 1 answers\n"

    table = good(run("snap", "door", "--ask", "valve"))
    assert f"valve: {OPEN} (margin " in table
    assert "espresso" not in table, "only the head's classes"
    (answer,) = snapped(run, "--ask", "valve")["answers"]
    assert (answer["class"], list(answer["scores"])) == (CLOSED, [CLOSED, OPEN])

    assert "! " not in good(run("heads", "show", "valve"))
    again = json.loads(good(run("teach", "valve", "--abstain", "1", "--activate", "--json")))
    assert (again["number"], again["active"], again["abstain"]) == (2, True, 1)
    assert "valve: unsure (margin " in good(run("snap", "door", "--ask", "valve"))
    assert good(run("heads", "rollback", "valve")) == "valve: version 1 answers\n"
    suggested = json.loads(good(run("heads", "suggest", "valve", "--limit", "1", "--json")))
    assert suggested[0]["picture"] not in pictures
    assert suggested[0]["picture"] in good(run("heads", "suggest", "valve"))
    good(run("label", pictures[0], "--head", "valve", "--remove"))
    assert f"{CLOSED} 6, {OPEN} 5" in good(run("heads", "list"))
    assert good(run("heads", "rollback", "valve")) == "valve: no version answers\n"


def test_what_cannot_be_is_said_in_one_line(run: Run) -> None:
    for arguments, code, said in (
        (("teach", "valve"), 1, "error: a head tells 2 to 32 classes apart"),
        (("teach", "a b"), 1, "error: 'a b' cannot be the name of a head"),
        (("teach", "valve", "--crop", "1,2"), 2, "--crop looks like 0.4,0.2,0.6,0.5"),
        (("label", "nowhere", "--class", "open"), 1, "error: no picture nowhere"),
        (("label", "nowhere"), 2, "give either --class TEXT or --remove"),
        (("heads", "show", "valve"), 1, "error: no head 'valve' was taught"),
        (("heads", "activate", "valve"), 1, "error: no head 'valve' was taught"),
        (("heads", "rollback", "valve"), 1, "error: no version of the head 'valve' is switched on"),
        (("snap", "door", "--ask", "v", "--until", "captured"), 2, "--ask needs the picture"),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert said in done.stderr
