"""The pictures that look most like one: over HTTP, on the command line, and against numpy."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, select

from objectclassification.api.similar import MOST_SEARCHES, Searches, Similar
from objectclassification.classification.outcome import Outcome
from objectclassification.classification.pool import ChildNotStarted
from objectclassification.errors import Busy, ChildDied, Undecodable
from objectclassification.store import retention, tables
from tests.photographs import CHELSEA, COFFEE, ROCKET
from tests.serving import WAIT_S, Served, photo

Found = dict[str, Any]


def put(server: Served, slot: int, content: bytes) -> str:
    made = server.call("PUT", f"/snippets/{slot}", data=content)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def similar(server: Served, picture: str, **query: Any) -> Found:
    answer = server.call("GET", f"/api/pictures/{picture}/similar", params=query)
    assert answer.status_code == 200, answer.text
    found: Found = answer.json()
    return found


def ids(found: Found) -> list[str]:
    return [one["picture"]["id"] for one in found["similar"]]


def write(server: Served, work: Callable[[Connection], Any]) -> None:
    server.run(server.parts.database.write(work))


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two cameras; each took two pictures of a rocket, one of a cat and one of a cup."""
    with Served(tmp_path_factory.mktemp("past") / "data") as served:
        for slot, name in enumerate(("door", "yard"), 1):
            served.new_token("camera", name)
            for content in (CHELSEA.read_bytes(), COFFEE.read_bytes()):
                put(served, slot, content)
            for mark in ("a", "b"):
                put(served, slot, photo(mark))
        served.settle()
        yield served


@pytest.fixture(scope="module")
def rockets(past: Served) -> list[str]:
    """Newest first."""
    found = past.call("GET", "/api/pictures", params={"limit": 8}).json()["pictures"]
    sizes = ROCKET.stat().st_size
    return [one["id"] for one in found if one["renditions"]["full"]["size_bytes"] == sizes + 1]


def test_the_same_thing_comes_first(past: Served, rockets: list[str]) -> None:
    found = similar(past, rockets[0])
    assert found["compared"] == 7
    assert len(found["similar"]) == 7  # itself is not among them
    assert ids(found)[:3] == rockets[1:]  # all equal: the newest first
    near = [one["similarity"] for one in found["similar"]]
    assert near[:3] == [1, 1, 1]
    assert near == sorted(near, reverse=True)
    assert near[3] < 0.9
    first = found["similar"][0]["picture"]
    assert first == past.call("GET", f"/api/pictures/{first['id']}").json()


def test_it_is_what_numpy_finds(past: Served, rockets: list[str]) -> None:
    rows = past.run(past.parts.database.read(lambda c: c.execute(select(tables.embeddings)).all()))
    vectors = {row.picture_id: np.frombuffer(row.vector, "<f2").astype(float) for row in rows}
    one = vectors.pop(rockets[0])
    expected = {
        id_: one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        for id_, other in vectors.items()
    }
    found = {o["picture"]["id"]: o["similarity"] for o in similar(past, rockets[0])["similar"]}
    assert found == pytest.approx(expected, abs=2e-6)


def test_of_one_camera_and_only_so_many(past: Served, rockets: list[str]) -> None:
    found = similar(past, rockets[0], camera="door")
    assert found["compared"] == 4
    assert {one["picture"]["camera"] for one in found["similar"]} == {"door"}
    assert ids(similar(past, rockets[0], limit=1)) == rockets[1:2]
    assert similar(past, rockets[0], camera="window") == {"compared": 0, "similar": []}
    path = f"/api/pictures/{rockets[0]}/similar"
    for limit in (0, 101, "many"):
        assert past.call("GET", path, params={"limit": limit}).status_code == 422


def test_a_deleted_picture_is_not_found_and_damage_is_passed_over(past: Served) -> None:
    kept, deleted, damaged = (put(past, 1, photo(f"new {n}")) for n in range(3))
    past.settle()
    assert {deleted, damaged} <= set(ids(similar(past, kept)))
    write(past, lambda c: retention.remove(c, [deleted]))
    short = tables.embeddings.update().where(tables.embeddings.c.picture_id == damaged)
    write(past, lambda c: c.execute(short.values(vector=bytes(7))))
    assert not {deleted, damaged} & set(ids(similar(past, kept)))
    write(past, lambda c: retention.remove(c, [kept, damaged]))


def test_only_what_the_same_model_saw_is_compared(past: Served, rockets: list[str]) -> None:
    """Here another model saw three of them, and its embeddings have another length."""
    other = [
        {"picture_id": id_, "model_sha256": "0" * 64, "vector": bytes(6)} for id_ in rockets[:3]
    ]
    write(past, lambda c: c.execute(tables.embeddings.insert(), other))
    assert similar(past, rockets[0])["compared"] == 7  # by the model that named it
    mine = (tables.embeddings.c.picture_id == rockets[0]) & (
        tables.embeddings.c.model_sha256 != "0" * 64
    )
    vector = past.run(
        past.parts.database.read(lambda c: c.execute(select(tables.embeddings).where(mine)).one())
    )
    write(past, lambda c: c.execute(tables.embeddings.delete().where(mine)))
    assert sorted(ids(similar(past, rockets[0])), reverse=True) == rockets[1:3]
    write(past, lambda c: c.execute(tables.embeddings.insert(), [dict(vector._mapping)]))
    gone = tables.embeddings.delete().where(tables.embeddings.c.model_sha256 == "0" * 64)
    write(past, lambda c: c.execute(gone))


