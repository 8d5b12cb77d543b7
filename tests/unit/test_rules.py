"""Rules: what turns labels and answers into a verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.errors import BadMessage
from objectclassification.receipts import Answer, Judgement, Prediction, Verdict
from objectclassification.rules import Rule, judge, worst

VALUES = st.sampled_from(["open", "closed", "offen, halb", "青"])
sets = st.frozensets(VALUES, max_size=3)


def answer(class_: str | None, head: str = "valve") -> Answer:
    return Answer(head, 1, class_, 0.9, 0.8, {}, "close" if class_ is None else None)


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
    assert by_head.judge((), (answer(value),)).verdict == verdict
    assert by_label.judge((Prediction(value, 0.5),), ()).verdict == verdict


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (Rule(name="r", head="valve", ok=("open",)), "valve did not look at it"),
        (Rule(name="r", head="lamp", ok=("open",)), "lamp abstains"),
        (Rule(name="r", ok=("cat",)), "cat has a score of 0.49 only"),
        (Rule(name="r", ok=("dog",), ng=("cat",), min_score=0.4), "cat"),
    ],
)
def test_what_it_cannot_say_it_says_why(rule: Rule, why: str) -> None:
    box = (0.0, 0.0, 1.0, 1.0)
    predictions = (Prediction("boat", 0.99, box), Prediction("cat", 0.49))
    said = rule.judge(predictions, (answer(None, "lamp"),))
    assert said.why == why
    assert said.verdict == ("ng" if why == "cat" else "unsure")


def test_a_picture_without_labels_is_unsure() -> None:
    assert Rule(name="r", ok=("cat",)).judge((), ()).verdict == "unsure"


def test_only_rules_of_the_camera_judge() -> None:
    door = Rule(name="door", cameras=("door",), ok=("cat",))
    everybody = Rule(name="everybody", ng=("dog",))
    found = (Prediction("dog", 0.9),)
    judged = [said.rule for said in judge((door, everybody), "door", found, ())]
    assert judged == ["door", "everybody"]
    assert [said.rule for said in judge((door, everybody), "yard", found, ())] == ["everybody"]
    assert [said.rule for said in judge((door, everybody), None, found, ())] == ["everybody"]


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
    said = rule.judge((), (answer(value),))
    assert (said.verdict == "ok") == (value in ok or (not ok and value not in ng))
    assert (said.verdict == "ng") == (value in ng or (not ng and value not in ok))
