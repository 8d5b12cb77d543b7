"""What is new beside a past: small vectors by hand, and any past at all."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from objectclassification.classification.novelty import (
    LEAST_PAST,
    LEAST_THRESHOLD,
    compared,
    judge,
)

SCENE = np.array([4.0, 3.0, 2.0, 1.0])
PERSON = np.array([0.0, 0.0, 0.0, 5.0])


def seen(*vectors: np.ndarray) -> dict[str, bytes]:
    return {f"p{n}": vector.astype("<f2").tobytes() for n, vector in enumerate(vectors)}


def look(vector: np.ndarray) -> bytes:
    return vector.astype("<f2").tobytes()


def noisy(scene: np.ndarray, number: int, much: float = 0.02) -> list[np.ndarray]:
    random = np.random.default_rng(number)
    return [scene + random.normal(0, much, scene.shape) for _ in range(number)]


def test_nothing_is_said_with_too_little_past() -> None:
    past = seen(*noisy(SCENE, LEAST_PAST))
    assert judge(look(SCENE), past) is not None
    past.pop("p0")
    assert judge(look(SCENE), past) is None
    assert judge(look(SCENE), {**past, "damaged": b"xy"}) is None
    assert judge(b"", dict.fromkeys("abcdefghij", b"")) is None


def test_the_same_again_is_no_change_and_something_new_is() -> None:
    past = seen(*noisy(SCENE, 12))
    same, new = judge(look(SCENE), past), judge(look(SCENE + PERSON), past)
    assert same
    assert new
    assert (same.changed, new.changed) == (False, True)
    assert same.novelty < 0.001 < LEAST_THRESHOLD == same.threshold
    cosine = (SCENE + PERSON) @ SCENE / np.linalg.norm(SCENE + PERSON) / np.linalg.norm(SCENE)
    assert abs(new.novelty - (1 - cosine)) < 0.01
    assert len(new.nearest) == 3


def test_rectangles_have_a_past_of_their_own() -> None:
    left, right, new = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0), (0.1, 0.1, 0.2, 0.2)
    past = seen(*noisy(SCENE, 12))
    crops = {right: look(SCENE + PERSON), left: look(SCENE), new: look(SCENE)}
    found = compared(look(SCENE), past, crops, {right: past, left: past, new: seen(SCENE)})
    assert found
    assert not found.changed
    assert [(one.crop, one.changed) for one in found.crops] == [(left, False), (right, True)]
    alone = judge(look(SCENE + PERSON), past)
    assert alone
    assert (found.crops[1].novelty, found.crops[1].nearest) == (alone.novelty, alone.nearest)
    assert compared(look(SCENE), seen(SCENE), crops, {right: past}) is None


def test_what_was_there_three_times_is_not_new_any_more() -> None:
    scene, with_person = noisy(SCENE, 12), noisy(SCENE + PERSON, 3)
    said = [judge(look(SCENE + PERSON), seen(*scene, *with_person[:times])) for times in range(4)]
    assert [one and one.changed for one in said] == [True, True, True, False]
    last = said[-1]
    assert last
    assert {one.picture for one in last.nearest} == {"p12", "p13", "p14"}


def test_a_restless_scene_has_a_higher_threshold() -> None:
    past = seen(*noisy(SCENE, 24, much=0.6))
    found = judge(look(SCENE), past)
    assert found
    assert found.threshold > LEAST_THRESHOLD
    assert not found.changed


vectors = arrays.arrays(np.float16, (12, 6), elements=st.floats(-100, 100, width=16))


@given(vectors)
def test_any_past_gives_numbers(all_of_them: np.ndarray) -> None:
    found = judge(look(all_of_them[0]), seen(*all_of_them[1:]))
    assert found
    assert 0 <= found.novelty <= 2
    assert LEAST_THRESHOLD <= found.threshold <= 20
    near = [one.similarity for one in found.nearest]
    assert near == sorted(near, reverse=True)
    assert all(-1 <= one <= 1 for one in near)
