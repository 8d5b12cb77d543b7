"""Whom a snap is for: names, groups, everybody, and whom to leave out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.errors import BadMessage, NotFound
from objectclassification.hub.selectors import choose
from objectclassification.messages import SnapRequest, decode_client, encode

KNOWN = {"door": ("lab",), "yard": ("lab", "east"), "gate": ("east",), "roof": ()}
CONNECTED = {"door", "yard", "roof"}
"""The gate is away."""

parts = st.sampled_from(["*", "@lab", "@east", *KNOWN])
selectors = parts | parts.filter(lambda part: part != "*").map("!{}".format)


def chosen(*to: str, away_too: bool = False) -> tuple[str, ...]:
    return choose(to, known=KNOWN, connected=CONNECTED, away_too=away_too)


def test_what_each_selector_means() -> None:
    assert chosen("*") == ("door", "roof", "yard")
    assert chosen("@east") == ("yard",)
    assert chosen("gate") == ("gate",)  # a name means that camera, there or not
    assert chosen("roof", "@lab", "roof") == ("door", "roof", "yard")


def test_whom_to_leave_out_may_stand_anywhere() -> None:
    assert chosen("*", "!door") == chosen("!door", "*") == ("roof", "yard")
    assert chosen("@lab", "!@east") == ("door",)
    assert chosen("@lab", "door", "!door") == ("yard",)


def test_only_whom_to_leave_out_means_all_others() -> None:
    assert chosen("!door") == ("roof", "yard")
    assert chosen("!@lab", "!gate") == ("roof",)


def test_a_snap_that_waits_is_for_those_who_are_away_too() -> None:
    assert chosen("*", away_too=True) == ("door", "gate", "roof", "yard")
    assert chosen("@east", away_too=True) == ("gate", "yard")
    assert chosen("!@lab", away_too=True) == ("gate", "roof")


@pytest.mark.parametrize(
    ("to", "why"),
    [
        (("attic",), "no camera named 'attic': there is door, gate, roof, yard"),
        (("*", "!attic"), "no camera named 'attic'"),
        (("@west",), "no group '@west': there is @east, @lab"),
        (("*", "!@west"), "no group '@west'"),
        (("@east", "!yard"), "a snap to nobody: @east, !yard leaves out everybody"),
        (("door", "!door"), "leaves out everybody"),
    ],
)
def test_nobody_is_an_error_that_says_why(to: tuple[str, ...], why: str) -> None:
    with pytest.raises(NotFound, match=why):
        chosen(*to)


def test_nobody_connected_is_an_error() -> None:
    with pytest.raises(NotFound, match="means no camera that is connected"):
        choose(("@lab",), known=KNOWN, connected=())


@given(st.lists(selectors, min_size=1, max_size=5), st.booleans())
def test_sets_say_the_same(to: list[str], away_too: bool) -> None:
    everybody = set(KNOWN) if away_too else CONNECTED

    def meant(part: str) -> set[str]:
        if part == "*":
            return everybody
        if part.startswith("@"):
            return {name for name in everybody if part[1:] in KNOWN[name]}
        return {part}

    wanted = [meant(part) for part in to if not part.startswith("!")]
    union = set().union(*wanted) if wanted else everybody
    expected = union - set().union(*(meant(part[1:]) for part in to if part.startswith("!")))
    if expected:
        assert chosen(*to, away_too=away_too) == tuple(sorted(expected))
    else:
        with pytest.raises(NotFound, match="a snap to nobody"):
            chosen(*to, away_too=away_too)


@pytest.mark.parametrize("selector", ["!door", "!@lab"])
def test_whom_to_leave_out_is_read(selector: str) -> None:
    request = SnapRequest(to=("*", selector))
    assert decode_client(encode(request)) == request


@pytest.mark.parametrize("selector", ["!*", "!", "!!door", "@!lab", "@", "", "a b"])
def test_other_selectors_are_refused(selector: str) -> None:
    with pytest.raises(BadMessage):
        decode_client(encode(SnapRequest(to=(selector,))))
