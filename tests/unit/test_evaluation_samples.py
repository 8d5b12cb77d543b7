"""What is to be evaluated: folders and CSVs, right and wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objectclassification.classification.samples import read_samples
from objectclassification.errors import EXIT_CONFIGURATION, ConfigurationError

LABELS = ("tabby cat", "tiger cat", "espresso")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with nothing else in it."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    return folder


def csv(folder: Path, *lines: str) -> Path:
    file = folder / "truth.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def refusal(source: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_samples(source, LABELS)
    assert caught.value.exit_code == EXIT_CONFIGURATION
    assert "\n" not in caught.value.detail
    return caught.value.detail


def test_a_folder_for_each_class(root: Path) -> None:
    touch(root, "espresso/b.png", "espresso/a.png", "tabby cat/deep/er/c.jpg", "loose.png")
    touch(root, ".git/config", "espresso/.DS_Store", "espresso/.cache/d.png")
    found = read_samples(root, LABELS)
    assert not found.boxed
    named = [(sample.name, sample.label) for sample in found.samples]
    assert named == [
        ("espresso/a.png", "espresso"),
        ("espresso/b.png", "espresso"),
        ("tabby cat/deep/er/c.jpg", "tabby cat"),
    ]
    assert all(sample.path == root / sample.name for sample in found.samples)


@pytest.mark.parametrize("name", ["Tabby Cat", "tabby_cat", "TABBY__CAT", "tabby cat"])
def test_names_as_people_write_them(root: Path, name: str) -> None:
    (sample,) = read_samples(touch(root, f"{name}/a.png"), LABELS).samples
    assert sample.label == "tabby cat"


def test_names_that_are_no_labels_are_all_said_with_what_is_close(root: Path) -> None:
    touch(root, "tabby/a.png", "espreso/a.png", "xyz/a.png", "espresso/a.png")
    said = refusal(root)
    assert "'espreso' (close: espresso)" in said
    assert "'tabby' (close: tabby cat" in said
    assert said.endswith("'xyz'")
    touch(root, *(f"unknown {n}/a.png" for n in range(9)))
    assert refusal(root).endswith("and more")


def test_nothing_to_evaluate(root: Path) -> None:
    (root / "espresso").mkdir()
    assert "no pictures" in refusal(root)
    assert "no pictures" in refusal(csv(root, "file,label"))
    assert "No such file" in refusal(root / "none")


def test_links_to_folders_are_not_followed_round_in_circles(root: Path) -> None:
    touch(root, "espresso/a.png")
    (root / "espresso" / "again").symlink_to(root)
    assert len(read_samples(root, LABELS).samples) == 1


def test_a_csv_of_labels(root: Path) -> None:
    source = csv(root, "\ufefffile,label", "a.png,espresso", "", '"deep/""b""",Tiger_cat')
    found = read_samples(source, LABELS)
    assert [(sample.name, sample.label) for sample in found.samples] == [
        ("a.png", "espresso"),
        ('deep/"b"', "tiger cat"),
    ]


def test_a_csv_of_boxes(root: Path) -> None:
    found = read_samples(
        csv(
            root,
            "File,Label,Left,Top,Right,Bottom",
            "a.png,espresso,0,0,0.5,1",
            "empty.png,,,,,",
            "a.png,Tabby cat,0.25,0.25,1,1",
        ),
        LABELS,
    )
    assert found.boxed
    a, empty = found.samples
    assert a.boxes == (("espresso", (0, 0, 0.5, 1)), ("tabby cat", (0.25, 0.25, 1, 1)))
    assert (empty.name, empty.boxes) == ("empty.png", ())


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["file;label"], "first line"),
        ([], "first line"),
        (["file,label", "a.png"], "line 2"),
        (["file,label", ",espresso"], "line 2"),
        (["file,label", 'a.png,"espresso'], "not a CSV"),
        (["file,label", "a.png,dog"], "'dog'"),
        (["file,label", "../a.png,espresso"], "not below"),
        (["file,label", "deep/../../a.png,espresso"], "not below"),
        (["file,label", "/etc/passwd,espresso"], "not below"),
        (["file,label", "a\0.png,espresso"], "a"),
        (["file,label", "out/a.png,espresso"], "not below"),
        (["file,label", f"{'a' * 200_000},espresso"], "not a CSV"),
        (["file,label,left,top,right,bottom", "a.png,espresso,0,0,10,20"], "fractions"),
        (["file,label,left,top,right,bottom", "a.png,espresso,0.5,0,0.5,1"], "no box"),
        (["file,label,left,top,right,bottom", "a.png,espresso,0,0,nan,1"], "no box"),
        (["file,label,left,top,right,bottom", "a.png,espresso,0,0,,1"], "no box"),
    ],
)
def test_a_wrong_csv_says_what_is_wrong(root: Path, lines: list[str], said: str) -> None:
    (root / "out").symlink_to(root.parent)
    assert said in refusal(csv(root, *lines))


def test_a_csv_that_is_no_text(root: Path) -> None:
    file = root / "truth.csv"
    file.write_bytes(os.urandom(64) + b"\xff\xfe")
    assert "CSV" in refusal(file) or "first line" in refusal(file)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200))
def test_any_csv_is_read_or_refused(root: Path, content: bytes) -> None:
    file = root / "truth.csv"
    for head in (b"", b"file,label\n", b"file,label,left,top,right,bottom\n"):
        file.write_bytes(head + content)
        try:
            found = read_samples(file, LABELS)
        except ConfigurationError:
            continue
        assert all(sample.path.is_relative_to(root) for sample in found.samples)
