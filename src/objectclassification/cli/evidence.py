"""A version's evidence, for a person."""

from __future__ import annotations

from typing import Any

from objectclassification.cli.tables import Rows, new_console


def show_version(version: Any) -> None:
    """Prints a version, as the API answers it, with its evidence as tables."""
    from rich.text import Text

    console, evidence = new_console(), version["evidence"]
    console.print(Text(_title(version)))
    console.print(Text(_summary(version)))
    console.print("What it says when they are held out:")
    console.print(_confusion(evidence))
    if evidence["mistakes"]:
        console.print("Labelled pictures that it gets wrong when they are held out:")
        console.print(_mistakes(evidence["mistakes"]))
    _print_changes(console, evidence["changes"])
    for finding in evidence["findings"]:
        console.print(Text(f"! {finding['detail']}", "yellow"), soft_wrap=True)
    if version["stale"]:
        console.print(Text("! it was taught on another model: teach it again", "red"))
    elif version["active"]:
        console.print("It answers.")
    else:
        head, number = version["head"], version["number"]
        command = f"objectclassification heads activate {head} --version {number}"
        console.print(Text(f"It is not on. Switch it on with: {command}"), soft_wrap=True)


def _title(version: Any) -> str:
    camera = f", camera {version['camera']}" if version["camera"] else ""
    crop = version["crop"]
    where = f", crop {','.join(f'{edge:g}' for edge in crop)}" if crop else ""
    from_ = version["refitted_from"]
    anew = f", fitted anew from version {from_} for another model" if from_ else ""
    return f"{version['head']}, version {version['number']}{camera}{where}{anew}"


def _summary(version: Any) -> str:
    found = version["evidence"]
    right = found["accuracy_given"]
    answers = "never answers" if right is None else f"{right:.0%} of its answers are right"
    if found["precision"] is not None:
        answers += f" (wanted: {found['precision']:.0%})"
    return (
        f"{found['pictures']} pictures, each held out in turn: {found['accuracy']:.0%} right "
        f"(95 % interval {found['low']:.0%} to {found['high']:.0%}), balanced "
        f"{found['balanced_accuracy']:.0%}; with a margin of {version['abstain']:g} or more it "
        f"answers {found['given']:.0%}, and {answers}. Fitted in {found['fit_ms']:g} ms."
    )


def _confusion(evidence: Any) -> Rows:
    names = [one["name"] for one in evidence["classes"]]
    numbers = (*names, "right", "95 % interval", "distinct")
    rows = []
    for one, row in zip(evidence["classes"], evidence["confusion"], strict=True):
        interval = f"{one['low']:.0%} to {one['high']:.0%}"
        counts = [str(number or "") for number in row]
        rows.append((one["name"], *counts, f"{one['right']:.0%}", interval, one["distinct"]))
    return Rows(("labelled", *numbers), rows, right=numbers)


def _mistakes(mistakes: Any) -> Rows:
    rows = [(one["picture"], one["label"], one["said"], f"{one['margin']:.2f}") for one in mistakes]
    columns = ("picture", "labelled", "it says", "margin")
    return Rows(columns, rows, right=("margin",), whole=("picture",))


def _print_changes(console: Any, changes: Any) -> None:
    from rich.text import Text

    now = ", ".join(f"{name or 'no answer'} {number}" for name, number in changes["now"].items())
    console.print(
        Text(
            f"Of the newest {changes['looked_at']} pictures it would call: {now or 'none'}. "
            f"{changes['answered']} have an answer already; {changes['changed']} of these would "
            "change."
        )
    )
    if changes["examples"]:
        rows = []
        for one in changes["examples"]:
            said = (one["before"] or "no answer", one["now"] or "no answer")
            rows.append((one["picture"], *said, f"{one['margin']:.2f}"))
        columns = ("picture", "before", "now", "margin")
        console.print(Rows(columns, rows, right=("margin",), whole=("picture",)))
