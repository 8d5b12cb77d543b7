"""Keeps one source: a thread owns it, takes its frames off as they come, and answers snaps.

The thread opens the source when a frame is asked for, throws frames away while it warms up, and
then holds only the newest one, not decoded. It closes the source when nobody has asked for
``keep_warm_s``. A source that fails is opened again: at once for a snap that waits, with back-off
while nobody does. A thread that is stuck inside a driver is given up, and another one takes over.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from objectclassification.capture.controls import Adjustment
from objectclassification.capture.run import Asked, Run
from objectclassification.capture.source import Adjustable, Frame, Source, Stamp
from objectclassification.capture.warmup import Warmup, warm_up
from objectclassification.condition import SourceState
from objectclassification.errors import CaptureError, SourceStalled, StaleFrame

BACKOFF_FIRST_S = 0.25
BACKOFF_MOST_S = 30.0
LASTED_S = 10.0
"""A source that was open this long starts the back-off from the beginning."""
TRIES = 2
"""A snap that waits fails with the second failure of a source that did give frames."""
STUCK_THREADS = 3
"""After this many threads that never came back from a driver, another one would not help."""
JOIN_S = 3.0
SETTLING_S = 0.3
"""A device shows what it was told after up to four frames, which are in its buffers until then."""

_log = structlog.get_logger(__name__)


class Keeper:
    """Answers with fresh frames of one source. Every method may be called by any thread.

    Args:
        make: makes the source; called again only after a thread was given up.
        shown: the source's address without its secrets.
        warmup: seconds, ``"auto"``, or None for the source's own default.
        keep_warm_s: the source stays open this long after it was last asked.
        open_s: a thread that has been opening for this long is stuck.
        stall_s: the same for one that waits for a frame.
    """

    def __init__(
        self,
        make: Callable[[], Source],
        shown: str,
        *,
        warmup: Warmup | None,
        keep_warm_s: float,
        open_s: float,
        stall_s: float,
    ) -> None:
        self._make = make
        self._source = make()
        self._shown = shown
        self._warmup = warmup
        self._keep_warm_s = keep_warm_s
        self._limit_s = {"open": open_s, "grab": stall_s, "rest": math.inf}
        self._changed = threading.Condition()
        self._asked: list[Asked] = []
        self._run: Run | None = None
        self._stuck = 0
        self._warm_until = -math.inf
        self._closed = False
        self._trouble: tuple[str, float] | None = None
        self._wanted_adjustment: Adjustment | None = None
        self._refused: tuple[str, ...] = ()
        self._held = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What the source has to say about itself."""
        return self._source.notes

    @property
    def live(self) -> bool:
        """Whether frames come by themselves."""
        return self._source.live

    @property
    def state(self) -> SourceState:
        """What the source does now."""
        with self._changed:
            if self._stuck >= STUCK_THREADS:
                return "stuck"
            return "closed" if self._run is None else self._run.state

    @property
    def trouble(self) -> tuple[str, float] | None:
        """How the source failed last, and when in ``time.monotonic()`` seconds."""
        return self._trouble

    @property
    def adjustable(self) -> Adjustable | None:
        """The source, if it is one that takes settings for one snap."""
        source = self._source
        return source if isinstance(source, Adjustable) else None

    @property
    def refused(self) -> tuple[str, ...]:
        """What the source did not do of the adjustment that its last frames were taken with."""
        return self._refused

    def adjust(self, wanted: Adjustment | None) -> None:
        """Has frames taken in another way from now on; None: as ever. One caller at a time.

        Whoever asks for a frame after this gets one that was exposed after it had settled.
        """
        with self._changed:
            self._wanted_adjustment = wanted
            self._changed.notify_all()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps the source open between the frames of one shot, also one that is to stay cold."""
        with self._changed:
            self._held += 1
        try:
            yield
        finally:
            with self._changed:
                self._held -= 1
                self._changed.notify_all()

    def restart(self) -> None:
        """Closes the source, and opens and warms it up again for the next frame."""
        with self._changed:
            if self._run is not None:
                self._run.again = True
                self._changed.notify_all()

    def open(self) -> None:
        """Starts the source ahead of the first frame; returns at once."""
        with self._changed:
            self._stay_warm()
            self._ensure_run()

    def frame(self, after: float, timeout_s: float) -> tuple[Frame, dict[str, float]]:
        """Waits for a frame exposed later than ``after``; tells what was done for it, in ms.

        Raises:
            SourceStalled: nothing came in time.
            StaleFrame: only frames from before came in time.
            CaptureError: as the source failed.
        """
        asked = Asked(after)
        with self._changed:
            if self._closed:
                raise CaptureError(f"{self._shown} is closed", source=self._shown)
            if self._stuck >= STUCK_THREADS:
                raise self._hangs()
            self._asked.append(asked)
            self._ensure_run()
            self._changed.notify_all()
        try:
            return self._wait(asked, timeout_s), asked.ms
        finally:
            with self._changed:
                if asked in self._asked:
                    self._asked.remove(asked)
                self._stay_warm()
                self._changed.notify_all()

    def close(self) -> None:
        """Lets go of the source, and fails whoever still waits."""
        with self._changed:
            self._closed = True
            run, self._run = self._run, None
            self._fail_all(CaptureError(f"{self._shown} was closed", source=self._shown))
            self._changed.notify_all()
        if run is not None and run.thread is not None:
            run.thread.join(JOIN_S)

    # What follows up to _start runs in the thread of whoever asks.

    def _wait(self, asked: Asked, timeout_s: float) -> Frame:
        until = time.monotonic() + timeout_s
        while (now := time.monotonic()) < until:
            with self._changed:
                run = self._run
                stuck_at = run.progress_at + self._limit_s[run.doing] if run else math.inf
                if run is not None and now >= stuck_at:
                    self._give_up(run)
            try:
                return asked.frame.result(max(0.0, min(until - now, stuck_at - now, 1.0)))
            except TimeoutError:
                continue
        raise self._too_late(asked, timeout_s)

    def _too_late(self, asked: Asked, timeout_s: float) -> CaptureError:
        if asked.stale:
            return StaleFrame(
                f"{self._shown} gave only frames from before the snap in {timeout_s:.3g} s",
                source=self._shown,
            )
        run = self._run
        opening = run is None or run.doing == "open"
        what = "did not open" if opening else "gave no frame"
        return SourceStalled(f"{self._shown} {what} in {timeout_s:.3g} s", source=self._shown)

    def _hangs(self) -> SourceStalled:
        return SourceStalled(f"{self._shown} hangs in its driver", source=self._shown)

    def _give_up(self, run: Run) -> None:
        """Leaves a stuck thread to itself; it lets go of its source if it ever comes back."""
        self._stuck += 1
        self._trouble = f"{self._shown} hangs in its driver", time.monotonic()
        self._run = None
        _log.warning("source_stuck", source=self._shown, doing=run.doing, threads=self._stuck)
        if self._stuck >= STUCK_THREADS:
            self._fail_all(self._hangs())
            return
        self._source = self._make()
        self._ensure_run()

    def _ensure_run(self) -> None:
        if self._run is not None or self._closed or self._stuck >= STUCK_THREADS:
            return
        run = self._run = Run(self._source)
        run.thread = threading.Thread(
            target=self._main, args=(run,), name=f"source {self._shown}", daemon=True
        )
        run.thread.start()

    def _stay_warm(self) -> None:
        self._warm_until = time.monotonic() + self._keep_warm_s

    def _fail_all(self, error: CaptureError) -> None:
        for asked in self._asked:
            asked.frame.set_exception(error)
        self._asked.clear()

    # What follows runs in the thread that owns the source.

    def _main(self, run: Run) -> None:
        failed = 0
        while self._wanted(run):
            run.frames, run.again, started = 0, False, time.monotonic()
            try:
                self._open(run)
                self._serve(run)
                failed = 0
            except CaptureError as exc:
                self._failed(run, exc)
                failed = 1 if time.monotonic() - started > LASTED_S else failed + 1
            except Exception as exc:  # noqa: BLE001 - cv2.error and bugs must reach whoever waits
                _log.exception("source_failed", source=self._shown)
                detail = f"{self._shown} failed: {type(exc).__name__}"
                self._failed(run, CaptureError(detail, source=self._shown))
                failed += 1
            was_live, run.warm = run.source.live, False
            run.source.close()
            if failed and not self._back_off(run, failed, was_live):
                break
        with self._changed:
            if self._run is run:
                self._run = None
                if self._asked:  # someone came while we were closing
                    self._ensure_run()
            elif not self._closed:
                self._stuck -= 1

    def _wanted(self, run: Run) -> bool:
        with self._changed:
            is_due = self._asked or self._held or time.monotonic() < self._warm_until
            return self._run is run and bool(is_due)

    def _open(self, run: Run) -> None:
        run.now_does("open")
        started = time.monotonic()
        run.source.open()
        opened = time.monotonic()
        run.adjusted, wanted = None, self._wanted_adjustment
        if wanted is None:
            self._warm_up(run, self._warmup)
        else:
            self._adjust(run, wanted)
            self._warm_up(run, self._warmup if wanted.warmup is None else wanted.warmup)
            if wanted.warmup is None:
                self._warm_up(run, max(0.0, SETTLING_S - (time.monotonic() - run.adjusted_at)))
        run.warm, warm = True, time.monotonic()
        with self._changed:
            for asked in self._asked:
                asked.ms["open"] = (opened - started) * 1000
                asked.ms["warmup"] = (warm - opened) * 1000

    def _warm_up(self, run: Run, how: Warmup | None) -> None:
        warm_up(run.source, self._shown, how, lambda: run.now_does("grab"))

    def _adjust(self, run: Run, wanted: Adjustment | None) -> None:
        if isinstance(run.source, Adjustable):
            self._refused = run.source.adjust(wanted)
        run.adjusted, run.adjusted_at = wanted, time.monotonic()

    def _readjust(self, run: Run, wanted: Adjustment | None) -> None:
        """Adjusts a source that is warm, and waits until its frames show it."""
        run.now_does("grab")
        began = time.monotonic()
        self._adjust(run, wanted)
        own = None if wanted is None else wanted.warmup
        self._warm_up(run, SETTLING_S if own is None else own)
        run.adjusted_at = time.monotonic()
        with self._changed:
            for asked in self._asked:
                asked.ms["warmup"] = (run.adjusted_at - began) * 1000

    def _serve(self, run: Run) -> None:
        while self._wanted(run) and not run.again:
            if (wanted := self._wanted_adjustment) is not run.adjusted:
                self._readjust(run, wanted)
            if not run.source.live and not self._is_due(run):
                continue
            run.now_does("grab")
            stamp = run.source.grab()
            if stamp is not None:
                run.frames += 1
                self._answer(run, stamp)

    def _is_due(self, run: Run) -> bool:
        """Waits until a picture may be made for someone; False: something has changed."""
        with self._changed:
            run.now_does("rest")
            now = time.monotonic()
            wake_at = math.inf if self._held else self._warm_until
            if self._asked:
                wake_at = min(a.after for a in self._asked) + run.source.latency_s
                if wake_at <= now:
                    return True
            self._changed.wait(min(wake_at - now, threading.TIMEOUT_MAX))
            return False

    def _answer(self, run: Run, stamp: Stamp) -> None:
        with self._changed:
            if self._run is not run or run.adjusted is not self._wanted_adjustment:
                return
            fresh = [
                a
                for a in self._asked
                if stamp.taken_at > max(a.after, run.adjusted_at) or stamp.freshness == "replay"
            ]
            for asked in self._asked:
                asked.stale = asked not in fresh
        if not run.source.live:
            fresh = fresh[:1]  # the next picture is for the next snap
        if not fresh:
            return
        frame = run.source.retrieve()
        with self._changed:
            for asked in fresh:
                if asked in self._asked:
                    self._asked.remove(asked)
                    asked.frame.set_result(frame)
            self._stay_warm()

    def _failed(self, run: Run, error: CaptureError) -> None:
        with self._changed:
            if self._run is not run:
                return
            self._trouble = error.detail, time.monotonic()
            if not self._asked:  # else the error reaches whoever asked
                _log.warning("source_failed", source=self._shown, error=error.detail)
            self._stay_warm()
            if not run.frames:
                self._fail_all(error)
            for asked in list(self._asked):
                asked.failures += 1
                if asked.failures >= TRIES:
                    self._asked.remove(asked)
                    asked.frame.set_exception(error)

    def _back_off(self, run: Run, failed: int, was_live: bool) -> bool:
        """Waits before the next open, unless a snap waits; False: do not open for nobody."""
        longest = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2 ** min(failed - 1, 16))
        with self._changed:
            if self._run is not run:
                return False
            run.now_does("rest")
            if not self._asked and was_live:
                jitter = random.uniform(0.5, 1.0)  # noqa: S311 - spreads cameras, hides nothing
                left_s = self._warm_until - time.monotonic()
                self._changed.wait_for(
                    lambda: self._asked or self._run is not run,
                    min(longest * jitter, max(0.0, left_s)),
                )
            return bool(self._asked) or was_live
