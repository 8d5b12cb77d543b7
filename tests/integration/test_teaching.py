"""Heads, from labels to answers: a real server, real children, real photographs."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
from PIL import Image, ImageDraw
from sqlalchemy import Connection

from objectclassification.auth import TokenRole
from objectclassification.classification.classifier import SHIPPED_MODEL
from objectclassification.store import heads as stored
from objectclassification.store import jobs, pictures, retention, uploads
from objectclassification.store import labels as said
from objectclassification.teaching import teacher
from tests.photographs import CHELSEA, COFFEE, ROCKET, views
from tests.serving import CameraLink, Served

COMMA = "zu, ganz zu"
PERSIAN = "نیمه‌باز"
"""Half open; with a zero width non-joiner, as it is written."""


@pytest.fixture
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose camera ``door`` has slot 1 and ``yard`` slot 2."""
    with Served(tmp_path_factory.mktemp("plant") / "data") as served:
        served.new_token("camera", "door")
        served.new_token("camera", "yard")
        yield served


def put(server: Served, *contents: bytes, slot: int = 1) -> list[str]:
    """Uploads pictures, and waits until they are classified; their ids."""
    made = [server.call("PUT", f"/snippets/{slot}", data=content) for content in contents]
    assert {answer.status_code for answer in made} == {201}
    server.settle()
    return [answer.json()["id"] for answer in made]


def say(server: Served, picture: str, name: str | None, head: str = "valve", **kwargs: Any) -> Any:
    body = {"labels": {head: name}}
    return server.call("PATCH", f"/api/pictures/{picture}", json=body, **kwargs)


