"""All benchmarks: prints one table and puts it into ``docs/benchmarks.md``. Under ten minutes."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from benchmarks import (
    browser,
    decode_classify,
    detect,
    hostile,
    latency,
    machine,
    page_history,
    puts,
    restart,
    similar,
    whole_path,
    work,
)
from benchmarks.page import replace_section
from benchmarks.table import Row, format_table


def main() -> None:
    """Measures, prints and writes."""
    started = time.monotonic()
    puts.peer_python()  # an installation must not run beside a measurement
    similar.peer_python()
    restart.large_folder()  # nor 200,000 small files
    busy = [machine.busy_percent()]
    rows: list[Row] = decode_classify.measure() + detect.measure()
    busy.append(machine.busy_percent())
    whole_rows, ways = whole_path.measure()
    busy.append(machine.busy_percent())
    rows += whole_rows + puts.measure()
    busy.append(machine.busy_percent())
    rows += work.measure() + latency.measure() + restart.measure() + similar.measure()
    rows += page_history.measure()
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
    replace_section("benchmarks", page)
    hostile.main()
    browser.main()


if __name__ == "__main__":
    main()
