"""The runner's calls to the recorder: each answers one effect of the hub."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from objectclassification.errors import ObjectClassificationError, StoreError
from objectclassification.hub.effects import Reconcile, Register, SaveShots, Store
from objectclassification.hub.hub import Hub
from objectclassification.hub.recorder import Recorder
from objectclassification.receipts import Receipt

RECORDER_TIMEOUT_S = 10.0
"""A recorder that takes longer has failed: ``done`` is owed to whoever waits."""

_log = structlog.get_logger(__name__)
T = TypeVar("T")


class Recording:
    """Calls the recorder without keeping the loop waiting, and tells the hub what came of it.

    A failure is told to whoever asked and logged; it never leaves a snap without its ``done``.

    Args:
        hub: asks through effects.
        recorder: answers.
        settle: called after each answer, to carry out the effects it has.
        timeout_s: how long the recorder may take for an answer.
    """

    def __init__(
        self, hub: Hub, recorder: Recorder, settle: Callable[[], None], *, timeout_s: float
    ) -> None:
        self._timeout_s = timeout_s
        self._hub = hub
        self._recorder = recorder
        self._settle = settle
        self._tasks: set[asyncio.Task[None]] = set()
        self._storing: dict[str, list[asyncio.Future[Receipt]]] = {}

    def begin(self, effect: Store | SaveShots | Reconcile | Register) -> None:
        """Starts what an effect asks for."""
        work: Coroutine[Any, Any, None]
        match effect:
            case Store():
                self._storing[effect.snap.id] = []
                work = self._store(effect)
            case SaveShots():
                work = self._save(effect)
            case Reconcile():
                work = self._reconcile(effect)
            case Register():
                work = self._register(effect)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def accepted(self, snap_id: str) -> Receipt | None:
        """Waits until a snap that is being stored is accepted; None if it is not being stored.

        Raises:
            Conflict: the id belongs to another snap.
            StoreError: it could not be stored.
        """
        waiting = self._storing.get(snap_id)
        if waiting is None:
            return None
        mine: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        waiting.append(mine)
        return await mine

    async def stop(self, error: ObjectClassificationError) -> None:
        """Gives up what is still under way; whoever waits gets the error."""
        for waiting in self._storing.values():
            for future in waiting:
                if not future.done():
                    future.set_exception(error)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _store(self, effect: Store) -> None:
        snap_id = effect.snap.id
        error: ObjectClassificationError | None = None
        receipt: Receipt | None = None
        try:
            receipt = await self._ask("store", self._recorder.store(effect.snap))
        except ObjectClassificationError as exc:
            error = exc
            self._hub.snaps.store_failed(snap_id, exc)
        else:
            if receipt is None:
                self._hub.snaps.stored(snap_id)
            else:
                self._hub.snaps.exists(snap_id, receipt)
        waiting = [future for future in self._storing.pop(snap_id) if not future.done()]
        self._settle()
        if not waiting:
            return
        receipt = self._hub.snaps.receipt(snap_id) or receipt  # live, or ended long ago
        for future in waiting:
            if error is not None:
                future.set_exception(error)
            elif receipt is not None:
                future.set_result(receipt)

    async def _save(self, effect: SaveShots) -> None:
        call = self._recorder.save(effect.snap_id, effect.shots, effect.ended)
        try:
            await self._ask("save", call)
        except ObjectClassificationError as exc:
            self._hub.snaps.save_failed(effect.snap_id, exc)
        else:
            self._hub.snaps.saved(effect.snap_id)
        self._settle()

    async def _reconcile(self, effect: Reconcile) -> None:
        try:
            known = await self._ask("reconcile", self._recorder.reconcile(effect.snap_id))
        except ObjectClassificationError:
            known = ()  # _ask has logged it; the deadline has passed, and done is owed
        self._hub.snaps.reconciled(effect.snap_id, known)
        self._settle()

    async def _register(self, effect: Register) -> None:
        call = self._recorder.register(
            effect.offers, effect.identity, agent=effect.agent, version=effect.version
        )
        try:
            places = await self._ask("register", call)
        except ObjectClassificationError as exc:
            self._hub.greeter.refused(effect.session, exc)
        else:
            self._hub.greeter.registered(effect.session, places)
        self._settle()

    async def _ask(self, what: str, call: Awaitable[T]) -> T:
        """Awaits the recorder; every failure is logged and becomes one of our own errors."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await call
        except ObjectClassificationError as exc:
            _log.warning("recorder refused", what=what, code=exc.code, detail=exc.detail)
            raise
        except TimeoutError as exc:
            _log.error("recorder too slow", what=what, after_s=self._timeout_s)
            raise StoreError(f"the store did not answer within {self._timeout_s:g} s") from exc
        except Exception as exc:  # a recorder's bug must not leave its callers waiting
            _log.exception("recorder failed", what=what)
            raise StoreError("the store failed; the server's log says why") from exc