def ok(answer: Any, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def teach(server: Served, status: int = 201, head: str = "valve", **wanted: Any) -> Any:
    return ok(server.call("POST", f"/api/heads/{head}/versions", json=wanted), status)


def activate(server: Served, number: int, head: str = "valve") -> Any:
    path = f"/api/heads/{head}/activate"
    return ok(server.call("POST", path, json={"version": number}))


def label_both(server: Served, number: int = 6, seed: int = 0) -> tuple[list[str], list[str]]:
    """Uploads and labels views of two photographs as open and closed."""
    opened = put(server, *views(COFFEE, number, seed))
    closed = put(server, *views(CHELSEA, number, seed))
    for name, some in (("open", opened), ("closed", closed)):
        for picture in some:
            ok(say(server, picture, name))
    return opened, closed


def snap(server: Served, camera: CameraLink, image: bytes, **options: Any) -> Any:
    """A snap that the camera answers with a picture; its receipt."""
    answering = threading.Thread(target=camera.answer, args=(image,))
    answering.start()
    body = {"to": ["door"], "deadline_s": 30, "options": options}
    receipt = ok(server.call("POST", "/api/snaps?wait=1", json=body))
    answering.join()
    return receipt


def test_from_labels_to_an_answer_and_back(plant: Served) -> None:
    opened, closed = label_both(plant)
    first = teach(plant, classes=["open", "closed"], camera="door")
    evidence = first["evidence"]
    assert (first["number"], first["active"], first["stale"]) == (1, False, False)
    assert (evidence["pictures"], evidence["balanced_accuracy"]) == (12, 1.0)
    assert evidence["confusion"] == [[6, 0], [0, 6]]
    assert evidence["low"] < 1 == evidence["accuracy"]
    assert evidence["changes"]["looked_at"] == 12
    assert evidence["changes"]["answered"] == 0

    with plant.camera("door") as camera:
        before = snap(plant, camera, views(COFFEE, 1, 7)[0])
        assert before["shots"][0]["answers"] == []
        assert activate(plant, 1)["active"]
        receipt = snap(plant, camera, views(COFFEE, 1, 8)[0], ask="valve")
        (answer,) = receipt["shots"][0]["answers"]
        assert (answer["head"], answer["class"], answer["version"]) == ("valve", "open", 1)
        assert answer["margin"] > first["abstain"]
        assert list(answer["scores"]) == ["open", "closed"]
        assert answer["score"] == answer["scores"]["open"]
        # The same is in the rows, and it can be searched for.
        snap_id, picture = receipt["snap"], receipt["shots"][0]["picture"]["id"]
        assert ok(plant.call("GET", f"/api/snaps/{snap_id}"))["shots"] == receipt["shots"]
        query = {"head": "valve", "class": "open"}
        found = ok(plant.call("GET", "/api/pictures", params=query))["pictures"]
        assert [one["id"] for one in found] == [picture]
        assert ok(plant.call("GET", "/api/pictures?head=valve&class=closed"))["pictures"] == []
        assert ok(plant.call("GET", "/api/pictures?class=open"), 422)["code"] == "bad_message"

        for picture in opened + closed:  # the operator had the two mixed up
            ok(say(plant, picture, "closed" if picture in opened else "open"))
        second = teach(plant)
        changes = second["evidence"]["changes"]
        assert (changes["answered"], changes["changed"]) == (1, 1)
        assert changes["examples"][0]["before"] == "open"
        assert changes["examples"][0]["now"] == "closed"
        activate(plant, 2)
        receipt = snap(plant, camera, views(COFFEE, 1, 9)[0], ask="valve")
        assert receipt["shots"][0]["answers"][0]["class"] == "closed"
        assert ok(plant.call("POST", "/api/heads/valve/rollback"))["active"] == 1
        receipt = snap(plant, camera, views(COFFEE, 1, 10)[0], ask="valve")
        assert receipt["shots"][0]["answers"][0]["class"] == "open"
    assert ok(plant.call("POST", "/api/heads/valve/rollback"))["active"] is None
    assert ok(plant.call("POST", "/api/heads/valve/rollback"), 404)["code"] == "not_found"


def test_an_answer_outlives_the_server(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as plant:
        plant.new_token("camera", "door")
        label_both(plant, 3)
        teach(plant)
        activate(plant, 1)
        (picture,) = put(plant, *views(COFFEE, 1, 5))
        said = ok(plant.call("GET", f"/api/pictures/{picture}"))["answers"]
        assert [one["class"] for one in said] == ["open"]
    with Served(tmp_path / "data") as again:
        assert ok(again.call("GET", f"/api/pictures/{picture}"))["answers"] == said
        (later,) = put(again, *views(CHELSEA, 1, 5))
        assert classes_of(again, later) == {"valve": "closed"}


def test_after_a_new_model_an_old_version_cannot_be_switched_on(tmp_path: Path) -> None:
    """That it is fitted anew is in test_refitting.py; here is what a person may do."""
    with Served(tmp_path / "data") as plant:
        plant.new_token("camera", "door")
        label_both(plant, 3)
        teach(plant)
    other = onnx.load(str(SHIPPED_MODEL))
    other.doc_string = "the same network, trained longer"
    onnx.save(other, str(tmp_path / "other.onnx"))
    with Served(tmp_path / "data", model=tmp_path / "other.onnx") as later:
        refused = later.call("POST", "/api/heads/valve/activate", json={"version": 1})
        assert ok(refused, 409)["code"] == "conflict"
        # One that never was on is not fitted anew by itself; children look at its pictures now.
        again = teach(later)
        assert (again["number"], again["stale"], again["evidence"]["pictures"]) == (2, False, 6)
        assert again["refitted_from"] is None
        activate(later, 2)
        (picture,) = put(later, *views(COFFEE, 1, 6))
        assert classes_of(later, picture) == {"valve": "open"}


class TestCrop:
    def test_a_small_thing_is_taught_by_its_rectangle(self, plant: Served) -> None:
        """A lamp in the corner of one scene: the rest of the picture says nothing."""
        lit, dark = (put(plant, *scenes(lamp, 6)) for lamp in ("yellow", "black"))
        for name, some in (("on", lit), ("off", dark)):
            for picture in some:
                ok(say(plant, picture, name, "lamp"))
        crop = [0.9, 0.86, 0.96, 0.94]
        taught = teach(plant, head="lamp", crop=crop, camera="door")
        assert taught["crop"] == crop
        assert taught["evidence"]["balanced_accuracy"] == 1.0
        assert taught["evidence"]["changes"]["looked_at"] == 12
        activate(plant, 1, "lamp")
        for lamp, name in (("yellow", "on"), ("black", "off")):
            (picture,) = put(plant, *scenes(lamp, 1, seed=9))
            assert classes_of(plant, picture) == {"lamp": name}
        # A picture of another camera is not asked.
        (elsewhere,) = put(plant, *scenes("yellow", 1, seed=10), slot=2)
        assert classes_of(plant, elsewhere) == {}
        # What was looked at for an answer need not be looked at again.
        assert plant.rows()["crop_embeddings"] == 14

    @pytest.mark.parametrize(
        "crop", [[0, 0, 0, 0], [0.5, 0.5, 0.2, 0.9], [0, 0, 2, 1], [0.1, 0.2], "left"]
    )
    def test_what_is_no_rectangle_is_refused(self, plant: Served, crop: Any) -> None:
        assert teach(plant, 422, crop=crop)["code"] == "bad_message"

    def test_the_whole_picture_is_no_crop(self, plant: Served) -> None:
        label_both(plant, 2)
        assert teach(plant, crop=[0, 0, 1, 1])["crop"] is None


class TestBadInput:
    def test_a_class_without_a_picture(self, plant: Served) -> None:
        opened, _ = label_both(plant, 2)
        refused = teach(plant, 409, classes=["open", "ajar"])
        assert "no picture is labelled 'ajar' for 'valve'" in refused["detail"]
        assert (
            "no picture is labelled 'open' for 'lid'"
            in (teach(plant, 409, head="lid", classes=["open", "closed"])["detail"])
        )
        assert "2 to 32 classes" in teach(plant, 409, classes=["open"])["detail"]
        assert "2 to 32 classes" in teach(plant, 409, head="lid")["detail"]
        ok(say(plant, opened[0], None))
        assert plant.rows()["labels"] == 3
        assert plant.rows()["head_versions"] == 0

    def test_a_class_with_one_picture(self, plant: Served) -> None:
        _, closed = label_both(plant, 4)
        for picture in closed[1:]:
            ok(say(plant, picture, None))
        evidence = teach(plant)["evidence"]
        assert [one["right"] for one in evidence["classes"]] == [0.0, 1.0]
        assert [one["picture"] for one in evidence["mistakes"]] == [closed[0]]
        assert any(
            one["code"] == "too_few" and "nothing is proven" in one["detail"]
            for one in evidence["findings"]
        )

    def test_the_same_picture_twice_counts_once(self, plant: Served) -> None:
        image = views(COFFEE, 1)[0]
        same = put(plant, image, image, image)
        others = put(plant, *views(CHELSEA, 3))
        for picture in same:
            ok(say(plant, picture, "open"))
        for picture in others:
            ok(say(plant, picture, "closed"))
        evidence = teach(plant)["evidence"]
        opened = next(one for one in evidence["classes"] if one["name"] == "open")
        assert (opened["pictures"], opened["distinct"], opened["right"]) == (3, 1, 0.0)
        assert {"too_few", "too_similar"} <= {one["code"] for one in evidence["findings"]}
        # With two labels it is a contradiction, and it says which pictures.
        ok(say(plant, same[0], "closed"))
        (found,) = (
            one
            for one in teach(plant)["evidence"]["findings"]
            if one["code"] == "contradiction" and same[1] in one["detail"]
        )
        assert same[0] in found["detail"]

    def test_classes_in_any_script_and_with_commas(self, plant: Served) -> None:
        opened, closed = label_both(plant, 3)
        for picture in opened:
            ok(say(plant, picture, f"  {PERSIAN} "))
        for picture in closed:
            assert ok(say(plant, picture, COMMA))["labels"] == {"valve": COMMA}
        taught = teach(plant, classes=[COMMA, PERSIAN])
        assert taught["classes"] == [COMMA, PERSIAN]
        activate(plant, 1)
        (picture,) = put(plant, *views(COFFEE, 1, 5))
        assert classes_of(plant, picture) == {"valve": PERSIAN}
        query = {"head": "valve", "class": PERSIAN}
        assert len(ok(plant.call("GET", "/api/pictures", params=query))["pictures"]) == 1

    @pytest.mark.parametrize("name", ["", " ", "a\nb", "\u202eopen", "x" * 65, 5, ["open"]])
    def test_what_is_no_class_is_refused(self, server: Served, name: Any) -> None:
        made = server.call("PUT", "/snippets/1", data=views(COFFEE, 1)[0]).json()
        assert ok(say(server, made["id"], name), 422)["code"] == "bad_message"

    @pytest.mark.parametrize("head", ["a b", "../x", "x" * 65, "ventil ü"])
    def test_what_is_no_head_is_refused(self, server: Served, head: str) -> None:
        made = server.call("PUT", "/snippets/1", data=views(COFFEE, 1)[0]).json()
        assert ok(say(server, made["id"], "open", head), 422)["code"] == "bad_message"

    def test_there_is_an_end_to_names(self, plant: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(said, "MOST_NAMES", 2)
        (picture,) = put(plant, *views(COFFEE, 1))
        for head, name in (("a", "x"), ("a", "y"), ("b", "x"), ("", "x"), ("a", "x")):
            ok(say(plant, picture, name, head))
        ok(say(plant, put(plant, *views(COFFEE, 1, 1))[0], "y", "a"))
        assert "with 2 classes already" in ok(say(plant, picture, "z", "a"), 409)["detail"]
        assert "for 2 heads already" in ok(say(plant, picture, "x", "c"), 409)["detail"]
        ok(say(plant, picture, "anything", ""))

    def test_a_picture_that_is_not_there(self, server: Served) -> None:
        assert ok(say(server, "nowhere", "open"), 404)["code"] == "not_found"

    def test_a_version_that_is_not_there(self, server: Served) -> None:
        for method, path, body in (
            ("GET", "/api/heads/nothing", None),
            ("GET", "/api/heads/nothing/versions", None),
            ("GET", "/api/heads/nothing/versions/1", None),
            ("POST", "/api/heads/nothing/activate", {"version": 1}),
        ):
            assert ok(server.call(method, path, json=body), 404)["code"] == "not_found"

    def test_a_label_without_a_head_says_what_is_on_it(self, plant: Served) -> None:
        (picture,) = put(plant, *views(COFFEE, 1))
        assert ok(say(plant, picture, "espresso", ""))["labels"] == {"": "espresso"}
        assert ok(plant.call("GET", "/api/heads")) == []


class TestAsk:
    def test_a_head_that_does_not_answer_is_refused_at_once(self, plant: Served) -> None:
        label_both(plant, 2)
        assert "of the camera yard" in teach(plant, 409, camera="yard")["detail"]
        teach(plant)  # not switched on
        with plant.camera("door", token=plant.token):
            body = {"to": ["door"], "options": {"ask": "valve"}}
            refused = plant.call("POST", "/api/snaps", json=body)
            assert "no head 'valve' is switched on" in ok(refused, 404)["detail"]
            assert plant.rows()["snaps"] == 0
            activate(plant, 1)
            early = {**body, "until": "uploaded"}
            assert (
                "needs until: classified"
                in (ok(plant.call("POST", "/api/snaps", json=early), 422)["detail"])
            )
            body["options"] = {"ask": ["valve"]}
            assert ok(plant.call("POST", "/api/snaps", json=body), 422)["code"] == "bad_message"

    def test_a_head_of_another_camera_is_refused_at_once(self, plant: Served) -> None:
        for picture, name in zip(put(plant, *views(COFFEE, 4), slot=2), "abab", strict=True):
            ok(say(plant, picture, name))
        teach(plant, camera="yard")
        activate(plant, 1)
        with plant.camera("door", token=plant.token):
            body = {"to": ["door"], "options": {"ask": "valve"}}
            refused = ok(plant.call("POST", "/api/snaps", json=body), 404)
            assert refused["detail"] == "the head 'valve' is for the camera yard, not for door"

    def test_it_abstains_when_the_margin_is_small(self, plant: Served) -> None:
        label_both(plant, 3)
        assert teach(plant, precision=0.99)["evidence"]["precision"] == 0.99
        assert "give either" in teach(plant, 422, precision=0.99, abstain=1.0)["detail"]
        assert teach(plant, abstain=1.0)["evidence"]["precision"] is None
        activate(plant, 2)
        with plant.camera("door") as camera:
            shot = snap(plant, camera, views(COFFEE, 1, 8)[0], ask="valve")["shots"][0]
        (answer,) = shot["answers"]
        assert (answer["class"], answer["abstains"]) == (None, "close")
        assert set(answer["scores"]) == {"open", "closed"}
        assert ok(plant.call("GET", "/api/pictures?head=valve"))["pictures"]


def test_suggestions_are_unlabelled_and_of_different_scenes(plant: Served) -> None:
    opened, closed = label_both(plant, 3)
    first = put(plant, *views(ROCKET, 2, 1), *views(COFFEE, 2, 1))
    found = ok(plant.call("GET", "/api/heads/valve/suggestions?limit=3"))
    assert found[0]["why"] == "different"
    assert found[0]["picture"] in first[:2], "nothing like the rocket is labelled"
    assert found[0]["said"] is None
    assert not {one["picture"] for one in found} & {*opened, *closed}
    teach(plant)
    found = ok(plant.call("GET", "/api/heads/valve/suggestions?limit=2"))
    assert [one["why"] for one in found] == ["close", "different"]
    margins = [one["margin"] for one in found]
    assert margins[0] <= margins[1]
    for picture in first:
        ok(say(plant, picture, "open"))
    assert ok(plant.call("GET", "/api/heads/valve/suggestions")) == []


def test_only_who_may_label_teaches(server: Served, tokens: dict[TokenRole, str]) -> None:
    made = server.call("PUT", "/snippets/1", data=views(COFFEE, 1)[0]).json()
    for role, status in (("camera", 403), ("viewer", 403), ("operator", 200)):
        token = tokens[role]  # type: ignore[index]
        assert say(server, made["id"], "open", "lid", token=token).status_code == status
        for path, body, found in (
            ("versions", {}, 409),
            ("activate", {"version": 1}, 404),
            ("rollback", None, 404),
        ):
            answer = server.call("POST", f"/api/heads/lid/{path}", json=body, token=token)
            assert answer.status_code == (403 if status == 403 else found)
        reads = server.call("GET", "/api/heads", token=token).status_code
        assert reads == (403 if role == "camera" else 200)


def test_labelled_pictures_stay_and_their_label_goes_with_them(plant: Served) -> None:
    kept, free = put(plant, *views(COFFEE, 2))
    put(plant, *views(COFFEE, 1, 3))  # what the slot shows
    ok(say(plant, kept, "open"))
    ids = [one.id for one in plant.run(plant.parts.database.read(candidates))]
    assert ids == [free]
    plant.run(plant.parts.database.write(lambda c: retention.remove(c, [kept])))
    assert plant.rows()["labels"] == 0


def candidates(connection: Connection) -> list[retention.Candidate]:
    return retention.candidates(connection, after="", limit=10)


def test_old_versions_that_never_answered_make_room(
    plant: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MOST_VERSIONS", 2)
    label_both(plant, 2)
    teach(plant)
    activate(plant, 1)
    teach(plant)
    assert teach(plant)["number"] == 3
    versions = ok(plant.call("GET", "/api/heads/valve/versions?limit=10"))
    assert [one["number"] for one in versions] == [3, 1]
    activate(plant, 3)
    assert "all answered once" in teach(plant, 409)["detail"]


def classes_of(server: Served, picture: str) -> dict[str, str | None]:
    """What heads answered for a picture."""
    answers = ok(server.call("GET", f"/api/pictures/{picture}"))["answers"]
    return {one["head"]: one["class"] for one in answers}


def scenes(lamp: str, number: int, seed: int = 0) -> list[bytes]:
    """JPEGs of a photograph with a small lamp in a corner, in different light."""
    made = []
    for image in views(ROCKET, number, seed):
        with Image.open(io.BytesIO(image)) as opened:
            scene = opened.convert("RGB").resize((1280, 853))
        ImageDraw.Draw(scene).ellipse((1165, 745, 1215, 795), fill=lamp)
        buffer = io.BytesIO()
        scene.save(buffer, "JPEG", quality=90)
        made.append(buffer.getvalue())
    return made


def test_looking_again_is_bounded_and_goes_on_with_the_next_call(
    plant: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_both(plant, 3)
    crop = [0.1, 0.1, 0.9, 0.9]
    with monkeypatch.context() as patch:
        patch.setattr(teacher, "LOOK_S", 0.0)
        busy = teach(plant, 503, crop=crop)
    assert busy["code"] == "busy"
    assert busy["detail"] == "6 labelled pictures are still to be looked at: ask again"
    assert teach(plant, crop=crop)["evidence"]["pictures"] == 6


def test_a_picture_whose_file_is_gone_does_not_count(plant: Served) -> None:
    opened, _ = label_both(plant, 3)
    blob = plant.run(plant.parts.database.read(lambda c: pictures.blob(c, opened[0], "full")))
    plant.parts.blobs.delete(blob.key)
    evidence = teach(plant, crop=[0.1, 0.1, 0.9, 0.9])["evidence"]
    assert evidence["pictures"] == 5
    assert [one["detail"] for one in evidence["findings"] if one["code"] == "not_read"] == [
        "labelled pictures that cannot be read, and do not count: 1"
    ]


def test_a_picture_that_is_being_classified_does_not_count_yet(plant: Served) -> None:
    """Two that look at it at the same time would both store its embedding."""
    label_both(plant, 3)
    key = "held-elsewhere"
    sha256 = plant.parts.blobs.put(key, views(COFFEE, 1, 5)[0])
    upload = uploads.Upload(
        key, 1, None, "full", sha256, 100, "image/jpeg", 8, 8, None, 1e9, None, None
    )

    def hold(connection: Connection) -> str:
        made = uploads.take(connection, upload).picture.id
        assert jobs.lease(connection, "elsewhere", now=time.time(), lease_s=3600)
        return made

    held = plant.run(plant.parts.database.write(hold))
    ok(say(plant, held, "open"))
    evidence = teach(plant)["evidence"]
    assert evidence["pictures"] == 6
    assert not {"not_read"} & {one["code"] for one in evidence["findings"]}
    assert plant.rows()["embeddings"] == 6
