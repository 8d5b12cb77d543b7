"""What the pages on teaching and on receipts show: a taught head, and a snap with a failed shot."""

from __future__ import annotations

import threading
from typing import Any

from tests.photographs import CHELSEA, COFFEE, views
from tests.serving import Served

CAMERA, HEAD = "garden", "visitor"
CLASSES = ("cat", "nobody")
EACH = 11
ORDER = {"order": 4711, "note": "<script>late</script>"}


def ok(answer: Any) -> Any:
    """What a call answered that went well."""
    assert answer.ok, answer.text
    return answer.json()


def pictures(server: Served) -> dict[str, str]:
    """Gives a server a camera with pictures of a cat and of no cat; the right class of each."""
    server.new_token("camera", CAMERA)
    slot = next(
        one["snippet"] for one in ok(server.call("GET", "/api/cameras")) if one["name"] == CAMERA
    )
    found = {}
    for name, file in zip(CLASSES, (CHELSEA, COFFEE), strict=True):
        for data in views(file, EACH):
            made = ok(server.call("PUT", f"/snippets/{slot}", data=data))
            found[made["id"]] = name
    server.settle()
    return found


def taught(server: Served) -> str:
    """Teaches a head, with one label wrong and one missing; the path of its page."""
    path = f"/teach/{HEAD}"
    if server.call("GET", f"/api/heads/{HEAD}").status_code == 200:
        return path
    some = list(pictures(server).items())[:-1]
    for n, (picture, name) in enumerate(some):
        said = CLASSES[1] if n == 0 else name
        ok(server.call("PATCH", f"/api/pictures/{picture}", json={"labels": {HEAD: said}}))
    wanted = {"classes": CLASSES, "camera": CAMERA}
    ok(server.call("POST", f"/api/heads/{HEAD}/versions", json=wanted))
    ok(server.call("POST", f"/api/heads/{HEAD}/activate", json={"version": 1}))
    return path


def evidence(server: Served) -> str:
    """The path of a version's page."""
    return f"{taught(server)}/1"


def snapped(server: Served) -> str:
    """Snaps a camera that answers, and one that is not there; the path of the receipt's page."""
    taught(server)
    with server.camera(CAMERA) as camera:
        answering = threading.Thread(target=camera.answer, args=(views(CHELSEA, 1, 9)[0],))
        answering.start()
        wanted = {"to": [CAMERA, "attic"], "deadline_s": 30, "context": ORDER}
        receipt = ok(server.call("POST", "/api/snaps?wait=1", json=wanted))
        answering.join()
    return f"/snaps/{receipt['snap']}"


def receipts(server: Served) -> str:
    """The path of a list that has a receipt."""
    snapped(server)
    return "/snaps"
