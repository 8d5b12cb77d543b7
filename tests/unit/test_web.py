"""What pages say of the browsers that are signed in, and what their templates keep to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from objectclassification import web
from objectclassification.web.sessions import browser_of

ROOM = Path(web.__file__).parent
PAGES = [file for file in (ROOM / "templates").glob("*.html") if file.name != "evaluation.html"]
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
