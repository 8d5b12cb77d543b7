"""``objectclassification evaluate``: how good a model is on pictures whose content is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from objectclassification.cli.options import AsJson
from objectclassification.errors import EXIT_FAILED, ConfigurationError, ImageError

if TYPE_CHECKING:
    from objectclassification.classification.evaluation import Evaluation
    from objectclassification.classification.scores import Share

SHIPPED = "shipped"
MOST_SHOWN = 10
"""Rows of a table on a terminal; the JSON and the report have more."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(evaluate)


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="An ONNX file, or `shipped` for our own.")
    ],
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="A folder with a folder for each class, or a CSV."),
    ],
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a report with pictures of the mistakes."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Say how good a model is on pictures whose content is known.

    The names of the folders are labels of the model. A CSV has the columns file,label, or
    file,label,left,top,right,bottom with boxes as fractions of the picture, 0 to 1.
    Exits with 1 if there were files that are no pictures; they are listed.
    """
    # Imported late: every other command starts without the classifier's libraries.
    from objectclassification.classification.classifier import Classifier
    from objectclassification.classification.evaluation import Classifies
    from objectclassification.classification.evaluation import evaluate as compare
    from objectclassification.classification.samples import read_samples

    if html is not None and not html.absolute().parent.is_dir():
        raise ConfigurationError(f"{html} cannot be written: there is no such folder")
    classifier = Classifier(None if model == SHIPPED else Path(model))
    found = read_samples(folder, classifier.labels)
    if found.boxed:
        raise ConfigurationError(
            f"{folder} has boxes, and {classifier.model_id} gives labels alone: evaluate a "
            "detector, or take the columns file,label"
        )
    looks = Classifies(classifier.model_id, classifier.model_sha256, classifier.classify)
    with _progress(len(found.samples)) as progress:
        result = compare(looks, found.samples, progress)
    if html is not None:
        _write(html, result, {sample.name: sample.path for sample in found.samples})
    if json:
        import msgspec

        print(msgspec.json.encode(result).decode())
    else:
        _print(result)
    if result.refused_files:
        raise typer.Exit(EXIT_FAILED)


@contextmanager
def _progress(pictures: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; elsewhere nothing."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        task = bars.add_task("pictures", total=pictures)

        def show(done: int) -> None:
            bars.update(task, completed=done)

        yield show


def _write(html: Path, result: Evaluation, paths: dict[str, Path]) -> None:
    from objectclassification.classification import images
    from objectclassification.web.evaluation import report

    thumbnails: dict[str, bytes] = {}
    for mistake in result.mistakes:
        try:
            thumbnails[mistake.file] = images.thumbnail(paths[mistake.file])
        except (ImageError, OSError):
            continue  # it went, or changed, since it was looked at
    try:
        html.write_text(report(result, thumbnails), encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"{html} cannot be written: {exc.strerror}") from exc


def _print(result: Evaluation) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from objectclassification.classification.evaluation import confused

    console = Console()
    console.print(Text(f"{result.model} on {result.pictures} pictures"))
    console.print(f"top-1   {_share(result.top1)}", highlight=False)
    console.print(f"top-5   {_share(result.top5)}", highlight=False)
    console.print(f"ECE     {result.ece:.1%}: confidence less accuracy", highlight=False)
    if result.speed:
        speed = result.speed
        console.print(
            f"speed   {speed.median_ms:.1f} ms (p95 {speed.p95_ms:.1f} ms), "
            f"{speed.pictures_per_s:.0f} pictures a second on one thread",
            highlight=False,
        )
    if result.mistakes:
        table = Table("it is", "it was named", "pictures", box=None, pad_edge=False)
        table.columns[2].justify = "right"
        for truth, predicted, number in confused(result.confusion)[:MOST_SHOWN]:
            table.add_row(Text(truth), Text(predicted), str(number))
        console.print("", table, sep="\n")
    for one in result.refused[:MOST_SHOWN]:
        typer.echo(f"error: {one.file}: {one.detail}", err=True)
    if result.refused_files > MOST_SHOWN:
        more = result.refused_files - MOST_SHOWN
        typer.echo(f"error: and {more} more files that cannot be used", err=True)


def _share(share: Share) -> str:
    return (
        f"{share.share:.1%} ({share.right} of {share.of}; 95 % sure of {share.low:.1%} to "
        f"{share.high:.1%})"
    )
