"""Blocking work in threads that the end of the program does not wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], name: str) -> T:
    """Runs blocking work in a thread of its own, and returns what it returns.

    Unlike :func:`asyncio.to_thread` there is no pool, so that work which hangs in a driver or in
    the network takes nobody's place, and the interpreter does not wait for it when it exits.

    Args:
        work: what to run; it goes on when the caller is cancelled.
        name: the thread's, for whoever debugs.
    """
    ended: Future[T] = Future()
    ended.set_running_or_notify_cancel()  # from here on nobody can cancel it

    def run() -> None:
        try:
            result = work()
        except Exception as exc:  # noqa: BLE001 - raised again where it is awaited
            ended.set_exception(exc)
        else:
            ended.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await asyncio.wrap_future(ended)
