"""Teaches heads, and knows which versions answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from types import ModuleType

import structlog
from msgspec import structs
from sqlalchemy import Connection

from objectclassification.classification.questions import Question, Questions
from objectclassification.errors import BadMessage, Busy, Conflict
from objectclassification.heads import (
    MOST_CLASSES,
    MOST_PICTURES,
    PRECISION,
    HeadShown,
    Suggestion,
    Teaching,
    Version,
    clean_class,
    clean_crop,
)
from objectclassification.store import embeddings, heads
from objectclassification.store.blobs import Blobs
from objectclassification.store.embeddings import Seen, View
from objectclassification.store.heads import Taught
from objectclassification.store.writer import Database
from objectclassification.teaching.lesson import Lesson
from objectclassification.teaching.looking import Looker, Pool

LOOK_S = 30.0
"""For looking again at labelled pictures in one call; what was seen stays seen."""
LOOK_BACK_S = 8.0
"""For looking at past pictures, to say what would change: a crop of some hundred of them."""
MOST_PAST = 10_000
"""Past pictures that a new version is compared on, the newest ones."""
MOST_PAST_LOOKED_AT = 200
"""Past pictures that are looked at for a crop which nobody has seen yet."""

log = structlog.get_logger(__name__)


class Teacher:
    """The heads of a server.

    Args:
        database: pictures, labels, versions.
        blobs: image files.
        pool: who looks at pictures.

    Attributes:
        stale_because: what keeps heads stale, by name, as far as it is known.
    """

    def __init__(self, database: Database, blobs: Blobs, pool: Pool) -> None:
        self._database = database
        self._pool = pool
        self._looker = Looker(database, blobs, pool)
        self._questions: tuple[Question, ...] = ()
        self._teaching = asyncio.Lock()
        self.stale_because: dict[str, str] = {}

    @property
    def model_sha256(self) -> str:
        """Of the model that pictures are looked at with now."""
        return self._pool.model_sha256

    async def load(self) -> None:
        """Reads which versions answer; call it before pictures are classified."""
        found = await self._database.read(heads.active)
        self._questions = tuple([(await _learning()).question(one) for one in found])
        for one in self._questions:
            if one.model_sha256 != self.model_sha256:
                log.warning(
                    "a head was taught on another model and abstains until it is fitted anew",
                    head=one.name,
                )

    def questions(self, camera: str | None) -> Questions:
        """What is asked of a camera's pictures now."""
        return Questions([one for one in self._questions if one.camera in (None, camera)])

    async def teach(self, name: str, wanted: Teaching, *, token_id: str) -> Version:
        """Fits a new version and says how good it is. It answers once it is activated.

        Raises:
            BadMessage: a class or a crop cannot be used.
            Conflict: too few pictures are labelled.
            Busy: another one is being taught, or too many pictures were still to be looked at.
            StoreError: the database failed.
        """
        if self._teaching.locked():
            raise Busy("another head is being taught: ask again in a moment")
        async with self._teaching:
            lesson = await self._prepare(name, wanted)
            found = await self._fit(lesson, token_id)
        log.info(
            "a head was taught", head=name, version=found.number, accuracy=found.evidence.accuracy
        )
        return found

    async def refit(self, old: Taught, *, token_id: str) -> Version:
        """Fits what a version was to learn anew, on what the server's own model sees now.

        It looks at labelled pictures that this model has not seen, as :meth:`teach` does, and at no
        others: nobody waits for it.

        Args:
            old: the version.
            token_id: who taught it.

        Raises:
            Conflict: too few pictures are labelled by now, or there are too many versions.
            Busy: too many pictures were still to be looked at.
            StoreError: the database failed.
        """
        wanted = Teaching(
            classes=old.classes,
            camera=old.camera,
            crop=old.crop,
            abstain=old.abstain if old.abstain_chosen else None,
        )
        async with self._teaching:
            lesson = await self._prepare(old.head, wanted, looks_back=False)
            return await self._fit(lesson, token_id, refitted_from=old.number)

    async def replace_stale(self, new: Version) -> bool:
        """Has a version that was fitted anew answer; see :func:`.store.heads.replace_stale`."""
        now = time.time()
        is_on = await self._database.write(lambda c: heads.replace_stale(c, new, at=now))
        if is_on:
            await self.load()
        return is_on

    async def _fit(
        self, lesson: Lesson, token_id: str, *, refitted_from: int | None = None
    ) -> Version:
        taught, evidence = await asyncio.to_thread((await _learning()).learn, lesson)
        new = replace(taught, refitted_from=refitted_from)
        now = time.time()
        number = await self._database.write(
            lambda c: heads.add_version(c, new, evidence, at=now, token_id=token_id)
        )
        return await self.version(lesson.name, number)

    async def activate(self, name: str, number: int, *, token_id: str) -> Version:
        """Has a version answer from now on.

        Raises:
            NotFound: there is none.
            Conflict: it was taught on another model.
        """
        found = await self.version(name, number)
        if found.stale:
            raise Conflict(
                f"version {number} of {name!r} was taught on another model than this server has "
                "now: teach it again"
            )
        now = time.time()
        await self._database.write(
            lambda c: heads.activate(c, name, number, at=now, token_id=token_id)
        )
        await self.load()
        log.info("a head was switched on", head=name, version=number)
        return await self.version(name, number)

    async def roll_back(self, name: str) -> HeadShown:
        """Has the version answer that did before; before the first, none does.

        Raises:
            NotFound: no version of it answers.
        """
        now = time.time()
        await self._database.write(lambda c: heads.roll_back(c, name, at=now))
        await self.load()
        log.info("a head was rolled back", head=name)
        return next(one for one in await self.every() if one.name == name)

    async def every(self) -> list[HeadShown]:
        """All heads that were taught or labelled for, by name."""
        found = await self._database.read(lambda c: heads.every(c, self.model_sha256))
        return [
            structs.replace(one, stale_because=self.stale_because.get(one.name))
            if one.stale
            else one
            for one in found
        ]

    async def version(self, name: str, number: int) -> Version:
        """One version.

        Raises:
            NotFound: there is none.
        """
        return await self._database.read(
            lambda c: heads.version(c, name, number, self.model_sha256)
        )

    async def suggest(self, name: str, camera: str | None, limit: int) -> list[Suggestion]:
        """Which unlabelled pictures to label next."""
        free, labelled, newest = await self._database.read(
            lambda c: self._unlabelled(c, name, camera)
        )
        return await asyncio.to_thread(
            (await _learning()).suggestions, free, labelled, newest, limit
        )

    async def _prepare(self, name: str, wanted: Teaching, *, looks_back: bool = True) -> Lesson:
        """Gathers everything that a fit reads, embeddings that are missing included."""
        if wanted.abstain is not None and wanted.precision is not None:
            raise BadMessage("give either the margin to abstain below, or the precision to aim at")
        classes = tuple(dict.fromkeys(clean_class(text) for text in wanted.classes))
        view = View(self.model_sha256, wanted.camera, clean_crop(wanted.crop))
        labelled = await self._labelled(view, name, classes)
        unseen = [one.picture for one in labelled if one.vector is None]
        if unseen:
            _check_enough(name, view.camera, classes, labelled)
            left = await self._looker.look(unseen, view, within_s=LOOK_S)
            if left:
                raise Busy(f"{left} labelled pictures are still to be looked at: ask again")
            labelled = await self._labelled(view, name, classes)
        seen = [one for one in labelled if one.vector is not None]
        names = _check_enough(name, view.camera, classes, seen)
        if view.crop is not None and looks_back:
            limit = MOST_PAST_LOOKED_AT
            ids = await self._database.read(lambda c: embeddings.unseen(c, view, limit=limit))
            await self._looker.look(ids, view, within_s=LOOK_BACK_S)
        past = await self._database.read(lambda c: embeddings.newest(c, view, limit=MOST_PAST))
        oldest = past[-1].picture if past else ""
        return Lesson(
            name=name,
            classes=names,
            view=view,
            abstain=wanted.abstain,
            precision=wanted.precision or PRECISION,
            labelled=tuple(seen),
            unread=len(labelled) - len(seen),
            past=tuple(past),
            before=await self._database.read(lambda c: heads.answers_to(c, name, since=oldest)),
        )

    async def _labelled(self, view: View, name: str, classes: Sequence[str]) -> list[Seen]:
        return await self._database.read(
            lambda c: embeddings.labelled(c, view, name, classes, limit=MOST_PICTURES)
        )

    def _unlabelled(
        self, connection: Connection, name: str, camera: str | None
    ) -> tuple[list[Seen], list[Seen], Taught | None]:
        taught = heads.taught(connection, name)
        model = self.model_sha256
        if taught is not None and taught.model_sha256 != model:
            taught = None
        crop = None if taught is None else taught.crop
        view = View(model, camera or (None if taught is None else taught.camera), crop)
        limit = MOST_PICTURES
        free = embeddings.newest(connection, view, unlabelled=name, limit=limit)
        labelled = embeddings.labelled(connection, view, name, (), limit=limit)
        return free, labelled, taught


def _check_enough(
    name: str, camera: str | None, classes: Sequence[str], labelled: Sequence[Seen]
) -> tuple[str, ...]:
    """The classes, if there is something to learn."""
    there = {one.label for one in labelled if one.label is not None}
    whose = f" of the camera {camera}" if camera else ""
    for wanted in classes:
        if wanted not in there:
            raise Conflict(
                f"no picture{whose} is labelled {wanted!r} for {name!r}: label some with "
                f"`objectclassification label PICTURE --head {name} --class …`"
            )
    names = tuple(classes) or tuple(sorted(there))
    if not 2 <= len(names) <= MOST_CLASSES:
        raise Conflict(
            f"a head tells 2 to {MOST_CLASSES} classes apart; pictures{whose} are labelled for "
            f"{name!r} with {', '.join(map(repr, names[:MOST_CLASSES])) or 'none'}"
        )
    return names


async def _learning() -> ModuleType:
    """What needs numpy: loaded when it is first used, on a thread, as that takes its time."""
    return await asyncio.to_thread(import_module, "objectclassification.teaching.learning")
