"""Where models run: what there is, by name, or the quickest.

The processor's provider is the only one that `onnxruntime` brings for Linux. CUDA needs a card of
its maker, and CoreML a Mac: neither can exist here. OpenVINO comes with a package that takes the
place of `onnxruntime`, so it is tried where that is installed; docs/models.md has what came of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from structlog.testing import capture_logs

from objectclassification.classification import device, model_file
from objectclassification.classification.classifier import SHIPPED_MODEL, Classifier
from objectclassification.classification.detector import Detector
from objectclassification.classification.device import choose, quickest
from objectclassification.classification.model_file import PROVIDERS, devices
from objectclassification.classification.pool import ClassifierPool
from objectclassification.config import ServerSettings
from objectclassification.errors import ConfigurationError, ModelError
from tests.photographs import CATS, CHELSEA, COFFEE

AWAY = tuple(device for device in PROVIDERS if device not in devices())


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second name for the one provider there is: a device that works, and can be measured."""
    monkeypatch.setitem(model_file.PROVIDERS, "twin", PROVIDERS["cpu"])


def test_the_setting_knows_the_devices() -> None:
    assert get_args(ServerSettings.model_fields["device"].annotation) == ("auto", *PROVIDERS)


def test_of_one_nothing_is_measured() -> None:
    if len(devices()) == 1:
        assert choose("auto", Path("/nowhere")).device == "cpu"
    assert choose("cpu", Path("/nowhere")).took_ms == {}


@pytest.mark.parametrize("name", AWAY)
def test_one_that_is_not_there_names_those_that_are(name: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        choose(name, SHIPPED_MODEL)
    assert refused.value.detail == (
        f"there is no device {name!r} here: this ONNX Runtime has {', '.join(devices())}, "
        "see docs/models.md"
    )
    with pytest.raises(ModelError, match=f"{name} does not work here|can load on {name}"):
        Classifier(device=name)


def test_a_word_that_is_none() -> None:
    with pytest.raises(ConfigurationError, match="no device 'gpu' here"):
        choose("gpu", SHIPPED_MODEL)


def test_of_two_each_is_measured(two: None) -> None:
    choice = choose("auto", SHIPPED_MODEL)
    assert set(choice.took_ms) == {*devices()} >= {"cpu", "twin"}
    assert choice.device == quickest(choice.took_ms)
    assert min(choice.took_ms.values()) > 0


@pytest.mark.parametrize(
    ("took_ms", "device"),
    [
        ({"cpu": 9.0, "cuda": 2.0, "openvino": 5.0}, "cuda"),
        ({"cpu": 9.0, "openvino": 8.0}, "cpu"),  # another start would find it otherwise
        ({"cuda": 9.0, "openvino": 8.0}, "openvino"),
        ({"cpu": 9.0}, "cpu"),
    ],
)
def test_the_quickest_is_taken_where_it_is_worth_it(took_ms: dict[str, float], device: str) -> None:
    assert quickest(took_ms) == device


def test_one_that_does_not_work_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a CUDA without its libraries, which ONNX Runtime lists, and then leaves out."""
    monkeypatch.setattr(device, "devices", lambda: ("cpu", "cuda"))
    choice = choose("auto", SHIPPED_MODEL)
    assert choice.device == "cpu"
    assert choice.failed.keys() == {"cuda"}
    with pytest.raises(ModelError, match="cannot be read"):
        choose("auto", Path("/nowhere"))


async def test_a_pool_refuses_what_is_not_there() -> None:
    pool = ClassifierPool(1, device=AWAY[0])
    with pytest.raises(ConfigurationError, match=f"no device '{AWAY[0]}' here"):
        await pool.start()
    await pool.close()


needs_openvino = pytest.mark.skipif(
    "openvino" in AWAY, reason="needs onnxruntime-openvino in the place of onnxruntime"
)


@needs_openvino
def test_openvino_says_what_the_processor_says() -> None:
    assert Classifier(device="openvino").classify(CHELSEA).predictions[0].label in CATS
    ours, theirs = Detector().detect(COFFEE), Detector(device="openvino").detect(COFFEE)
    for one, other in zip(ours.predictions, theirs.predictions, strict=True):
        assert other.label == one.label
        assert other.box == pytest.approx(one.box, abs=1e-3)


@needs_openvino
async def test_a_pool_measures_once_and_says_so() -> None:
    pool = ClassifierPool(2)
    with capture_logs() as logs:
        await pool.start()
        await pool.classify(COFFEE, detect=True)
    await pool.close()
    (entry,) = (each for each in logs if "took_ms" in each)
    assert entry["device"] in entry["took_ms"].keys() == {"cpu", "openvino"}
