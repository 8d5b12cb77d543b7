"""Machines of a test's own, as network namespaces of this one, with a router between them.

    hub 10.77.1.2 ── 10.77.1.1 router 10.77.2.1 ── 10.77.2.2 cameras

The router can lose what it is given without a word: neither end's link goes down, nobody hears of
a reset, and connections are half-open, as in the field behind a switch or a modem that hangs.
Needs root; the kernel's ``netem`` is not asked for, as few kernels of virtual machines have it.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal

Side = Literal["hub", "cameras"]

_ROUTER = "router"
_NETS: dict[Side, str] = {"hub": "10.77.1", "cameras": "10.77.2"}
_CLONE_NEWNET = 0x40000000  # sched.h
_NAMESPACES = Path("/run/netns")  # where ip-netns(8) keeps them


class Network:
    """Two machines and the router between them; they are gone after the block.

    Programs of the block must have ended by then.
    """

    def __init__(self) -> None:
        self._prefix = f"objectclassification-{os.getpid()}-"

    def __enter__(self) -> Network:
        try:
            for name in (*_NETS, _ROUTER):
                _ip("netns", "add", self._prefix + name)
                self._ip_at(name, "link", "set", "lo", "up")
            for side, net in _NETS.items():
                self._plug_in(side, net)
            with self._inside(_ROUTER):
                Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        for name in (*_NETS, _ROUTER):
            if (_NAMESPACES / (self._prefix + name)).exists():
                _ip("netns", "delete", self._prefix + name)

    def address(self, side: Side) -> str:
        """Where the other machine finds this one."""
        return f"{_NETS[side]}.2"

    @contextmanager
    def on(self, side: Side) -> Iterator[None]:
        """Sockets, programs and threads that this thread makes in the block are that machine's."""
        with self._inside(side):
            yield

    def part(self) -> None:
        """From now on the router loses all that it is given."""
        for side in _NETS:
            self._ip_at(_ROUTER, "route", "add", "blackhole", f"{self.address(side)}/32")

    def heal(self) -> None:
        """The router works again."""
        for side in _NETS:
            self._ip_at(_ROUTER, "route", "delete", "blackhole", f"{self.address(side)}/32")

    def _plug_in(self, side: Side, net: str) -> None:
        router = self._prefix + _ROUTER
        peer = ("peer", "name", side, "netns", router)
        self._ip_at(side, "link", "add", "eth0", "type", "veth", *peer)
        for name, device, address in ((side, "eth0", f"{net}.2"), (_ROUTER, side, f"{net}.1")):
            self._ip_at(name, "address", "add", f"{address}/24", "dev", device)
            self._ip_at(name, "link", "set", device, "up")
        self._ip_at(side, "route", "add", "default", "via", f"{net}.1")

    def _ip_at(self, name: str, *words: str) -> None:
        _ip("-netns", self._prefix + name, *words)

    @contextmanager
    def _inside(self, name: str) -> Iterator[None]:
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _enter(_NAMESPACES / (self._prefix + name))
            try:
                yield
            finally:
                _set_namespace(here)
        finally:
            os.close(here)


def may_network() -> bool:
    """Whether this account and this kernel can have such a network: tries it."""
    if os.geteuid() != 0:
        return False
    with suppress(OSError, subprocess.CalledProcessError), Network() as network:
        network.part()
        return True
    return False


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _enter(namespace: Path) -> None:
    there = os.open(namespace, os.O_RDONLY)
    try:
        _set_namespace(there)
    finally:
        os.close(there)


def _set_namespace(descriptor: int) -> None:
    """``os.setns`` is of Python 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
