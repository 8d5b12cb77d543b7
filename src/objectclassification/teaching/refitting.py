"""Fits heads anew once the server has another model, from the pictures that are stored.

Without it a head of another model abstains until somebody notices. It is slow on purpose: labelled
pictures are looked at one at a time, and none is begun while a picture of a snap waits.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import structlog

from objectclassification.bus import Bus, ClassificationFailed, Message, PictureClassified
from objectclassification.errors import Conflict, ObjectClassificationError, StoreError
from objectclassification.heads import MOST_PICTURES, Evidence
from objectclassification.store import embeddings, heads, jobs
from objectclassification.store.blobs import Blobs
from objectclassification.store.embeddings import Seen, View
from objectclassification.store.heads import Taught
from objectclassification.store.writer import Database
from objectclassification.teaching.looking import Looker, Pool
from objectclassification.teaching.teacher import Teacher

PERIOD_S = 600.0
"""Between looks at what is stale: a model is exchanged at a start, rarely in between."""
LOOK_AGAIN_S = 5.0
"""Jobs of other processes end without a word to us."""

log = structlog.get_logger(__name__)


class Refitter:
    """Fits the heads that are stale anew.

    Args:
        database: heads, labels, embeddings.
        blobs: image files.
        pool: who looks at pictures.
        teacher: who fits, and is told what keeps a head stale.
        bus: says when jobs end.
    """

    def __init__(
        self, database: Database, blobs: Blobs, pool: Pool, teacher: Teacher, bus: Bus
    ) -> None:
        self._database = database
        self._looker = Looker(database, blobs, pool)
        self._teacher = teacher
        self._job_ended = asyncio.Event()
        self._unsubscribe: Callable[[], None] = bus.subscribe(self._hear)

    def close(self) -> None:
        """Hears no more of jobs."""
        self._unsubscribe()

    async def refit(self) -> None:
        """Fits every head anew that is on and stale, one after the other.

        Raises:
            StoreError: the database failed.
        """
        model, because = self._teacher.model_sha256, self._teacher.stale_because
        stale = [
            one for one in await self._database.read(heads.active) if one.model_sha256 != model
        ]
        for name in because.keys() - {one.head for one in stale}:
            del because[name]
        for old in stale:
            before = because.get(old.head)
            try:
                reason = await self._refit(old, model)
            except StoreError:
                raise
            except ObjectClassificationError as exc:
                reason = f"it cannot be fitted anew: {exc.detail}"
            if reason is None:
                because.pop(old.head, None)
                continue
            because[old.head] = reason
            if reason != before:
                log.warning("a head stays stale", head=old.head, version=old.number, why=reason)

    async def _refit(self, old: Taught, model: str) -> str | None:
        """Returns why it stays stale, or None when it answers again."""
        before = await self._teacher.version(old.head, old.number)
        done = await self._database.read(lambda c: heads.refitted(c, old.head, old.number, model))
        new = None if done is None else await self._teacher.version(old.head, done)
        if new is None or worse_than(before.evidence, new.evidence) is not None:
            seen = await self._look_at_labelled(old, model)
            if new is None or seen > new.evidence.pictures:
                new = await self._teacher.refit(old, token_id=before.by)
        worse = worse_than(before.evidence, new.evidence)
        if worse is not None:
            return f"fitted anew it is version {new.number}, which is not switched on: {worse}"
        if not await self._teacher.replace_stale(new):
            return f"fitted anew it is version {new.number}, which was switched off"
        log.info(
            "a head was fitted anew for the server's model, and is on",
            head=new.head,
            version=new.number,
            in_place_of=old.number,
            accuracy=new.evidence.accuracy,
        )
        return None

    async def _look_at_labelled(self, old: Taught, model: str) -> int:
        """Has the model see the labelled pictures; returns how many it has seen."""
        view = View(model, old.camera, old.crop)
        labelled = await self._labelled(old, view)
        unseen = [one.picture for one in labelled if one.vector is None]
        for number, picture in enumerate(unseen):
            self._teacher.stale_because[old.head] = (
                f"it is being fitted anew: {len(labelled) - len(unseen) + number} of "
                f"{len(labelled)} labelled pictures are looked at"
            )
            await self._quiet()
            await self._looker.look([picture], view, within_s=math.inf)
        seen = sum(one.vector is not None for one in await self._labelled(old, view))
        if labelled and not seen:
            raise Conflict(f"none of {len(labelled)} labelled pictures can be looked at")
        return seen

    async def _labelled(self, old: Taught, view: View) -> list[Seen]:
        return await self._database.read(
            lambda c: embeddings.labelled(c, view, old.head, old.classes, limit=MOST_PICTURES)
        )

    async def _quiet(self) -> None:
        """Waits until no picture of a snap waits for its labels."""
        while True:
            self._job_ended.clear()
            if not await self._database.read(jobs.somebody_waits):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._job_ended.wait()

    def _hear(self, message: Message) -> None:
        if isinstance(message, PictureClassified | ClassificationFailed):
            self._job_ended.set()


def worse_than(old: Evidence, new: Evidence) -> str | None:
    """What speaks against a version in place of the one that it was fitted anew from.

    A head that was switched on was found good enough by a person, with its evidence in view. The
    new one may take its place if its held-out answers are within what the old evidence left open:
    its share of right ones, of all pictures and of each class, not below the old 95 % interval; on
    no fewer pictures, for fewer prove less. What it gets wrong beyond that it abstains from: its
    margin is chosen so that at most 5 % of the answers given are wrong.

    Returns:
        One line, or None if nothing does.
    """
    if new.pictures < old.pictures:
        return f"{new.pictures} labelled pictures can be read, and there were {old.pictures}"
    shares = [("", new.accuracy, old.accuracy, old.low, old.high)]
    before = {one.name: one for one in old.classes}
    for one in new.classes:
        if one.name in before:
            was = before[one.name]
            shares.append((f" of {one.name!r}", one.right, was.right, was.low, was.high))
    for whose, now, then, low, high in shares:
        if now < low:
            return (
                f"{now:.0%}{whose} are right when held out, and were {then:.0%} "
                f"(95 % interval {low:.0%} to {high:.0%})"
            )
    return None


@asynccontextmanager
async def refitting(refitter: Refitter, period_s: float = PERIOD_S) -> AsyncIterator[None]:
    """Fits what is stale anew, now and from time to time, beside whatever runs inside."""
    task = asyncio.create_task(_refit_for_ever(refitter, period_s), name="refitting")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        refitter.close()


async def _refit_for_ever(refitter: Refitter, period_s: float) -> None:
    while True:
        try:
            await refitter.refit()
        except (StoreError, OSError) as exc:
            log.error("heads cannot be fitted anew; it is tried again", reason=str(exc))
        await asyncio.sleep(period_s)
