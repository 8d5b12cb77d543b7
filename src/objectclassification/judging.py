"""What a server makes of an answer: whether it is unsure, and what its rules say of it.

Thresholds and rules are kept in memory, for every picture asks them.
"""

from __future__ import annotations

import time

from msgspec.structs import replace

from objectclassification.classification.scores import cover
from objectclassification.errors import Conflict
from objectclassification.receipts import Found
from objectclassification.rules import Rule, judge, worst
from objectclassification.store import rules as stored
from objectclassification.store import thresholds
from objectclassification.store.writer import Database
from objectclassification.sureness import Coverage, Threshold, ThresholdWanted

LEAST_LABELLED = 20
"""Pictures that a threshold is found on: of 20 right ones the 95 % interval begins at 84 %."""


class Judge:
    """Judges pictures.

    Args:
        database: where the rules are.
        shipped: the SHA-256 of the server's own model.
    """

    def __init__(self, database: Database, shipped: str) -> None:
        self._database = database
        self._shipped = shipped
        self._rules: tuple[Rule, ...] = ()
        self._below: dict[str, float] = {}

    async def load(self) -> None:
        """Reads thresholds and rules, and forgets counts that are too old.

        Raises:
            StoreError: the database refused.
        """
        now = time.time()
        await self._database.write(lambda c: stored.forget_old_counts(c, at=now))
        await self._read_rules()
        await self._read_thresholds()

    def judged(self, camera: str | None, found: Found, model_sha256: str, detected: bool) -> Found:
        """What was found on a picture, with whether that is unsure and what the rules say of it.

        Args:
            camera: whose it is.
            found: on it.
            model_sha256: of what made the labels.
            detected: whether boxes were looked for.
        """
        below = self._below.get(model_sha256)
        if below is not None and found.confidence is not None:
            # So written that what is no number is unsure, too.
            found = replace(found, unsure=not found.confidence >= below)
        judgements = judge(self._rules, camera, found, detected=detected)
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
        await self._read_rules()
        return is_new

    async def remove(self, name: str) -> None:
        """Judges the next pictures without a rule.

        Raises:
            NotFound: no such rule.
        """
        await self._database.write(lambda c: stored.remove(c, name))
        await self._read_rules()

    async def thresholds(self) -> list[Threshold]:
        """From when on the answers of each model count; models without a threshold are left out."""
        return await self._database.read(lambda c: thresholds.every(c, self._shipped))

    async def set_threshold(
        self, model: str, wanted: ThresholdWanted, *, token_id: str
    ) -> Threshold:
        """Says from when on a model's answers to the next pictures count.

        Args:
            model: its name; ``shipped`` is the server's own.
            wanted: how to set it.
            token_id: whose word it is.

        Raises:
            BadMessage: it wants nothing, or two things.
            NotFound: no such model.
            Conflict: the labelled pictures are too few, or no threshold is so precise on them.
        """
        wanted.check()
        sha256 = await self._database.read(lambda c: thresholds.sha256_of(c, model, self._shipped))
        coverage, below = None, wanted.below
        if below is None:
            assert wanted.precision is not None  # noqa: S101 - it was checked
            known = await self._database.read(lambda c: thresholds.known(c, sha256))
            coverage = _covered(model, known, wanted.precision)
            below = coverage.below
        now, value = time.time(), below
        await self._database.write(
            lambda c: thresholds.put(c, sha256, value, coverage, at=now, token_id=token_id)
        )
        await self._read_thresholds()
        return next(one for one in await self.thresholds() if one.model == model)

    async def forget_threshold(self, model: str) -> None:
        """Has a model the threshold that comes with it again, or none.

        Raises:
            NotFound: no such model.
        """
        sha256 = await self._database.read(lambda c: thresholds.sha256_of(c, model, self._shipped))
        await self._database.write(lambda c: thresholds.remove(c, sha256))
        await self._read_thresholds()

    async def _read_rules(self) -> None:
        self._rules = tuple(await self._database.read(stored.every))

    async def _read_thresholds(self) -> None:
        self._below = await self._database.read(thresholds.below)


def _covered(model: str, known: list[tuple[float, bool]], precision: float) -> Coverage:
    if len(known) < LEAST_LABELLED:
        raise Conflict(
            f"{len(known)} pictures that {model} looked at say what is on them, and "
            f"{LEAST_LABELLED} are needed: `objectclassification label PICTURE --class LABEL`"
        )
    found = cover(known, precision)
    if found is None:
        right = sum(is_right for _, is_right in known)
        raise Conflict(
            f"no threshold makes {precision:.0%} of the answers of {model} right: "
            f"{right} of {len(known)} are, and not the surest ones"
        )
    return found
