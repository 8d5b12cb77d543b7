"""The rules that a server judges pictures by: kept in memory, for every picture asks them."""

from __future__ import annotations

import time

from msgspec.structs import replace

from objectclassification.receipts import Found
from objectclassification.rules import Rule, judge, worst
from objectclassification.store import rules as stored
from objectclassification.store.writer import Database


class Judge:
    """Judges pictures.

    Args:
        database: where the rules are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rules: tuple[Rule, ...] = ()

    async def load(self) -> None:
        """Reads the rules, and forgets counts that are too old.

        Raises:
            StoreError: the database refused.
        """
        now = time.time()
        await self._database.write(lambda c: stored.forget_old_counts(c, at=now))
        await self._read()

    def judged(self, camera: str | None, found: Found) -> Found:
        """What was found on a picture, with what the rules say of it."""
        judgements = judge(self._rules, camera, found.predictions, found.answers)
        return replace(found, verdict=worst(judgements), judgements=judgements)

    async def add(self, rule: Rule) -> bool:
        """Judges the next pictures by one more rule.

        Returns:
            False if it was there already.

        Raises:
            BadMessage: it cannot be used.
            Conflict: another one has its name, or there are too many.
        """
        rule.check()
        now = time.time()
        is_new = await self._database.write(lambda c: stored.add(c, rule, at=now))
        await self._read()
        return is_new

    async def remove(self, name: str) -> None:
        """Judges the next pictures without a rule.

        Raises:
            NotFound: no such rule.
        """
        await self._database.write(lambda c: stored.remove(c, name))
        await self._read()

    async def _read(self) -> None:
        self._rules = tuple(await self._database.read(stored.every))
