"""What the clocks of cameras say beside the hub's own.

A camera is asked a few times in a row over its own connection, and the exchange with the least
delay counts: its offset is the surest, as in NTP's clock filter (RFC 5905, section 10). Both sides
use clocks that nobody sets, so that a jump of the time of day moves nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

from objectclassification.hub.outbox import Outbox
from objectclassification.hub.sessions import Session, Sessions
from objectclassification.messages import CLOCK, Clock, Clocked

EXCHANGES = 5
"""With each camera, one after the other."""
AT_ONCE = 64
"""Cameras that are asked at the same time: an answer must not wait behind those of a fleet."""
PATIENCE_S = 1.0
"""For one answer. What takes longer could not tell a frame from the next anyway."""
FRESH_S = 30.0
"""An older measurement is made anew before it is used."""
DRIFT = 1e-4
"""How far two clocks may part in a second: quartz is within 50 ppm a side, warm or cold."""


class Sample(NamedTuple):
    """The best exchange with a camera.

    Attributes:
        offset_s: its clock less the hub's.
        delay_s: there and back, without the time that the camera took.
        at: by the hub's clock.
    """

    offset_s: float
    delay_s: float
    at: float

    def uncertainty_s(self, now: float) -> float:
        """Plus or minus: the delay may all have been on one way, and clocks part with time."""
        return self.delay_s / 2 + DRIFT * (now - self.at)


class _Asking:
    __slots__ = ("best", "id", "left", "sent")

    def __init__(self) -> None:
        self.left = EXCHANGES
        self.best: Sample | None = None
        self.id = ""
        self.sent = 0.0


class Clocks:
    """Measures the clocks of cameras when somebody wants to know, a bounded number at a time.

    Args:
        sessions: who is connected.
        out: where messages go.
        clock: the hub's: seconds that only ever grow.
        measured: is told of each session that is done, whether or not it answered.

    Attributes:
        due_at: when :meth:`tick` has something to do; infinite if nobody is asked.
    """

    def __init__(
        self,
        sessions: Sessions,
        out: Outbox,
        clock: Callable[[], float],
        measured: Callable[[Session], None],
    ) -> None:
        self._sessions = sessions
        self._out = out
        self._clock = clock
        self._tell = measured
        self._samples: dict[int, Sample] = {}
        self._queue: dict[int, None] = {}
        self._asking: dict[int, _Asking] = {}  # the longest asked first
        self._numbers = itertools.count(1)
        self.due_at = math.inf

    def of(self, session: int) -> Sample | None:
        """Returns the newest measurement of a session, if there is one."""
        return self._samples.get(session)

    def is_fresh(self, session: Session) -> bool:
        """Whether its clock was measured just now."""
        sample = self._samples.get(session.id)
        return sample is not None and self._clock() - sample.at < FRESH_S

    def measure(self, session: Session) -> None:
        """Measures a clock anew; nothing happens if the camera's program cannot say."""
        if CLOCK in session.knows and session.id not in self._asking:
            self._queue[session.id] = None
            self._go_on()

    def answered(self, session: Session, answer: Clocked) -> None:
        """Takes an answer; one that was not asked for, or came too late, counts for nothing."""
        asking = self._asking.get(session.id)
        if asking is None or asking.id != answer.id:
            return
        now = self._clock()
        # RFC 5905, section 8. A camera that says nonsense only spoils its own time.
        delay_s = max(0.0, (now - asking.sent) - max(0.0, answer.sent_at - answer.received_at))
        offset_s = ((answer.received_at - asking.sent) + (answer.sent_at - now)) / 2
        if asking.best is None or delay_s < asking.best.delay_s:
            asking.best = Sample(offset_s, delay_s, now)
        asking.left -= 1
        if asking.left:
            self._ask(session.id, self._asking.pop(session.id))
        else:
            self._end(session.id)

    def left(self, session: int) -> None:
        """A connection is gone, and what was known of its clock."""
        self._samples.pop(session, None)
        self._queue.pop(session, None)
        if self._asking.pop(session, None) is not None:
            self._go_on()

    def tick(self) -> None:
        """Gives up whoever does not answer; what was measured before that counts."""
        now = self._clock()
        if now < self.due_at:
            return
        for id_ in [i for i, asking in self._asking.items() if asking.sent + PATIENCE_S <= now]:
            self._end(id_)
        self._set_due()

    def _go_on(self) -> None:
        while self._queue and len(self._asking) < AT_ONCE:
            session = next(iter(self._queue))
            del self._queue[session]
            self._ask(session, _Asking())
        self._set_due()

    def _ask(self, session: int, asking: _Asking) -> None:
        asking.id = str(next(self._numbers))
        asking.sent = self._clock()
        self._asking[session] = asking
        self._out.send([session], Clock(asking.id))

    def _end(self, id_: int) -> None:
        best = self._asking.pop(id_).best
        if best is not None:
            self._samples[id_] = best
        session = self._sessions.get(id_)
        if session is not None:
            self._tell(session)
        self._go_on()

    def _set_due(self) -> None:
        first = next(iter(self._asking.values()), None)
        self.due_at = math.inf if first is None else first.sent + PATIENCE_S
