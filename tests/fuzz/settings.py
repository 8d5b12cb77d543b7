"""How long fuzzing may take: seconds in ``make test``, where it does the same each time; as many
minutes as ``make fuzz`` was given, where no run is like another."""

from __future__ import annotations

import os

FUZZ_MINUTES = int(os.environ.get("OBJECTCLASSIFICATION_FUZZ_MINUTES", "0"))
