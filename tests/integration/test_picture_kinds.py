"""Pictures of every kind: named rightly or refused clearly, by a PUT and by the classifier."""

from __future__ import annotations

from pathlib import Path

import pytest

from objectclassification.classification.classifier import Classifier
from objectclassification.classification.evaluation import Classifies, evaluate
from objectclassification.classification.samples import read_samples
from objectclassification.errors import ImageError
from tests.kinds import KINDS, Kind
from tests.serving import Served

kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier()


@kinds
def test_the_classifier(classifier: Classifier, kind: Kind) -> None:
    if kind.code:
        with pytest.raises(ImageError) as caught:
            classifier.classify(kind.make())
        assert caught.value.code == kind.code
        assert "\n" not in caught.value.detail
        return
    best = classifier.classify(kind.make()).predictions[0]
    assert kind.label in (None, best.label)


@kinds
def test_a_put(server: Served, kind: Kind) -> None:
    made = server.call("PUT", "/snippets/1", data=kind.make())
    assert made.status_code == kind.put, made.text
    if kind.code:
        assert made.json()["code"] == kind.code
        return
    server.settle()
    picture = server.call("GET", f"/api/pictures/{made.json()['id']}").json()
    assert picture["state"] == "classified", picture["error"]
    assert kind.label in (None, picture["predictions"][0]["label"])
    assert server.call("GET", f"/api/pictures/{picture['id']}/thumbnail").status_code == 200


def test_a_folder_of_them(tmp_path: Path, classifier: Classifier) -> None:
    folder = tmp_path / "set" / "espresso"
    folder.mkdir(parents=True)
    for name, kind in KINDS.items():
        (folder / name).write_bytes(kind.make())
    samples = read_samples(folder.parent, classifier.labels).samples
    looks = Classifies(classifier.model_id, classifier.model_sha256, classifier.classify)
    done: list[int] = []
    found = evaluate(looks, samples, done.append)
    assert done == list(range(1, len(KINDS) + 1))
    refused = {f"espresso/{name}": kind.code for name, kind in KINDS.items() if kind.code}
    assert {one.file: one.code for one in found.refused} == refused
    assert found.pictures == len(KINDS) - len(refused)
    assert found.top1.right == sum(kind.label == "espresso" for kind in KINDS.values())
