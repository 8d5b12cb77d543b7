"""Coroutines that wait for something that has an id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from objectclassification.errors import ObjectClassificationError

T = TypeVar("T")


class Waiters(Generic[T]):
    """Any number of coroutines wait for the same id; whoever is cancelled takes no other along."""

    def __init__(self) -> None:
        self._futures: dict[str, asyncio.Future[T]] = {}

    async def wait(self, id_: str) -> T:
        """Waits for the end of an id; raises what it failed with."""
        future = self._futures.get(id_)
        if future is None:
            future = self._futures[id_] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(future)

    def end(self, id_: str, value: T | ObjectClassificationError) -> None:
        """Gives everybody who waits for this id the value, or raises the error there."""
        future = self._futures.pop(id_, None)
        if future is None:
            return
        if isinstance(value, ObjectClassificationError):
            future.set_exception(value)
            future.exception()  # it may be that nobody waits any more
        else:
            future.set_result(value)

    def fail_all(self, error: ObjectClassificationError) -> None:
        """Raises the error wherever any id is waited for."""
        for id_ in list(self._futures):
            self.end(id_, error)


async def until(progress: asyncio.Event, condition: Callable[[], bool], timeout_s: float) -> None:
    """Waits for a condition, which is looked at after each progress; gives up after a time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while not condition():
                progress.clear()
                await progress.wait()
