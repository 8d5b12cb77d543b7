"""``objectclassification snap``."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from objectclassification.cli import shot as how
from objectclassification.cli.options import AsJson, Ca, Server, TokenFile
from objectclassification.cli.tables import Rows, corners, new_console

if TYPE_CHECKING:
    from objectclassification.change import Change, CropChange
    from objectclassification.client.controller import Snapped
    from objectclassification.config import Connection
    from objectclassification.messages import SnapRequest
    from objectclassification.receipts import Answer, Prediction, Shot
    from objectclassification.skew import Together

_STYLES = {"failed": "red", "classified": "green"}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(snap)


def snap(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|@GROUP",
            help="Cameras and groups; * is all of them, !NAME and !@GROUP leave out.",
            show_default=False,
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every camera that is connected.")] = False,
    until: Annotated[
        Literal["captured", "uploaded", "classified"], typer.Option(help="How far to go.")
    ] = "classified",
    context: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="To store with the snap; may be given more than once.",
        ),
    ] = None,
    deadline: Annotated[
        float,
        typer.Option(metavar="S", min=0.001, max=86_400, help="Seconds after which the snap ends."),
    ] = 10.0,
    ttl: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Wait this long for cameras that are away, as 2h; prints the receipt at once.",
        ),
    ] = None,
    policy: Annotated[
        Literal["latest", "all"],
        typer.Option(help="latest: gives way, while it waits, to a newer one of yours."),
    ] = "all",
    wait: Annotated[bool, typer.Option("--wait", help="With --ttl: wait for its end.")] = False,
    quorum: Annotated[
        str | None,
        typer.Option(metavar="N|N%", help="So many answers end it early: 3, or 80%."),
    ] = None,
    in_s: Annotated[
        float | None,
        typer.Option(
            "--in",
            metavar="S",
            min=0.001,
            max=86_400,
            help="All cameras expose together, so many seconds from now.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="All expose at this moment, such as 2026-11-25T12:00:00Z."
        ),
    ] = None,
    ask: Annotated[
        str | None,
        typer.Option(metavar="HEAD", help="Answer with this head's classes only, or not at all."),
    ] = None,
    detect: Annotated[
        bool, typer.Option("--detect", help="Also find where things are: boxes with labels.")
    ] = False,
    classify_boxes: Annotated[
        bool, typer.Option("--classify-boxes", help="Also classify each box by itself.")
    ] = False,
    burst: how.Burst = None,
    keep: how.Keep = None,
    width: Annotated[
        int | None, typer.Option(metavar="PIXELS", help="Fit the picture into this width.")
    ] = None,
    height: Annotated[
        int | None, typer.Option(metavar="PIXELS", help="Fit the picture into this height.")
    ] = None,
    format_: Annotated[
        Literal["jpeg", "png", "webp"] | None,
        typer.Option("--format", help="Instead of what the camera makes."),
    ] = None,
    quality: how.Quality = None,
    warmup: Annotated[
        str | None,
        typer.Option(metavar="S|auto", help="Seconds that frames are thrown away before."),
    ] = None,
    exposure_ms: how.ExposureMs = None,
    focus: how.Focus = None,
    check: how.CheckOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to save the pictures.")
    ] = None,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Take pictures now, and say what is on them.

    Exits with 0 only when every camera answered, or the quorum.
    """
    from objectclassification.cli.durations import seconds
    from objectclassification.cli.saved import save_pictures
    from objectclassification.config import find_connection
    from objectclassification.messages import MAX_TTL_S, MIN_TTL_S, answers_needed

    if bool(names) == all_:
        both = "give either names or --all, not both"
        raise typer.BadParameter(both if all_ else "name cameras or @groups, or give --all")
    if ask is not None and until != "classified":
        raise typer.BadParameter("--ask needs the picture classified: leave --until out")
    options: dict[str, Any] = {} if ask is None else {"ask": ask}
    if detect or classify_boxes:
        options["detect"] = "classify" if classify_boxes else True
    options |= how.options_of(
        burst=burst,
        keep=keep,
        width=width,
        height=height,
        format=format_,
        quality=quality,
        warmup=warmup,
        exposure_ms=exposure_ms,
        focus=focus,
        check=check,
    )
    ttl_s = None if ttl is None else seconds("--ttl", ttl, least=MIN_TTL_S, most=MAX_TTL_S)
    if wait and ttl_s is None:
        raise typer.BadParameter("--wait is for a snap with --ttl: any other is waited for")
    if out is not None and ttl_s is not None and not wait:
        raise typer.BadParameter("--out needs the pictures: give --wait, too")
    wanted: dict[str, Any] = {
        "until": until,
        "deadline_s": deadline,
        "ttl_s": ttl_s,
        "policy": policy,
        "quorum": int(quorum) if quorum is not None and quorum.isdecimal() else quorum,
        "in_s": in_s,
        "at": _moment(at),
        "options": options,
    }
    request = _request(names or ["*"], context or [], wanted)
    connection = find_connection(server, token_file, ca)
    if ttl_s is not None and not wait:
        _leave(connection, request, as_json=json)
        return
    result = _run(connection, request, quiet=json, ask=ask)
    frames = (burst or 1) if keep == "all" else 1
    files = save_pictures(connection, result, out, frames=frames) if out is not None else []
    if json:
        import msgspec

        print(msgspec.json.encode(result).decode())
    else:
        _print(result, files, ask)
    if result.answered < answers_needed(request.quorum, len(result.shots)):
        raise typer.Exit(1)


