"""Rules: what turns labels and answers into a verdict."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.errors import BadMessage
from objectclassification.receipts import Answer, Found, Judgement, Prediction, Verdict
from objectclassification.rules import Rule, judge, worst

VALUES = st.sampled_from(["open", "closed", "offen, halb", "青"])
sets = st.frozensets(VALUES, max_size=3)


def answer(class_: str | None, head: str = "valve") -> Answer:
    return Answer(head, 1, class_, 0.9, 0.8, {}, "close" if class_ is None else None)


def judged(
    rule: Rule,
    predictions: Sequence[Prediction],
    answers: Sequence[Answer] = (),
    detected: bool = False,
    unsure: bool | None = None,
) -> Judgement:
    found = Found(tuple(predictions), tuple(answers), confidence=0.55, unsure=unsure)
    return rule.judge(found, detected=detected)


@pytest.mark.parametrize(
    ("ok", "ng", "value", "verdict"),
    [
        (("open",), (), "open", "ok"),
        (("open",), (), "closed", "ng"),
        ((), ("open",), "open", "ng"),
        ((), ("open",), "closed", "ok"),
        (("open",), ("closed",), "closed", "ng"),
        (("open",), ("closed",), "half", "unsure"),
    ],
)
def test_values(ok: tuple[str, ...], ng: tuple[str, ...], value: str, verdict: Verdict) -> None:
    by_head = Rule(name="r", head="valve", ok=ok, ng=ng)
    by_label = Rule(name="r", ok=ok, ng=ng)
    assert judged(by_head, (), (answer(value),)).verdict == verdict
    assert judged(by_label, (Prediction(value, 0.5),)).verdict == verdict


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (Rule(name="r", head="valve", ok=("open",)), "valve did not look at it"),
        (Rule(name="r", head="lamp", ok=("open",)), "lamp is unsure"),
        (Rule(name="r", ok=("cat",)), "cat has a score of 0.49 only"),
        (Rule(name="r", ok=("dog",), ng=("cat",), min_score=0.4), "cat"),
    ],
)
def test_what_it_cannot_say_it_says_why(rule: Rule, why: str) -> None:
    box = (0.0, 0.0, 1.0, 1.0)
    predictions = (Prediction("boat", 0.99, box), Prediction("cat", 0.49))
    said = judged(rule, predictions, (answer(None, "lamp"),))
    assert said.why == why
    assert said.verdict == ("ng" if why == "cat" else "unsure")


def test_a_picture_without_labels_is_unsure() -> None:
    assert judged(Rule(name="r", ok=("cat",)), ()).verdict == "unsure"


def test_an_unsure_picture_is_never_silently_ok() -> None:
    weak, strong = (Prediction("cat", 0.3),), (Prediction("cat", 0.9),)
    cat = Rule(name="r", ok=("cat",))
    assert judged(cat, strong, unsure=True).verdict == "unsure"
    assert judged(cat, strong, unsure=True).why == "cat is unsure: a confidence of 0.55"
    assert judged(cat, weak, unsure=False).verdict == "ok"
    assert judged(cat, weak).verdict == "unsure"  # without a threshold half a score is asked for
    assert judged(Rule(name="r", ng=("cat",)), strong, unsure=True).verdict == "unsure"


def test_who_sets_a_score_decides() -> None:
    said = Rule(name="r", ok=("cat",), min_score=0.3)
    assert judged(said, (Prediction("cat", 0.3),), unsure=True).verdict == "ok"
    assert judged(said, (Prediction("cat", 0.29),), unsure=False).verdict == "unsure"


def test_a_head_of_another_model_is_stale() -> None:
    answer = Answer("lamp", 1, None, 0.0, 0.0, {}, "stale")
    said = judged(Rule(name="r", head="lamp", ok=("on",)), (), (answer,))
    assert (said.verdict, said.why) == ("unsure", "lamp is stale")


def test_only_rules_of_the_camera_judge() -> None:
    door = Rule(name="door", cameras=("door",), ok=("cat",))
    everybody = Rule(name="everybody", ng=("dog",))
    found = Found((Prediction("dog", 0.9),))

    def judging(camera: str | None) -> list[str]:
        said = judge((door, everybody), camera, found, detected=False)
        return [each.rule for each in said]

    assert judging("door") == ["door", "everybody"]
    assert judging("yard") == judging(None) == ["everybody"]


@given(st.lists(st.sampled_from(["ok", "ng", "unsure"])))
def test_the_worst_counts(said: list[Verdict]) -> None:
    verdict = worst(Judgement("r", each, "") for each in said)
    assert (verdict is None) == (not said)
    assert (verdict == "ng") == ("ng" in said)
    assert (verdict == "ok") == (bool(said) and set(said) == {"ok"})


@given(sets, sets, VALUES)
def test_a_value_is_never_both(ok: frozenset[str], ng: frozenset[str], value: str) -> None:
    rule = Rule(name="r", head="valve", ok=tuple(ok), ng=tuple(ng))
    if not ok | ng or ok & ng:
        with pytest.raises(BadMessage):
            rule.check()
        return
    rule.check()
    said = judged(rule, (), (answer(value),))
    assert (said.verdict == "ok") == (value in ok or (not ok and value not in ng))
    assert (said.verdict == "ng") == (value in ng or (not ng and value not in ok))


def bottles(*scores: float) -> list[Prediction]:
    """A label, then boxes of bottles and one of a person."""
    box = (0.0, 0.0, 1.0, 1.0)
    found = [Prediction("bottle", score, box) for score in scores]
    return [Prediction("bottle", 0.99), *found, Prediction("person", 0.9, box)]


@pytest.mark.parametrize(
    ("least", "most", "verdict"),
    [
        (2, None, "ok"),
        (3, None, "ng"),
        (None, 2, "ok"),
        (None, 1, "ng"),
        (2, 2, "ok"),
        (None, 0, "ng"),
    ],
)
def test_boxes_are_counted(least: int | None, most: int | None, verdict: Verdict) -> None:
    rule = Rule(name="crate", count="bottle", least=least, most=most, min_score=0.6)
    rule.check()
    said = judged(rule, bottles(0.9, 0.6, 0.59), detected=True)
    assert (said.verdict, said.why) == (verdict, "2 bottle")


def test_none_is_only_a_number_if_boxes_were_looked_for() -> None:
    nobody = Rule(name="nobody", count="person", most=0)
    assert judged(nobody, (), detected=True).verdict == "ok"
    said = judged(nobody, ())
    assert (said.verdict, said.why) == ("unsure", "boxes were not looked for")


@given(
    st.lists(st.floats(0, 1), max_size=20),
    st.none() | st.integers(0, 21),
    st.none() | st.integers(0, 21),
    st.floats(0, 1),
)
def test_a_number_is_ok_within_its_bounds(
    scores: list[float], least: int | None, most: int | None, min_score: float
) -> None:
    rule = Rule(name="r", count="bottle", least=least, most=most, min_score=min_score)
    if (least, most) == (None, None) or (least or 0) > (21 if most is None else most):
        with pytest.raises(BadMessage):
            rule.check()
        return
    rule.check()
    number = sum(score >= min_score for score in scores)
    good = (least or 0) <= number and (most is None or number <= most)
    said = judged(rule, bottles(*scores), detected=True)
    assert said.verdict == ("ok" if good else "ng")


@pytest.mark.parametrize(
    "rule",
    [
        Rule(name="r", least=1),
        Rule(name="r", ok=("open",), most=1),
        Rule(name="r", count="bottle", least=1, head="valve"),
        Rule(name="r", count="bottle", least=1, ok=("bottle",)),
        Rule(name="r", count="bottle"),
        Rule(name="r", count="bottle", least=2, most=1),
    ],
)
def test_a_rule_that_cannot_count_is_refused(rule: Rule) -> None:
    with pytest.raises(BadMessage, match="the rule r"):
        rule.check()
