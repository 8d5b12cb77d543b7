"""What pages say of browsers and of numbers, and what their templates keep to."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from objectclassification import web
from objectclassification.web.sessions import browser_of
from objectclassification.web.texts import fill

ROOM = Path(web.__file__).parent
PAGES = [file for file in (ROOM / "templates").glob("*.html") if file.name != "evaluation.html"]
TEXTS = tomllib.loads((ROOM / "texts.toml").read_text(encoding="utf-8"))
MODULES = list((ROOM / "static").glob("*.js"))


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
            "Edge, Windows",
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/140.0.0.0 Mobile Safari/537.36",
            "Chrome, Android",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
            "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
            "Safari, iPhone",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "Firefox, Linux",
        ),
        ("python-requests/2.32", "python-requests/2.32"),
        ("", ""),
    ],
)
def test_a_browser_has_a_short_name(agent: str, shown: str) -> None:
    assert browser_of(agent) == shown


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_a_template_has_nothing_inline(file: Path) -> None:
    """The policy would not let it work."""
    assert not re.findall(r"""<style|\sstyle=|\son\w+=|javascript:""", file.read_text())


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.name)
def test_a_module_makes_no_elements_out_of_text(file: Path) -> None:
    assert not re.findall(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", file.read_text()
    )


def test_bars_of_scores_have_one_look() -> None:
    """Browsers draw a ``meter`` in colours of their own."""
    assert [file.name for file in PAGES if "<meter" in file.read_text()] == []


def _texts(table: dict[str, Any]) -> Iterator[str]:
    for value in table.values():
        if isinstance(value, dict):
            yield from _texts(value)
        else:
            yield value


@pytest.mark.parametrize("page", [name for name in TEXTS if name != "shared"])
def test_what_pages_share_is_said_once(page: str) -> None:
    assert TEXTS["shared"].keys() & TEXTS[page].keys() == set()


def test_the_word_behind_a_number_goes_with_it() -> None:
    every = " ; ".join(_texts(TEXTS))
    many = set(re.findall(r"\{\w+\|\w+\|(\w+s)\}", every))
    assert {"cameras", "pictures", "days"} <= many
    assert many & set(re.findall(r"\{\w+\} (\w+)", every)) == set()


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 days"), (1, "1 day"), ("1", "1 day"), (1.5, "1.5 days"), (2, "2 days")],
)
def test_one_is_not_many(number: object, said: str) -> None:
    assert fill("{n} {n|day|days}", n=number) == said


def test_what_is_filled_in_is_filled_in_no_further() -> None:
    assert fill("{a} of {b}, {c}", a="{b}", b="{n|x|y}") == "{b} of {n|x|y}, {c}"
