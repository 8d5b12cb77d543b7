"""Power loss: what is answered is on the disk before, read off the system calls themselves.

A power cut keeps what was synced before it, and of the rest any part in any order. So it is enough
that each step is on the disk before the next one relies on it. ``strace`` says in which order the
real programs ask the kernel, whatever the libraries between them do.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from objectclassification.messages import ShotReport, decode_client
from tests.camera_process import CameraProcess
from tests.parts import require
from tests.photographs import ROCKET
from tests.serving import ServeProcess, photo

pytestmark = pytest.mark.debian

CALLS = (
    "openat,mkdir,write,pwrite64,fsync,fdatasync,rename,renameat2,unlink,sendto,sendmsg,writev,"
    "recvfrom"
)
STRACE = ("strace", "-f", "-y", "-xx", "-s", "8192", "-e", f"trace={CALLS}")
"""Threads too, descriptors with their files; strings in hexadecimal, two database pages long."""
_HEX = re.compile(r"(?:\\x[0-9a-f]{2})+")
_LINE = re.compile(
    r"(?P<thread>\d+) +(?:<\.\.\. \w+ resumed>(?P<rest>.*)|(?P<name>\w+)\((?P<text>.*))",
    re.DOTALL,
)
_UNFINISHED = " <unfinished ...>"


@dataclass(slots=True)
class Call:
    """A system call: its name, its arguments with its result, and when it began and ended."""

    name: str
    text: str
    began: int
    ended: int


class Trace:
    """The system calls of a program and of all its threads, in the order they happened.

    Times are line numbers: a call that others interrupted has one where it began and one where it
    came back.
    """

    def __init__(self, log: str) -> None:
        self.calls: list[Call] = []
        open_calls: dict[str, Call] = {}
        for number, raw in enumerate(log.splitlines()):
            match = _LINE.match(raw)
            if match is None:
                continue  # a signal, a thread's end
            thread, rest = match["thread"], match["rest"]
            if rest is not None:
                if (call := open_calls.pop(thread, None)) is not None:
                    call.text += _plain(rest)
                    call.ended = number
                continue
            call = Call(match["name"], _plain(match["text"]), number, number)
            if raw.endswith(_UNFINISHED):
                open_calls[thread] = call
            self.calls.append(call)

    def all(self, name: str, pattern: str) -> list[Call]:
        """Every call of that name whose arguments hold the pattern."""
        return [
            call
            for call in self.calls
            if re.fullmatch(name, call.name) and re.search(pattern, call.text, re.DOTALL)
        ]

    def only(self, name: str, pattern: str) -> Call:
        """The one call of that name whose arguments hold the pattern."""
        found = self.all(name, pattern)
        assert len(found) == 1, (name, pattern, found)
        return found[0]

    def next(self, after: Call, name: str, pattern: str) -> Call:
        """The first such call that began when another had ended."""
        found = [call for call in self.all(name, pattern) if call.began > after.ended]
        assert found, f"no {name} of {pattern} after {after}"
        return found[0]


def _plain(text: str) -> str:
    """Undoes the hexadecimal that keeps each call on a line."""
    return _HEX.sub(lambda m: bytes.fromhex(m[0].replace("\\x", "")).decode("latin-1"), text)


@contextmanager
def traced(process: int, log: Path) -> Iterator[None]:
    """Writes down every call of a running program, its threads included."""
    tracer = subprocess.Popen(
        [*STRACE, "-o", str(log), "-p", str(process)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracer.stderr
    try:
        said = tracer.stderr.readline()
        assert "attached" in said, said
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()


def ordered(*calls: Call) -> None:
    """Each ended before the next began."""
    for earlier, later in pairwise(calls):
        assert earlier.ended < later.began, f"{later} did not wait for {earlier}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    require("strace")
    return tmp_path


def test_a_201_is_sent_after_blob_name_and_row_are_on_the_disk(home: Path) -> None:
    log = home / "server.strace"
    with ServeProcess(home) as server:
        with traced(server.process.pid, log):
            made = server.call("PUT", "/snippets/1/", data=photo("power"))
            assert made.status_code == 201
    trace = Trace(log.read_text())
    answer = trace.only("sendto|sendmsg|write|writev", r'"HTTP/1\.1 201 ')
    # Its own blob: a thumbnail's is renamed, too, but after the answer.
    rename = trace.all("rename", "/blobs/incoming/")[0]
    named = re.match(r'"(.*/incoming/([^"/]+))", "(.*/blobs/(..)/\2)"\) = 0', rename.text)
    assert named, rename
    incoming, key, _, part = named.groups()

    writes = trace.all("write", rf"<{re.escape(incoming)}>")
    assert writes
    blob_sync = trace.only("fsync", rf"<{re.escape(incoming)}>\) = 0")
    for write in writes:
        ordered(write, blob_sync)
    folder_sync = trace.next(rename, "fsync", rf"/blobs/{part}>\) = 0")
    row = trace.all("pwrite64|write", rf"database\.sqlite3-wal>.*{key}")[0]
    row_sync = trace.next(row, "fdatasync|fsync", r"database\.sqlite3-wal>\) = 0")
    ordered(blob_sync, rename, folder_sync, row, row_sync, answer)
    made_folder = trace.only("mkdir", rf'/blobs/{part}", 0777\) = 0')
    ordered(made_folder, trace.next(made_folder, "fsync", r"/blobs>\) = 0"), rename)


def test_captured_is_said_after_picture_and_note_are_on_the_disk(home: Path) -> None:
    log = home / "camera.strace"
    (home / "server").mkdir()
    with ServeProcess(home / "server") as server:
        arguments = ("--name", "door", "--source", str(ROCKET))
        with CameraProcess(home / "camera", server.url, server.token, *arguments) as camera:
            camera.ready()
            with traced(camera.process.pid, log):
                asked = {"to": ["door"], "deadline_s": 60}
                receipt = server.call("POST", "/api/snaps?wait=1", json=asked).json()
                assert receipt["answered"] == 1
                camera.line("uploaded after")
    trace = Trace(log.read_text())
    captured = [
        call
        for call in trace.all("sendto|sendmsg|write", "socket:|TCP:")
        for report in reports(call)
        if report.state == "captured"
    ]
    assert len(captured) == 1
    steps = []
    for suffix in ("jpg", "json"):
        (write, *more) = trace.all("write", rf"/spool/\d+\.{suffix}\.tmp>")
        sync = trace.only("fsync", rf"/spool/\d+\.{suffix}\.tmp>\) = 0")
        for call in more:
            ordered(call, sync)
        rename = trace.only("rename", rf'/spool/\d+\.{suffix}\.tmp", .*\) = 0')
        steps += [write, sync, rename, trace.next(rename, "fsync", r"/spool>\) = 0")]
    ordered(*steps, captured[0])

    # And it is let go of once the API has it, the note first.
    answer = trace.only("recvfrom", r'"HTTP/1\.1 201 ')
    note = trace.only("unlink", r'/spool/\d+\.json"\) = 0')
    ordered(steps[-1], answer, note, trace.only("unlink", r'/spool/\d+\.jpg"\) = 0'))


def reports(call: Call) -> Iterator[ShotReport]:
    """The shot reports that a call sent, out of their masked WebSocket frames (RFC 6455, 5.2)."""
    sent = re.search(r'>, "(.*)", \d+', call.text, re.DOTALL)
    if sent is None or not sent[1].startswith("\x81"):
        return
    data = sent[1].encode("latin-1")
    while data[:1] == b"\x81":
        length, at = data[1] & 0x7F, 2
        if length == 126:
            length, at = int.from_bytes(data[2:4], "big"), 4
        mask, body = data[at : at + 4], data[at + 4 : at + 4 + length]
        message = decode_client(bytes(b ^ mask[i % 4] for i, b in enumerate(body)))
        if isinstance(message, ShotReport):
            yield message
        data = data[at + 4 + length :]
