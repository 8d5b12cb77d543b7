"""What a simulated fleet is like: how many, by which names, on which links."""

from __future__ import annotations

import random
import resource
from dataclasses import dataclass

from objectclassification.errors import ConfigurationError
from objectclassification.messages import is_name

MOST_CAMERAS = 60_000
"""Of one process; from one address to one port there are not even ports for as many."""
OTHER_FILES = 128
"""What is open beside the cameras' connections: those of the PUTs, pipes, libraries."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A fleet.

    Attributes:
        cameras: how many.
        prefix: of their names, ``sim-0001`` and so on.
        groups: dealt out in turn, so that each camera is in one of them.
        connect_rate: new connections a second at the start.
        latency_s: how long an answer, and a PUT, is on its way, give or take half.
        loss: which part of the shots, and of the PUTs, is lost for good, 0 to 1.
        churn: which part of the cameras loses its connection each minute, 0 to 1.
        slow_readers: how many read their connection only once in a while.
    """

    cameras: int
    prefix: str = "sim-"
    groups: tuple[str, ...] = ()
    connect_rate: float = 500.0
    latency_s: float = 0.0
    loss: float = 0.0
    churn: float = 0.0
    slow_readers: int = 0

    def check(self) -> None:
        """Raises ConfigurationError when the hub would not take a name, or numbers contradict."""
        if not is_name(self.name(self.cameras - 1)):
            raise ConfigurationError(
                f"{self.prefix!r} cannot begin a name: it has letters and digits, then also '.', "
                "'_' and '-', and 64 characters at most with the number"
            )
        for group in self.groups:
            if not is_name(group):
                raise ConfigurationError(f"{group!r} cannot be a group: @{group} finds no camera")
        if self.slow_readers > self.cameras:
            raise ConfigurationError(
                f"{self.slow_readers} slow readers of {self.cameras} cameras: ask for more cameras"
            )

    def name(self, number: int) -> str:
        """Returns a camera's name; numbers begin with 0, names with 1."""
        return f"{self.prefix}{number + 1:0{max(4, len(str(self.cameras)))}}"

    def group(self, number: int) -> tuple[str, ...]:
        """Returns the groups of a camera."""
        return (self.groups[number % len(self.groups)],) if self.groups else ()

    def delay_s(self) -> float:
        """Draws how long something is on its way."""
        return self.latency_s * random.uniform(0.5, 1.5)  # noqa: S311 - weather, no secret

    def loses(self) -> bool:
        """Draws whether something is lost."""
        return self.loss > 0 and random.random() < self.loss  # noqa: S311 - the same


def raise_file_limit(cameras: int) -> None:
    """Raises the soft limit on open files as far as a fleet needs it.

    Raises:
        ConfigurationError: the hard limit is too low; the text says what to do.
    """
    wanted = cameras + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise ConfigurationError(
            f"{cameras} cameras take {wanted} open files, and this account may have {hard}: "
            "ask for fewer, or raise its hard limit (`nofile` in /etc/security/limits.conf, then "
            f"log in again; `--ulimit nofile={wanted}` of a container)"
        )
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
