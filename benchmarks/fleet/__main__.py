"""All of the fleet's benchmarks but the hour of churn: prints them, and writes the document."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

from benchmarks import machine
from benchmarks.fleet import crowd, fleets, one_of_many, restart
from benchmarks.page import replace_section
from benchmarks.programs import scratch
from benchmarks.table import format_table


def main() -> None:
    """Measures, prints and writes."""
    started = time.monotonic()
    busy = [machine.busy_percent()]
    with scratch() as folder:
        found = crowd.measure(folder)
        rows = crowd.rows(found)
    busy.append(machine.busy_percent())
    with scratch() as folder:
        rows += one_of_many.unicast(folder) + one_of_many.stuck_reader(folder)
    busy.append(machine.busy_percent())
    with scratch() as folder:
        lines = fleets.captured(folder)
    print("the snap that is classified …", file=sys.stderr)
    with scratch() as folder:
        lines += fleets.classified(folder)
    with scratch() as folder:
        back, spread = restart.measure(folder)
    busy.append(machine.busy_percent())
    text = "\n".join(
        (
            f"Measured on {datetime.now(UTC):%Y-%m-%d} in {(time.monotonic() - started) / 60:.1f} "
            "minutes. Before, between and after, other programs kept the machine "
            f"{', '.join(f'{percent:.0f}' for percent in busy)} % busy.",
            "",
            machine.describe(),
            "",
            format_table(rows),
            "",
            crowd.load_said(found),
            "",
            fleets.table(lines + back),
            "",
            "Cameras that came back, in each half second since the server was started again:",
            "",
            spread,
        )
    )
    print(text)
    replace_section("fleet", text)


if __name__ == "__main__":
    main()
