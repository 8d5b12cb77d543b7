"""Child processes that classify: what a picture or a signal does to one never reaches the rest."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import pytest_asyncio
from PIL import Image

from objectclassification.classification import header, images
from objectclassification.classification.classifier import Classifier
from objectclassification.classification.pool import ClassifierPool
from objectclassification.errors import (
    ChildDied,
    ModelError,
    NotAnImage,
    NotFound,
    TooManyPixels,
    Undecodable,
)
from tests.photographs import CHELSEA, COFFEE, MOTORCYCLE, ROCKET


@pytest_asyncio.fixture
async def pool() -> AsyncIterator[ClassifierPool]:
    pool = ClassifierPool(1)
    await pool.start()
    yield pool
    await pool.close()


async def test_a_child_finds_what_the_classifier_finds(pool: ClassifierPool) -> None:
    outcome = await pool.classify(COFFEE)
    expected = Classifier().classify(COFFEE)
    assert outcome.predictions == expected.predictions
    assert outcome.embedding == expected.embedding.tobytes()
    assert (outcome.model_id, outcome.model_sha256) == (expected.model_id, expected.model_sha256)
    assert (outcome.media_type, outcome.width, outcome.height) == ("image/png", 600, 400)
    assert outcome.thumbnail is None
    assert set(outcome.elapsed_ms) == {"decode", "infer"}


async def test_a_child_embeds_rectangles_too(pool: ClassifierPool) -> None:
    whole, left = (0.0, 0.0, 1.0, 1.0), (0.0, 0.25, 0.5, 0.75)
    outcome = await pool.classify(COFFEE, crops=(left, whole))
    assert [len(one) for one in outcome.crops] == [2560, 2560]
    assert outcome.crops[0] != outcome.crops[1]
    assert outcome.predictions[0].label == Classifier().classify(COFFEE).predictions[0].label
    assert set(outcome.elapsed_ms) == {"decode", "infer", "crops"}
    # What is embedded is the rectangle itself, all of it, and a little around it.
    classifier = Classifier()
    with Image.open(COFFEE) as image:
        part = images.cut(image.convert("RGB"), left, classifier.middle)
    assert outcome.crops[0] == classifier.embed(part).tobytes()


async def test_a_child_makes_the_thumbnail_too(pool: ClassifierPool) -> None:
    outcome = await pool.classify(COFFEE, thumbnail=True)
    assert outcome.thumbnail is not None
    info = header.probe(outcome.thumbnail.content)
    assert (outcome.thumbnail.width, outcome.thumbnail.height) == (320, 213)
    assert (info.media_type, info.width, info.height) == ("image/jpeg", 320, 213)
    assert "thumbnail" in outcome.elapsed_ms


async def test_a_child_finds_boxes_when_it_is_asked(pool: ClassifierPool) -> None:
    outcome = await pool.classify(COFFEE, detect=True)
    labels, found = outcome.predictions[:5], outcome.predictions[5:]
    assert [(each.label, each.box) for each in labels] == [
        (each.label, None) for each in Classifier().classify(COFFEE).predictions
    ]
    assert [each.label for each in found] == ["cup", "dining table"]
    assert outcome.detector is not None
    assert {each.model for each in found} == {outcome.detector.id}
    assert {each.model for each in labels} == {outcome.model_id}
    assert set(outcome.elapsed_ms) == {"decode", "infer", "detect"}
    again = await pool.classify(COFFEE, detect="classify")
    assert [each.box for each in again.predictions[5:]] == [each.box for each in found]
    (cup, _) = [each.classified for each in again.predictions[5:]]
    assert cup is not None and cup.label in ("espresso", "cup", "coffee mug")
    assert "boxes" in again.elapsed_ms
    assert (await pool.classify(ROCKET, detect=True)).detector is None  # nothing that COCO knows


def peak_bytes(pid: int) -> int:
    """The most memory that a process had at a time."""
    (found,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return 1024 * int(found)


async def test_a_child_with_both_models_stays_small(pool: ClassifierPool, tmp_path: Path) -> None:
    with Image.open(MOTORCYCLE) as image:
        large = image.convert("RGB").resize((1920, 1080))
    large.save(tmp_path / "1080p.jpg", quality=92)
    for detect in (False, True, "classify"):
        await pool.classify(tmp_path / "1080p.jpg", thumbnail=True, detect=detect)
    (pid,) = pool.pids
    assert peak_bytes(pid) < 250e6


async def test_several_children_work_at_the_same_time() -> None:
    pool = ClassifierPool(2)
    outcomes = await asyncio.gather(
        *(pool.classify(path) for path in (CHELSEA, COFFEE, MOTORCYCLE, ROCKET))
    )
    assert len(pool.pids) == 2
    labels = [outcome.predictions[0].label for outcome in outcomes]
    classifier = Classifier()
    pictures = (CHELSEA, COFFEE, MOTORCYCLE, ROCKET)
    assert labels == [classifier.classify(path).predictions[0].label for path in pictures]
    await pool.close()


async def test_a_bad_picture_is_a_typed_failure_and_the_child_goes_on(tmp_path: Path) -> None:
    pool = ClassifierPool(1, max_pixels=300_000)
    await pool.start()
    pids = pool.pids
    text, cut, large = tmp_path / "text.png", tmp_path / "cut.png", tmp_path / "large.png"
    text.write_bytes(b"hello")
    cut.write_bytes(COFFEE.read_bytes()[:10_000])
    Image.new("RGB", (1000, 301)).save(large)
    with pytest.raises(NotAnImage):
        await pool.classify(text)
    with pytest.raises(Undecodable):
        await pool.classify(cut)
    with pytest.raises(TooManyPixels) as caught:
        await pool.classify(large)
    assert (caught.value.width, caught.value.height, caught.value.limit) == (1000, 301, 300_000)
    with pytest.raises(NotFound):
        await pool.classify(tmp_path / "none.png")
    assert (await pool.classify(COFFEE)).predictions[0].label == "espresso"
    assert pool.pids == pids
    await pool.close()


async def test_the_largest_picture_fits_into_a_childs_memory(
    pool: ClassifierPool, tmp_path: Path
) -> None:
    pixels = np.zeros((7000, 7100, 4), np.uint8)  # 49.7 megapixels with transparency
    Image.fromarray(pixels).save(tmp_path / "large.png", compress_level=1)
    assert (await pool.classify(tmp_path / "large.png", thumbnail=True)).width == 7100


async def test_too_much_memory_is_a_failure_of_the_picture(tmp_path: Path) -> None:
    content = bytearray(COFFEE.read_bytes())
    content[16:24] = struct.pack(">II", 60_000, 60_000)  # width and height in IHDR
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "bomb.png").write_bytes(content)
    pool = ClassifierPool(1, max_pixels=60_000**2)  # whoever allows that many
    await pool.start()
    pids = pool.pids
    with pytest.raises(Undecodable, match="memory"):
        await pool.classify(tmp_path / "bomb.png")
    assert (await pool.classify(COFFEE)).predictions[0].label == "espresso"
    assert pool.pids == pids
    await pool.close()


async def test_a_child_killed_midway_costs_its_picture_only(pool: ClassifierPool) -> None:
    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)  # so that it has the picture, and cannot have answered
    task = asyncio.create_task(pool.classify(COFFEE))
    await asyncio.sleep(0)  # the task has handed the picture over and waits
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ChildDied) as caught:
        await task
    assert caught.value.pid == pid
    assert caught.value.retryable
    assert (await pool.classify(COFFEE)).predictions[0].label == "espresso"
    assert pid not in pool.pids


async def test_a_child_that_hangs_is_replaced(pool: ClassifierPool) -> None:
    hasty = ClassifierPool(1, timeout_s=0.5)
    await hasty.start()
    (pid,) = hasty.pids
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ChildDied, match="within"):
        await hasty.classify(COFFEE)
    await hasty.close()
    assert not psutil.pid_exists(pid)


async def test_a_cancelled_call_does_not_mix_up_the_next(pool: ClassifierPool) -> None:
    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)
    task = asyncio.create_task(pool.classify(CHELSEA))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await pool.classify(COFFEE)).predictions[0].label == "espresso"


async def test_ctrl_c_is_not_for_children(pool: ClassifierPool) -> None:
    pids = pool.pids
    os.kill(pids[0], signal.SIGINT)
    assert (await pool.classify(COFFEE)).predictions[0].label == "espresso"
    assert pool.pids == pids
    assert os.getpgid(pids[0]) != os.getpgid(0)


async def test_close_ends_busy_and_idle_children_and_leaves_no_zombie() -> None:
    pool = ClassifierPool(2)
    await asyncio.gather(pool.classify(COFFEE), pool.classify(ROCKET))
    pids = pool.pids
    assert len(pids) == 2
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    busy = asyncio.create_task(pool.classify(COFFEE))
    await asyncio.sleep(0)
    await pool.close()
    with pytest.raises(ChildDied):
        await busy
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(ChildDied, match="closed"):
        await pool.classify(COFFEE)
    await pool.close()


async def test_close_while_a_child_starts_leaves_none() -> None:
    before = set(psutil.Process().children())
    pool = ClassifierPool(1)
    starting = asyncio.create_task(pool.classify(COFFEE))
    await asyncio.sleep(0)
    await pool.close()
    await asyncio.wait([starting])
    assert pool.pids == ()
    assert set(psutil.Process().children()) <= before


async def test_a_corrupt_model_is_told_at_the_start(tmp_path: Path) -> None:
    corrupt = tmp_path / "corrupt.onnx"
    corrupt.write_bytes(b"not a model")
    pool = ClassifierPool(1, model=corrupt)
    with pytest.raises(ModelError, match=r"corrupt\.onnx"):
        await pool.start()
    await pool.close()


@pytest.mark.parametrize("hangs", [False, True])
def test_children_end_when_their_parent_is_killed(hangs: bool) -> None:
    code = """
import asyncio
from objectclassification.classification.pool import ClassifierPool

async def main():
    pool = ClassifierPool(1)
    await pool.start()
    print(*pool.pids, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        if hangs:  # as in a decoder that never comes back to its input
            child.suspend()
        parent.kill()
        child.wait(timeout=10)
    assert not child.is_running()
