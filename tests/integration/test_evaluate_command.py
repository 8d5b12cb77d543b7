"""``objectclassification evaluate`` as a person or a script runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from objectclassification.classification.boxes import ClassPrecision
from objectclassification.classification.classifier import SHIPPED_MODEL, Classifier
from objectclassification.classification.evaluation import Detects, evaluate_boxes
from objectclassification.classification.samples import Sample
from objectclassification.receipts import Prediction
from objectclassification.web.evaluation import report
from tests.photographs import CHELSEA, COFFEE, ROCKET

pytestmark = pytest.mark.long

NASTY = '<img src=x onerror="1">&.png'


def evaluate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "objectclassification", "evaluate", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures that are named rightly, and a rocket that is said to be a banana."""
    made = tmp_path / "set"
    for class_, file, name in (
        ("Espresso", COFFEE, "cup.png"),
        ("Egyptian_mau", CHELSEA, "chelsea.png"),
        ("banana", ROCKET, NASTY),
    ):
        (made / class_).mkdir(parents=True)
        (made / class_ / name).write_bytes(file.read_bytes())
    return made


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_as_a_table_as_json_and_as_a_report(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    shown = evaluate("shipped", folder, "--html", page)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "on 3 pictures" in shown.stdout
    assert "of 3; 95 % sure of" in shown.stdout
    assert "banana" in shown.stdout

    found: dict[str, Any] = json.loads(evaluate(SHIPPED_MODEL, folder, "--json").stdout)
    assert found["model"] == "efficientnet-lite0-int8"
    assert (found["pictures"], found["top5"]["right"]) == (3, 2)  # which cat depends on the machine
    assert sum(one["pictures"] for one in found["calibration"]) == 3
    assert [one["label"] for one in found["classes"]] == ["Egyptian Mau", "banana", "espresso"]
    assert found["confusion"]["espresso"] == {"espresso": 1}
    assert 0 <= found["ece"] <= 1
    (rocket,) = (one for one in found["mistakes"] if one["truth"] == "banana")
    assert rocket["file"] == f"banana/{NASTY}"
    assert rocket["score"] == max(one["score"] for one in found["mistakes"])
    assert found["mistakes"][0] == rocket
    assert 0 < found["speed"]["infer_ms"] < found["speed"]["median_ms"]

    tags = Tags(page.read_text())
    pictures = [values for tag, values in tags.tags if tag == "img"]
    assert len(pictures) == len(found["mistakes"])
    for values in pictures:
        assert values.keys() == {"alt", "src"}
        assert str(values["src"]).startswith("data:image/jpeg;base64,")
    assert NASTY in tags.text  # as a name, and not as a tag
    assert not [tag for tag, _ in tags.tags if tag in ("script", "link", "iframe", "a")]
    (policy,) = (values for tag, values in tags.tags if "http-equiv" in values)
    assert "default-src 'none'" in str(policy["content"])
    assert "color-scheme: light dark" in page.read_text()


def test_files_that_are_no_pictures_are_listed_and_the_rest_is_evaluated(folder: Path) -> None:
    (folder / "banana" / "notes.txt").write_bytes(b"hello")
    os.mkfifo(folder / "banana" / "pipe.png")  # which nobody writes to
    (folder / "banana" / "gone.png").symlink_to(folder / "nowhere")
    run = evaluate("shipped", folder, "--json")
    found = json.loads(run.stdout)
    assert (run.returncode, found["pictures"], found["refused_files"]) == (1, 3, 3)
    assert {(one["file"], one["code"]) for one in found["refused"]} == {
        ("banana/notes.txt", "not_an_image"),
        ("banana/pipe.png", "not_found"),
        ("banana/gone.png", "not_found"),
    }
    shown = evaluate("shipped", folder)
    assert shown.returncode == 1
    assert "error: banana/notes.txt: not a PNG, JPEG or WebP image" in shown.stderr
    for class_ in ("Espresso", "Egyptian_mau", "banana"):
        for file in (folder / class_).glob("*"):
            if file.is_file() and file.suffix != ".txt":
                file.unlink()
    none = json.loads(evaluate("shipped", folder, "--json").stdout)
    assert (none["pictures"], none["speed"], none["top1"]["share"]) == (0, None, 0)


def test_a_csv(folder: Path) -> None:
    (folder / "truth.csv").write_text("file,label\nEspresso/cup.png,espresso\n")
    found = json.loads(evaluate("shipped", folder / "truth.csv", "--json").stdout)
    assert (found["pictures"], found["top1"]["right"]) == (1, 1)


def test_what_cannot_work_is_one_line(folder: Path, tmp_path: Path) -> None:
    (folder / "boxes.csv").write_text("file,label,left,top,right,bottom\na.png,espresso,0,0,1,1\n")
    (tmp_path / "model.onnx").write_bytes(b"hello")
    for arguments, said in (
        ((tmp_path / "none.onnx", folder), "cannot be read"),
        ((tmp_path / "model.onnx", folder), "not a model"),
        (("shipped", tmp_path / "none"), "No such file"),
        ((SHIPPED_MODEL, folder / "boxes.csv"), "takes a detector"),
        (("shipped", folder / "boxes.csv"), "no label for: 'espresso'"),
        (("shipped", tmp_path), "no label for"),
        (("shipped", folder, "--html", tmp_path / "none" / "report.html"), "no such folder"),
        (("shipped", folder, "--html", tmp_path), "cannot be written"),
    ):
        run = evaluate(*arguments)
        assert (run.returncode, run.stdout) == (78, ""), run.stdout
        assert said in run.stderr
        assert len(run.stderr.splitlines()) == 1


def test_a_detector(folder: Path, tmp_path: Path) -> None:
    """The cat's face fills the picture, and the cup most of it."""
    page = tmp_path / "report.html"
    truth = folder / "truth.csv"
    truth.write_text(
        "file,label,left,top,right,bottom\n"
        "Egyptian_mau/chelsea.png,Cat,0.05,0,1,1\n"
        "Espresso/cup.png,cup,0.2,0.05,0.85,0.9\n"
        f'"banana/{NASTY.replace(chr(34), chr(34) * 2)}",banana,0.1,0.1,0.2,0.2\n'
        "none.png,,,,,\n"
    )
    run = evaluate("shipped", truth, "--json", "--html", page)
    found = json.loads(run.stdout)
    assert (run.returncode, found["pictures"], found["refused_files"]) == (1, 3, 1)
    precision = {one["label"]: one["average_precision"] for one in found["classes"]}
    assert precision["cat"] == 1
    assert precision["banana"] == 0
    assert found["map50"] == pytest.approx(sum(precision.values()) / 3)
    shown = evaluate("shipped", truth)
    assert "mAP@50" in shown.stdout
    assert "banana" in shown.stdout
    text = Tags(page.read_text()).text
    assert "mAP@50" in text
    assert "none.png" in text


def test_boxes_by_hand_and_their_report(tmp_path: Path) -> None:
    """What is detected is by hand; the pictures, the counting and the page are real."""
    found = {"cup.png": [Prediction("cup", 0.9, (0.2, 0.2, 0.8, 0.8))], "cat.png": []}
    for name in found:
        (tmp_path / name).write_bytes(COFFEE.read_bytes())
    classifier = Classifier()

    def detect(path: Path) -> list[Prediction]:
        classifier.classify(path)  # which refuses what is no picture
        return found[path.name]

    samples = [
        Sample("cup.png", tmp_path / "cup.png", boxes=(("cup", (0.2, 0.2, 0.8, 0.9)),)),
        Sample("cat.png", tmp_path / "cat.png", boxes=(("cat", (0, 0, 1, 1)),)),
        Sample("none.png", tmp_path / "none.png"),
    ]
    result = evaluate_boxes(Detects("ours", "0" * 64, detect), samples, lambda done: None)
    assert (result.pictures, result.map50, result.refused_files) == (2, 0.5, 1)
    assert result.classes == (ClassPrecision("cat", 1, 0, 0), ClassPrecision("cup", 1, 1, 1))
    page = report(result, {})
    assert "mAP@50" in page
    assert "50.0 %" in page
    assert "none.png" in page
