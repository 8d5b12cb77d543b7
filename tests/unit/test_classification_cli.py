"""``objectclassification classify`` as a person or a script runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.photographs import COFFEE, ROCKET


def classify(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "objectclassification", "classify", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_json_has_the_promised_shape() -> None:
    run = classify("--json", COFFEE, ROCKET)
    assert run.returncode == 0, run.stderr
    first, second = json.loads(run.stdout)
    assert first.keys() == {
        *("file", "predictions", "confidence", "unsure"),
        *("model", "elapsed_ms"),
    }
    assert (first["unsure"], second["unsure"]) == (False, True)
    assert first["confidence"] > 0.9
    assert first["file"] == str(COFFEE)
    assert first["model"] == "efficientnet-lite0-int8"
    assert first["predictions"][0].keys() == {"label", "score"}
    assert first["predictions"][0]["label"] == "espresso"
    assert 0 < first["elapsed_ms"]
    assert second["file"] == str(ROCKET)


def test_the_table_says_what_is_unsure() -> None:
    lines = classify("--top", "2", ROCKET, COFFEE).stdout.splitlines()
    assert ["unsure: " in line for line in lines[1:]] == [True, False, False, False]


def test_a_bad_file_is_one_line_and_the_others_still_print(tmp_path: Path) -> None:
    bad, missing = tmp_path / "bad.png", tmp_path / "missing.png"
    bad.write_bytes(b"hello")
    run = classify(bad, COFFEE, missing)
    assert run.returncode == 1
    assert "espresso" in run.stdout
    lines = run.stderr.splitlines()
    assert [line for line in lines if str(bad) in line and "not a PNG" in line]
    assert [line for line in lines if str(missing) in line and "No such file" in line]
    assert len(lines) == 2


def test_json_of_bad_files_only_is_an_empty_list(tmp_path: Path) -> None:
    run = classify("--json", tmp_path / "missing.png")
    assert (run.returncode, json.loads(run.stdout)) == (1, [])


def test_boxes_come_when_they_are_asked_for() -> None:
    run = classify("--json", "--detect", COFFEE)
    assert run.returncode == 0, run.stderr
    (found,) = json.loads(run.stdout)
    assert found["predictions"][0]["label"] == "espresso"
    assert found["detector"] == "ssdlite-mobilenet-v2-float16"
    cup = found["boxes"][0]
    assert cup["label"] == "cup"
    assert 0 < cup["box"][0] < cup["box"][2] < 1


def test_the_table_has_a_column_for_boxes() -> None:
    run = classify("--detect", "--top", "1", COFFEE)
    assert run.returncode == 0, run.stderr
    heading, labels, cup, *_ = run.stdout.splitlines()
    assert heading.split() == ["file", "label", "score", "box", "ms"]
    assert "espresso" in labels
    assert "cup" in cup
    assert re.search(r"\d+ % +from \d+,\d+ to \d+,\d+ ", cup)