def test_without_an_embedding_it_says_why(past: Served, rockets: list[str]) -> None:
    def answer(picture: str) -> tuple[int, str]:
        said = past.call("GET", f"/api/pictures/{picture}/similar")
        return said.status_code, said.json()["detail"]

    assert answer("none") == (404, "no picture none")
    # Its header and its end are good, so that a PUT takes it.
    cat = CHELSEA.read_bytes()
    broken = put(past, 1, cat[:9000] + bytes(9000) + cat[18_000:])
    past.settle()
    status, detail = answer(broken)
    assert (status, "could not be classified" in detail) == (409, True)
    job = tables.jobs.update().where(tables.jobs.c.picture_id == broken)
    write(past, lambda c: c.execute(job.values(state="done")))
    assert answer(broken) == (409, "the model that classified it gives no embedding to compare")
    # Leased by another worker: the server's own leaves it alone.
    write(past, lambda c: c.execute(job.values(state="leased", lease_until_at=1e12)))
    assert answer(broken) == (409, "it is not classified yet: ask again in a moment")
    write(past, lambda c: retention.remove(c, [broken]))


def test_a_few_searches_wait_and_more_are_refused(past: Served, rockets: list[str]) -> None:
    searches = past.system.app.state.searches

    async def at_once() -> list[object]:
        wanted = (searches.search(rockets[0], None, 1) for _ in range(MOST_SEARCHES + 2))
        return list(await asyncio.gather(*wanted, return_exceptions=True))

    found = past.run(at_once())
    assert [type(one) for one in found] == [Similar] * MOST_SEARCHES + [Busy] * 2
    assert similar(past, rockets[0])["similar"]  # and then there is room again


class TestAPictureThatIsSent:
    def test_it_is_compared_and_not_stored(self, past: Served, rockets: list[str]) -> None:
        rows, files = past.rows(), past.files()
        path = "/api/similar"
        found = past.call("POST", path, data=photo("from a phone"), params={"limit": 4})
        assert found.status_code == 200, found.text
        assert found.json()["compared"] == 8
        assert ids(found.json()) == rockets
        assert found.json()["similar"][0]["similarity"] == 1
        form = past.call("POST", path, files={"file": photo()}, params={"camera": "door"})
        assert (form.json()["compared"], ids(form.json())[:2]) == (4, rockets[2:])
        assert (past.rows(), past.files()) == (rows, files)

    def test_what_is_no_picture_is_refused_as_by_a_put(self, past: Served) -> None:
        files = past.files()
        cat = CHELSEA.read_bytes()
        for content, status, code in (
            (b"hello", 415, "not_an_image"),
            (b"", 422, "undecodable"),
            (cat[:9000], 422, "undecodable"),
            (cat[:9000] + bytes(9000) + cat[18_000:], 422, "undecodable"),  # only a child sees it
            (bytes(33 * 2**20), 413, "too_large"),
        ):
            refused = past.call("POST", "/api/similar", data=content)
            assert (refused.status_code, refused.json()["code"]) == (status, code)
        wrong = past.call("POST", "/api/similar", data=photo(), params={"limit": 0})
        assert wrong.status_code == 422
        assert past.files() == files

    def test_a_child_that_dies_over_it_costs_nothing_else(
        self, past: Served, rockets: list[str]
    ) -> None:
        """It is not tried twice; a child that cannot be started is not the picture's fault."""

        async def asked(exc: ChildDied) -> object:
            async def look(path: Path) -> Outcome:
                raise exc

            searches = Searches(past.parts.database, look)
            sent = nullcontext(Path("it is not read"))
            (found,) = await asyncio.gather(
                searches.search_like(sent, None, 1), return_exceptions=True
            )
            return found

        assert isinstance(past.run(asked(ChildDied("it died", pid=1))), Undecodable)
        assert isinstance(past.run(asked(ChildNotStarted("no memory"))), Busy)


def command(server: Served, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "objectclassification", "similar", *arguments],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )


def test_the_command(
    past: Served, rockets: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OBJECTCLASSIFICATION_SERVER", past.url)
    monkeypatch.setenv("OBJECTCLASSIFICATION_TOKEN", past.new_token("viewer"))
    monkeypatch.setenv("COLUMNS", "120")
    shown = command(past, rockets[0], "--limit", "2", "--camera", "door")
    assert shown.returncode == 0, shown.stderr
    assert all(
        id_ in shown.stdout for id_ in ids(similar(past, rockets[0], limit=2, camera="door"))
    )
    assert "1.000" in shown.stdout
    assert "compared with 4 pictures" in shown.stdout
    as_json = command(past, rockets[0], "--json")
    assert json.loads(as_json.stdout) == similar(past, rockets[0])
    by_file = command(past, str(ROCKET), "--json", "--limit", "4")
    assert ids(json.loads(by_file.stdout)) == rockets
    text = tmp_path / "text.jpg"
    text.write_text("hello")
    for wrong in (
        "none",
        "../tokens",
        "a?b#c",
        str(text),
        str(tmp_path),
        "x" * 5000,
        "gone.jpg",
        "/dev/zero",
    ):
        refused = command(past, wrong)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith("error: ")
        assert len(refused.stderr.splitlines()) == 1