def _moment(at: str | None) -> str | float | None:
    """Seconds since the epoch are a number to the hub; what else it can be, the hub says."""
    try:
        return at if at is None else float(at)
    except ValueError:
        return at


def _request(names: list[str], context: list[str], told: dict[str, Any]) -> SnapRequest:
    """The request, checked by the same rules as on the hub."""
    import msgspec

    from objectclassification.errors import BadMessage
    from objectclassification.messages import read_snap_request

    pairs = dict(text.partition("=")[::2] for text in context)
    if any("=" not in text for text in context):
        raise typer.BadParameter("--context looks like KEY=VALUE")
    given = {name: value for name, value in told.items() if value is not None}
    for name, value in given.items():  # JSON has no such numbers: they would be left out
        if isinstance(value, float) and not math.isfinite(value):
            raise typer.BadParameter(f"--{name.removesuffix('_s')} {value:g} is no number")
    try:
        return read_snap_request(msgspec.json.encode({"to": names, "context": pairs, **given}))
    except BadMessage as exc:
        raise typer.BadParameter(exc.detail) from exc


def _leave(connection: Connection, request: SnapRequest, *, as_json: bool) -> None:
    """Asks for a snap that may wait, and shows its receipt as it is now."""
    import msgspec

    from objectclassification.client.http import Http
    from objectclassification.receipts import Receipt

    with Http(connection) as http:
        body = msgspec.to_builtins(request)
        del body["type"]
        found = http.json("POST", "/api/snaps", body)
    receipt = msgspec.convert(found, Receipt)
    if as_json:
        print(msgspec.json.encode(receipt).decode())
        return
    console = new_console()
    console.print(_table(list(receipt.shots), None))
    number = sum(shot.state == "waiting" for shot in receipt.shots)
    console.print(f"snap {receipt.snap}: {number} of {len(receipt.shots)} cameras are away")
    print(f"objectclassification waiting cancel {receipt.snap}")


def _run(connection: Connection, request: SnapRequest, *, quiet: bool, ask: str | None) -> Snapped:
    """Runs the snap; on a terminal its shots are shown as they move."""
    from rich.live import Live

    from objectclassification.client import controller

    console = new_console()
    if quiet or not console.is_terminal:
        return asyncio.run(controller.snap(connection, request))
    with Live(console=console, transient=True, refresh_per_second=12) as live:

        def show(shots: dict[str, Shot]) -> None:
            live.update(_table(list(shots.values()), ask))

        return asyncio.run(controller.snap(connection, request, show))


