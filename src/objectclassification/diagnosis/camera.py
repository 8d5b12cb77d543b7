"""What a camera's answer means, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from objectclassification.condition import CameraReport, SourceCondition, SpoolCondition
from objectclassification.diagnosis import Check

HOT_C: Final = 80.0
"""From here on a Raspberry Pi lowers its clock (its documentation, "Frequency management and
thermal control"); other small machines do so somewhat later."""
LOW_BYTES: Final = 200_000_000
"""Room for some hundred pictures of 1080p and for the system's own log."""
OFF_MS: Final = 2000.0
"""A clock that is so far off puts pictures at the wrong place between those of other cameras."""
OLD_S: Final = 3600.0
"""An error from before is history, when a picture came after it or so much time has gone by."""


def checks(report: CameraReport) -> Iterator[Check]:
    """Everything in the report but the log lines, each in one line."""
    condition = report.condition
    program = condition.program
    yield Check(
        "program",
        "ok",
        f"{program.version}, Python {program.python}, OpenCV {program.opencv or 'unknown'}; "
        f"runs for {_span(program.up_s)}",
    )
    yield Check("system", "ok", program.system)
    yield Check("network", "ok", f"{report.round_trip_ms:g} ms there and back")
    yield _source(condition.source)
    yield _pictures(condition.source)
    yield _disk(condition.spool)
    yield _spool(condition.spool)
    yield _temperature(condition.temperature_c)
    yield _clock(report)


def _source(source: SourceCondition) -> Check:
    doing = {
        "closed": "closed until the next snap",
        "opening": "opens",
        "warming": "open, warms up",
        "warm": "open and warm",
        "failing": "fails, and is tried again",
        "stuck": "hangs in its driver",
    }[source.state]
    found = f"{source.address}: {'; '.join([doing, *source.notes])}"
    if source.state == "stuck":
        return Check("source", "fail", found, "plug the device in anew, then restart the program")
    if not source.error or source.error_age_s is None:
        return Check("source", "ok", f"{found}; no error yet")
    text = source.error.removeprefix(f"{source.address} ")
    error = f"{found}; last error {_span(source.error_age_s)} ago: {text}"
    newer = source.picture_age_s is not None and source.picture_age_s < source.error_age_s
    if source.state != "failing" and (newer or source.error_age_s > OLD_S):
        return Check("source", "ok", error)
    return Check("source", "fail", error, "look at the device or the stream, then snap again")


def _pictures(source: SourceCondition) -> Check:
    counts = f"{source.taken} taken and {source.failed} failed since the program started"
    if source.picture_age_s is None:
        return Check("pictures", "ok", counts)
    last = f"{source.width}x{source.height}, {source.freshness}, {_span(source.picture_age_s)} ago"
    return Check("pictures", "ok", f"the last {last}; {counts}")


def _disk(spool: SpoolCondition) -> Check:
    found = f"{spool.free_bytes / 1e9:.1f} GB free where the spool is"
    if spool.free_bytes < LOW_BYTES:
        return Check("disk", "fail", found, "make room: without any, no picture can be kept")
    return Check("disk", "ok", found)


def _spool(spool: SpoolCondition) -> Check:
    found = (
        f"{spool.pictures} waiting ({spool.size_bytes / 2**20:.1f} of "
        f"{spool.max_bytes / 2**20:.0f} MiB), {spool.dropped} dropped, {spool.refused} refused"
    )
    if spool.dropped:
        return Check("spool", "warn", found, "give it more room (--spool-max), or a better network")
    if spool.refused:
        return Check("spool", "warn", found, "look into `refused` in the spool: a note says why")
    return Check("spool", "ok", found)


def _temperature(celsius: float | None) -> Check:
    if celsius is None:
        return Check("heat", "ok", "this machine tells no temperature")
    if celsius >= HOT_C:
        return Check("heat", "warn", f"{celsius:.1f} °C", "cool it: it slows itself down")
    return Check("heat", "ok", f"{celsius:.1f} °C")


def _clock(report: CameraReport) -> Check:
    offset, doubt = report.clock_offset_ms, report.clock_uncertainty_ms
    kept = {"ntp": "kept by NTP", "unsynchronised": "kept by nothing", "unknown": ""}
    words = [f"{_signed(offset)} ± {_signed(doubt).lstrip('+')} against the server's"]
    found = ", ".join([*words, *filter(None, [kept[report.condition.clock]])])
    if abs(offset) - doubt > OFF_MS:
        return Check("clock", "warn", found, "set it there: `timedatectl set-ntp true`")
    if report.condition.clock == "unsynchronised":
        return Check("clock", "warn", found, "have it kept there: `timedatectl set-ntp true`")
    return Check("clock", "ok", found)


def _signed(ms: float) -> str:
    return f"{ms:+.1f} ms" if abs(ms) < 1000 else f"{ms / 1000:+.1f} s"


def _span(seconds: float) -> str:
    for most_s, unit_s, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < most_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"
