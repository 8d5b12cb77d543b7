"""Pictures that are made to hurt, sent to a real server: its answers, and what they cost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from objectclassification.classification.child import MEMORY_BYTES
from tests import bombs
from tests.bombs import MIB
from tests.photographs import ROCKET
from tests.serving import ServeProcess, photo, until

SIDE = 7000
"""49 megapixels: what is still taken."""

REFUSED: dict[str, tuple[Callable[[], bytes], int]] = {
    "PNG of 60,000 squared": (lambda: bombs.png(60_000, 60_000, bombs.zeros(MIB)), 413),
    "JPEG of 65,500 squared": (lambda: bombs.jpeg_of(65_500, 65_500), 413),
    "WebP of 16,383 squared": (lambda: bombs.webp_of(16_383, 16_383), 413),
    "JPEG of 5,000 scans": (lambda: bombs.jpeg_scans(SIDE, 5000), 422),
    "JPEG of a million segments": (lambda: bombs.jpeg_segments(MIB), 422),
}
FAILING: dict[str, Callable[[], bytes]] = {
    "PNG with a profile of 512 MiB": lambda: bombs.png_notes(b"iCCP", 1, 512 * MIB),
    "PNG with a thousand notes of 1 MiB": lambda: bombs.png_notes(b"zTXt", 1000, MIB),
    "PNG with notes of 8 MiB": lambda: bombs.png_notes(b"iTXt", 100, 8 * MIB),
    "JPEG with a second, huge header": lambda: bombs.jpeg_of(8, 8, then=(65_500, 65_500)),
    "WebP of a canvas without a picture": lambda: bombs.webp_of(SIDE, SIDE),
}
TAKEN: dict[str, Callable[[], bytes]] = {
    "PNG of 49 MP": lambda: bombs.png(SIDE, SIDE, bombs.zeros(141 * MIB)),
    "PNG of 49 MP, 16 bits, transparent": lambda: bombs.png(
        SIDE, SIDE, bombs.zeros(375 * MIB), depth=16, colour=6
    ),
    "PNG of 64 squared with 512 MiB of data": lambda: bombs.png(64, 64, bombs.zeros(512 * MIB)),
    "JPEG of 49 MP": lambda: bombs.jpeg_of(SIDE, SIDE),
    "animated WebP": lambda: bombs.webp_frames(100, 300),
}
DECODERS = ("PIL/", "onnxruntime", "cv2")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    with ServeProcess(tmp_path_factory.mktemp("bombs")) as serve:
        yield serve


def ended(server: ServeProcess, picture: str) -> str:
    """The state that a picture came to."""
    state = ""

    def over() -> bool:
        nonlocal state
        state = str(server.call("GET", f"/api/pictures/{picture}").json()["state"])
        return state in ("classified", "failed")

    until(over)
    return state


class Watch:
    """Asks a server how it is, all the time, and looks at its memory."""

    def __init__(self, server: ServeProcess) -> None:
        self._server = server
        self._process = psutil.Process(server.process.pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.took_s: list[float] = []
        self.before_bytes = self.peak_bytes = self._process.memory_info().rss

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.02):
            began = time.monotonic()
            assert self._server.call("GET", "/readyz").status_code == 200
            self.took_s.append(time.monotonic() - began)
            self.peak_bytes = max(self.peak_bytes, self._process.memory_info().rss)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_says_that_it_is_too_much_is_refused(server: ServeProcess, kind: str) -> None:
    make, status = REFUSED[kind]
    assert server.call("PUT", "/snippets/1/", data=make()).status_code == status


@pytest.mark.parametrize("kind", FAILING)
def test_what_lies_fails_in_the_child(server: ServeProcess, kind: str) -> None:
    made = server.call("PUT", "/snippets/1/", data=FAILING[kind]())
    assert made.status_code == 201, made.text
    assert ended(server, made.json()["id"]) == "failed"


def test_the_child_keeps_its_limit_and_the_server_stays_quick(server: ServeProcess) -> None:
    """The largest pictures that are taken, all of them at the same moment."""
    bodies = [make() for make in TAKEN.values()]
    with Watch(server) as watch:
        made = [server.call("PUT", "/snippets/1/", data=body) for body in bodies]
        honest = server.call("PUT", "/snippets/1/", data=photo("behind them"))
        assert [ended(server, one.json()["id"]) for one in made] == ["classified"] * len(made)
        assert ended(server, honest.json()["id"]) == "classified"
    # Nothing of a picture but its bytes comes into the server.
    assert watch.peak_bytes - watch.before_bytes < 30 * MIB
    assert sorted(watch.took_s)[len(watch.took_s) * 9 // 10] < 0.5


def test_a_child_may_not_take_more_than_its_limit(server: ServeProcess) -> None:
    for child in psutil.Process(server.process.pid).children():
        assert child.rlimit(psutil.RLIMIT_DATA) == (MEMORY_BYTES, MEMORY_BYTES)
        assert child.memory_info().rss < MEMORY_BYTES


def test_the_server_itself_has_no_decoder(server: ServeProcess) -> None:
    """What has classified pictures has no library loaded that could decode one."""
    made = server.call("PUT", "/snippets/1/", data=ROCKET.read_bytes())
    assert ended(server, made.json()["id"]) == "classified"
    child = psutil.Process(server.process.pid).children()[0]
    assert loaded(child.pid) >= {"PIL/", "onnxruntime"}
    assert loaded(server.process.pid) == set()


def loaded(pid: int) -> set[str]:
    """Which decoders a process has in its memory."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return {name for name in DECODERS if f"/{name}" in maps}