def _print(result: Snapped, files: list[Path], ask: str | None) -> None:
    console = new_console()
    console.print(_table(list(result.shots), ask))
    for file in files:
        print(file)  # on a line of its own, whole, so that it can be copied
    total = len(result.shots)
    parts = [f"{result.answered} of {total} answered"]
    parts += [f"{result.failed} failed"] if result.failed else []
    parts += [f"{result.missing} missing"] if result.missing else []
    console.print(f"snap {result.snap}: {', '.join(parts)} in {result.elapsed_ms:.0f} ms")
    if result.skew is not None:
        console.print(_together(result.skew))


def _together(skew: Together) -> str:
    return (
        f"exposed together: median {skew.median_ms:g} ms, worst {skew.worst_ms:g} ms from the "
        f"moment, {skew.spread_ms:g} ms from first to last (± {skew.uncertainty_ms:g} ms)"
    )


def _table(shots: list[Shot], ask: str | None) -> Rows:
    from rich.text import Text

    rows = [
        (
            shot.camera,
            Text(shot.state, _STYLES.get(shot.state, "yellow")),
            _found(shot, ask),
            shot.freshness,
            _ms(shot, "captured"),
            _ms(shot, shot.state),
        )
        for shot in shots
    ]
    columns = ("camera", "state", "what is on it", "freshness", "captured", "done")
    if not any(shot.skew for shot in shots):
        return Rows(columns, rows, right=("captured", "done"))
    skews = [f"{shot.skew.ms:+.1f} ms" if shot.skew else "" for shot in shots]
    with_skew = [(*row, skew) for row, skew in zip(rows, skews, strict=True)]
    return Rows((*columns, "skew"), with_skew, right=("captured", "done", "skew"))


def _found(shot: Shot, ask: str | None) -> str:
    if shot.error is not None:
        return f"{shot.error.code}: {shot.error.detail}"
    answers = [_said(answer) for answer in shot.answers if ask in (None, answer.head)]
    labels = [f"{each.label} {100 * each.score:.0f} %" for each in shot.predictions if not each.box]
    if labels and shot.unsure:
        labels[0] = f"unsure: {labels[0]}"
    boxes = [_box(each) for each in shot.predictions if each.box]
    if ask is not None:
        labels = []
        if not answers and shot.state == "classified":
            labels = [f"{ask}: no answer: it was switched off meanwhile"]
    judged = [f"{said.verdict}: {said.rule}, {said.why}" for said in shot.judgements]
    news = _news(shot.change) if shot.change is not None else []
    warnings = [f"warning: {text}" for text in shot.warnings]
    # To be copied: `label`, `similar` and others take it.
    picture = [f"picture {shot.picture.id}"] if shot.picture is not None else []
    return "\n".join([*judged, *answers, *labels[:3], *boxes, *news, *warnings, *picture])


def _said(answer: Answer) -> str:
    if answer.abstains == "stale":
        return f"{answer.head}: abstains: taught on another model, `heads list` says more"
    scores = ", ".join(f"{name} {100 * score:.0f} %" for name, score in answer.scores.items())
    said = answer.class_ or "unsure"
    return f"{answer.head}: {said} (margin {answer.margin:.2f}; {scores})"


def _news(change: Change) -> list[str]:
    """What is new on the picture and in rectangles of it, a line each; nothing if nothing is."""
    named: list[tuple[str, Change | CropChange]] = [("changed", change)]
    for one in change.crops:
        named.append((f"changed in {','.join(f'{edge:g}' for edge in one.crop)}", one))
    return [
        f"{what}: novelty {one.novelty:.2f}, usual is up to {one.threshold:.2f}"
        + "".join(f"; most like {near.picture}" for near in one.nearest[:1])
        for what, one in named
        if one.changed
    ]


def _box(found: Prediction) -> str:
    """A box as a line: its label, and where it is."""
    assert found.box is not None  # noqa: S101 - asked for by the caller
    line = f"{found.label} {100 * found.score:.0f} % {corners(found.box)}"
    if found.classified is not None:
        line += f": {found.classified.label} {100 * found.classified.score:.0f} %"
    return line


def _ms(shot: Shot, stage: str) -> str:
    elapsed = shot.elapsed_ms.get(stage)
    return "" if elapsed is None else f"{elapsed:.0f} ms"
