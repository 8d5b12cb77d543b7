"""All benchmarks: prints one table and puts it into ``docs/benchmarks.md``. Under ten minutes."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from benchmarks import decode_classify, machine, puts, whole_path
from benchmarks.environments import ROOT
from benchmarks.table import Row, format_table

PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def main() -> None:
    """Measures, prints and writes."""
    started = time.monotonic()
    puts.peer_python()  # an installation must not run beside a measurement
    busy = [machine.busy_percent()]
    rows: list[Row] = decode_classify.measure()
    busy.append(machine.busy_percent())
    whole_rows, ways = whole_path.measure()
    busy.append(machine.busy_percent())
    rows += whole_rows + puts.measure()
    busy.append(machine.busy_percent())
    minutes = (time.monotonic() - started) / 60
    page = "\n".join(
        (
            f"Measured on {datetime.now(UTC):%Y-%m-%d} in {minutes:.1f} minutes. Before, between "
            "and after the benchmarks other programs kept the machine "
            f"{', '.join(f'{percent:.0f}' for percent in busy)} % busy.",
            "",
            machine.describe(),
            "",
            format_table(rows),
            "",
            "Where the time of a snap goes:",
            "",
            whole_path.stage_table(ways),
        )
    )
    print(page)
    _write(page)


def _write(page: str) -> None:
    text = PAGE.read_text()
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE} has lost its markers {BEGIN} and {END}")
    PAGE.write_text(f"{head}{BEGIN}\n\n{page}\n\n{END}{tail}")


if __name__ == "__main__":
    main()
