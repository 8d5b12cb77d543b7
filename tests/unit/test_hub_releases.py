"""Which releases of a client's program the hub takes: the message ``version`` decides."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from objectclassification import __version__
from objectclassification.errors import BadMessage
from objectclassification.hub.releases import RELEASES, TooNew, TooOld, check
from objectclassification.messages import CameraOffer, Hello, Problem, Welcome
from tests.hubs import Bench

SEVEN = ("0.1", "0.2", "0.9", "0.10", "1.0", "1.1", "2.0")


@pytest.mark.parametrize("version", ["", "2.0.0", "2.0", "2.0.17", "1.1.3", "1.0.0", "1.0.0rc1"])
def test_its_own_and_the_two_before_are_taken(version: str) -> None:
    check(version, SEVEN)


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.10.4", "0.99"])
def test_older_ones_are_told_to_update(version: str) -> None:
    with pytest.raises(TooOld, match=rf"{version} and the hub takes 1\.0 to 2\.0: update it here"):
        check(version, SEVEN)


@pytest.mark.parametrize("version", ["2.1.0", "2.10.0", "3.0.0.dev1"])
def test_newer_ones_are_told_to_update_the_server(version: str) -> None:
    with pytest.raises(TooNew, match=rf"{version} and the hub of 2\.0: update the server"):
        check(version, SEVEN)


@pytest.mark.parametrize(
    "version",
    ["banana", "2", "v2.0", "2.0 ", " 2.0", "-1.0", "2..0", "9" * 200, "2.0\n", "٢.0", "2.0/"],
)
def test_nonsense_is_a_bad_message(version: str) -> None:
    with pytest.raises(BadMessage, match="no release of objectclassification: give one like"):
        check(version, SEVEN)


def test_one_and_two_releases_are_enough_to_count() -> None:
    check("0.1.0", ("0.1",))
    check("0.1.0", ("0.1", "0.2"))
    check("0.1.0", ("0.1", "0.2", "0.3"))
    with pytest.raises(TooOld):
        check("0.1.0", ("0.1", "0.2", "0.3", "0.4"))


def test_the_list_of_releases_ends_with_this_one() -> None:
    assert __version__.startswith(f"{RELEASES[-1]}.")
    numbers = [tuple(map(int, release.split("."))) for release in RELEASES]
    assert numbers == sorted(set(numbers))


def test_every_tag_is_in_the_list_of_releases() -> None:
    listed = subprocess.run(
        ["git", "tag", "--list", "v*"], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    tags = {".".join(tag[1:].split(".")[:2]) for tag in listed.stdout.split()}
    assert tags <= set(RELEASES)


@pytest.mark.parametrize(
    ("version", "code"), [("0.0.9", "too_old"), ("99.0.0", "too_new"), ("banana", "bad_message")]
)
def test_who_was_refused_may_say_hello_again(version: str, code: str) -> None:
    bench = Bench()
    session = bench.connect()
    cameras = (CameraOffer("door"),)
    bench.say(session, Hello(role="camera", instance="i", version=version, cameras=cameras))
    (problem,) = bench.heard(session)
    assert isinstance(problem, Problem)
    assert problem.code == code
    assert bench.hub.cameras() == {}
    bench.say(session, Hello(role="camera", instance="i", version=__version__, cameras=cameras))
    (welcome,) = bench.heard(session)
    assert isinstance(welcome, Welcome)
