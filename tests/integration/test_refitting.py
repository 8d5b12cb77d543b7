"""Heads after another model: fitted anew from the stored pictures, or stale with the reason.

The second model is real: the shipped network whose embedding is the first half of its own, or,
for one that is no good, as long and always the same.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from sqlalchemy import Connection, select, update

from objectclassification.bus import ClassificationFailed
from objectclassification.classification.classifier import SHIPPED_MODEL
from objectclassification.heads import Changes as PastChanges
from objectclassification.heads import ClassEvidence, Evidence
from objectclassification.store import tables
from objectclassification.store.pictures import blob as blob_of
from objectclassification.teaching.refitting import worse_than
from tests.integration.test_teaching import (
    activate,
    classes_of,
    label_both,
    ok,
    put,
    say,
    scenes,
    teach,
)
from tests.photographs import CHELSEA, COFFEE, views
from tests.serving import WAIT_S, Served, until


def model(folder: Path, *, blind: bool = False) -> Path:
    """The shipped network with another embedding: half as long, or the same for all pictures."""
    made = onnx.load(str(SHIPPED_MODEL))
    for node in made.graph.node:
        node.output[:] = ["whole" if name == "embedding" else name for name in node.output]
        node.input[:] = ["whole" if name == "embedding" else name for name in node.input]
    if blind:
        zero = numpy_helper.from_array(np.zeros(1, np.float32), "nothing")
        made.graph.initializer.append(zero)
        made.graph.node.append(helper.make_node("Mul", ["whole", "nothing"], ["embedding"]))
    else:
        for name, value in (("from", 0), ("to", 640), ("axis", 1)):
            edge = numpy_helper.from_array(np.array([value], np.int64), name)
            made.graph.initializer.append(edge)
        sliced = helper.make_node("Slice", ["whole", "from", "to", "axis"], ["embedding"])
        made.graph.node.append(sliced)
        (output,) = (one for one in made.graph.output if one.name == "embedding")
        output.type.tensor_type.shape.dim[1].dim_value = 640
    file = folder / f"{'blind' if blind else 'half'}.onnx"
    onnx.save(made, str(file))
    return file


def head(server: Served) -> Any:
    (found,) = ok(server.call("GET", "/api/heads"))
    return found


def answered_by(server: Served, number: int) -> None:
    """Waits until that version is on."""
    until(lambda: head(server)["active"] == number)


def reason(server: Served, part: str) -> None:
    """Waits until a head is stale for that reason."""
    until(lambda: part in (head(server)["stale_because"] or ""))


def taught(data: Path, number: int = 6) -> None:
    """A data folder with a head that answers, of the shipped model."""
    with Served(data) as server:
        server.new_token("camera", "door")
        label_both(server, number)
        teach(server, classes=["open", "closed"], camera="door")
        activate(server, 1)


def test_a_head_is_fitted_anew_and_goes_on(tmp_path: Path) -> None:
    data, half = tmp_path / "data", model(tmp_path)
    taught(data)
    with Served(data, model=half) as server:
        answered_by(server, 2)
        assert (head(server)["stale"], head(server)["stale_because"]) == (False, None)
        new, old = ok(server.call("GET", "/api/heads/valve/versions"))
        assert (new["refitted_from"], old["refitted_from"]) == (1, None)
        assert (new["by"], new["camera"], new["classes"]) == (old["by"], "door", old["classes"])
        assert new["evidence"]["pictures"] == 12
        assert new["model_sha256"] != old["model_sha256"]
        (picture,) = put(server, *views(COFFEE, 1, 7))
        assert classes_of(server, picture) == {"valve": "open"}
        # Its past is that of the new model: the labelled pictures.
        found = ok(server.call("GET", f"/api/pictures/{picture}/similar"))
        assert found["compared"] == 12
        # Whoever switches it off means it.
        assert ok(server.call("POST", "/api/heads/valve/rollback"))["active"] == 1
    with Served(data, model=half) as server:
        reason(server, "version 2, which was switched off")
        assert head(server)["active"] == 1
        activate(server, 2)
        assert head(server)["stale_because"] is None
    with Served(data) as server:  # and back: what the first model saw is still there
        answered_by(server, 3)
        (picture,) = put(server, *views(CHELSEA, 1, 7))
        assert classes_of(server, picture) == {"valve": "closed"}


def test_one_that_is_worse_stays_off_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    taught(data)
    with Served(data, model=model(tmp_path, blind=True)) as server:
        reason(server, "version 2, which is not switched on")
        found = head(server)
        assert (found["active"], found["stale"], found["versions"]) == (1, True, 2)
        assert "are right when held out, and were 100%" in found["stale_because"]
        (picture,) = put(server, *views(COFFEE, 1, 7))
        (answer,) = ok(server.call("GET", f"/api/pictures/{picture}"))["answers"]
        assert (answer["class"], answer["abstains"]) == (None, "stale")
        monkeypatch.setenv("COLUMNS", "250")
        shown = heads_command(server, monkeypatch, "list")
        assert "version 1: STALE, fitted anew it is version 2" in shown
        title = heads_command(server, monkeypatch, "show", "valve")
        assert "fitted anew from version 1 for another model" in title
        activate(server, 2)  # a person may
        assert not head(server)["stale"]


def test_with_fewer_pictures_it_stays_off_until_there_are_more(tmp_path: Path) -> None:
    data, half = tmp_path / "data", model(tmp_path)
    with Served(data) as server:
        opened, _ = label_both(server, 3)
        teach(server)
        activate(server, 1)
        blob = server.run(server.parts.database.read(lambda c: blob_of(c, opened[0], "full")))
        server.parts.blobs.delete(blob.key)
    with Served(data, model=half) as server:
        reason(server, "5 labelled pictures can be read, and there were 6")
        (more,) = put(server, *views(COFFEE, 1, 7))
        ok(say(server, more, "open"))
    with Served(data, model=half) as server:
        answered_by(server, 3)


def heads_command(server: Served, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setenv("OBJECTCLASSIFICATION_SERVER", server.url)
    monkeypatch.setenv("OBJECTCLASSIFICATION_TOKEN", server.token or "")
    done = subprocess.run(
        [sys.executable, "-m", "objectclassification", "heads", *arguments],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_cannot_be_fitted_anew_says_why(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Served(data) as server:
        opened, closed = label_both(server, 2)
        teach(server)
        activate(server, 1)
        for picture in closed:
            ok(say(server, picture, None))
    with Served(data, model=model(tmp_path)) as server:
        reason(server, "cannot be fitted anew: no picture is labelled 'closed'")
        assert head(server)["versions"] == 1
        assert {len(vector) for vector in embeddings_of(server, opened)} == {640 * 2, 1280 * 2}


def embeddings_of(server: Served, ids: list[str]) -> list[bytes]:
    query = select(tables.embeddings.c.vector).where(tables.embeddings.c.picture_id.in_(ids))
    return server.run(server.parts.database.read(lambda c: list(c.execute(query).scalars())))


def test_its_crop_and_a_margin_that_was_chosen_stay(tmp_path: Path) -> None:
    data, crop = tmp_path / "data", [0.9, 0.86, 0.96, 0.94]
    with Served(data) as server:
        for colour, name in (("yellow", "on"), ("black", "off")):
            for picture in put(server, *scenes(colour, 6)):
                ok(say(server, picture, name))
        teach(server, crop=crop, abstain=0.25)
        activate(server, 1)
    with Served(data, model=model(tmp_path)) as server:
        answered_by(server, 2)
        new = ok(server.call("GET", "/api/heads/valve/versions/2"))
        assert (new["crop"], new["abstain"]) == (crop, 0.25)
        (picture,) = put(server, *scenes("black", 1, seed=9))
        assert classes_of(server, picture) == {"valve": "off"}


def test_pictures_of_snaps_come_first(tmp_path: Path) -> None:
    """No labelled picture is looked at while a snap waits, here for a picture of another worker."""
    data = tmp_path / "data"
    taught(data, 3)

    def hold(connection: Connection, state: str) -> None:
        held = select(tables.jobs.c.id).limit(1).scalar_subquery()
        values = {"state": state, "priority": 0, "lease_until_at": 1e12, "worker": "elsewhere"}
        connection.execute(update(tables.jobs).where(tables.jobs.c.id == held).values(values))

    with Served(data) as server:
        server.run(server.parts.database.write(lambda c: hold(c, "leased")))
    with Served(data, model=model(tmp_path)) as server:
        reason(server, "it is being fitted anew: 0 of 5 labelled pictures are looked at")
        made = server.call("PUT", "/snippets/1", data=views(COFFEE, 1, 5)[0]).json()["id"]
        path = f"/api/pictures/{made}"
        until(lambda: bool(server.call("GET", path).json()["state"] == "classified"))
        assert head(server)["versions"] == 1
        seen = ok(server.call("GET", f"{path}/similar"))["compared"]
        assert seen == 0  # by the new model, besides this one
        server.run(server.parts.database.write(lambda c: hold(c, "done")))
        ended = ClassificationFailed("it", None, None, "as the other worker would say")
        server.run(say_on_the_bus(server, ended))
        answered_by(server, 2)


async def say_on_the_bus(server: Served, message: ClassificationFailed) -> None:
    server.parts.bus.publish(message)


def evidence(pictures: int, accuracy: float, low: float, *classes: ClassEvidence) -> Evidence:
    changes = PastChanges(0, 0, 0, {}, ())
    return Evidence(
        pictures, accuracy, low, 1.0, accuracy, 1.0, 1.0, classes, (), (), (), changes, 1.0
    )


def class_(name: str, right: float, low: float) -> ClassEvidence:
    return ClassEvidence(name, 10, 10, right, low, 1.0)


OLD = evidence(20, 0.95, 0.76, class_("open", 1.0, 0.72), class_("shut", 0.9, 0.6))


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (evidence(20, 0.76, 0.5, class_("open", 0.8, 0), class_("shut", 0.72, 0)), None),
        (evidence(40, 1.0, 0.9, class_("open", 1.0, 0), class_("shut", 1.0, 0)), None),
        (evidence(20, 0.75, 0.5, class_("open", 0.8, 0), class_("shut", 0.7, 0)), "75% are right"),
        (evidence(20, 0.8, 0.5, class_("open", 0.7, 0), class_("shut", 0.9, 0)), "of 'open'"),
        (evidence(19, 1.0, 0.8, class_("open", 1.0, 0), class_("shut", 1.0, 0)), "there were 20"),
    ],
)
def test_what_may_take_its_place(new: Evidence, why: str | None) -> None:
    found = worse_than(OLD, new)
    assert found is None if why is None else why in (found or "")
