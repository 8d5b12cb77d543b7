"""Who may PUT where, without asking the database each time."""

from __future__ import annotations

from fastapi import Request

from objectclassification.auth import Identity
from objectclassification.errors import Forbidden
from objectclassification.store import snippets
from objectclassification.store.writer import Database


class Slots:
    """The slots that were PUT to, and whose they are.

    A slot never goes away, and once it has a camera it keeps it; so only one without is looked up
    again.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cameras: dict[int, str | None] = {}

    async def check(self, number: int, identity: Identity) -> None:
        """Says whether a picture may be put there.

        Raises:
            NotFound: the slot does not exist.
            Forbidden: it is another camera's.
        """
        if self._cameras.get(number) is None:
            slot = await self._database.read(lambda c: snippets.slot(c, number))
            self._cameras[number] = slot.camera
        camera = self._cameras[number]
        if identity.role == "admin":
            return
        if camera is None or not identity.may_serve(camera):
            raise Forbidden(f"this {identity.role} token may not PUT to snippet {number}")


def slots_of(request: Request) -> Slots:
    """The slots that the app knows."""
    slots: Slots = request.app.state.slots
    return slots
