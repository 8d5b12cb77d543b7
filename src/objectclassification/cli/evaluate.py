"""``objectclassification evaluate``: how good a model is on pictures whose content is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from objectclassification.cli.options import AsJson, Device
from objectclassification.cli.running import chosen
from objectclassification.errors import EXIT_FAILED, ConfigurationError, ImageError, ModelError
from objectclassification.sureness import DEFAULT_PRECISION

if TYPE_CHECKING:
    from rich.table import Table

    from objectclassification.classification.evaluation import BoxEvaluation, Evaluation
    from objectclassification.classification.scores import Share
    from objectclassification.receipts import Prediction

SHIPPED = "shipped"
LEAST_SCORE = 0.01
"""Of a box that counts: precision is looked at over all recalls, not only at the sure end."""
MOST_BOXES = 100
"""Of one picture: as COCO counts them (maxDets)."""
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
    precision: Annotated[
        float,
        typer.Option(
            min=0.01,
            max=0.999,
            metavar="P",
            help="Say from which confidence on this share of the answers is right.",
        ),
    ] = DEFAULT_PRECISION,
    device: Device = None,
    json: AsJson = False,
) -> None:
    """Say how good a model is on pictures whose content is known.

    The names of the folders are labels of the model. A CSV has the columns file,label, or
    file,label,left,top,right,bottom with boxes as fractions of the picture, 0 to 1.
    Exits with 1 if there were files that are no pictures; they are listed.
    """
    # Imported late: every other command starts without the classifier's libraries.
    from objectclassification.classification.samples import has_boxes

    if html is not None and not html.absolute().parent.is_dir():
        raise ConfigurationError(f"{html} cannot be written: there is no such folder")
    file = None if model == SHIPPED else Path(model)
    boxed = has_boxes(folder)
    result: Evaluation | BoxEvaluation
    if boxed:
        result, paths = _evaluate_boxes(file, folder, device)
    else:
        result, paths = _evaluate_labels(file, folder, precision, device)
    if html is not None:
        _write(html, result, paths)
    if json:
        import msgspec

        print(msgspec.json.encode(result).decode())
    else:
        _print(result, precision)
    if result.refused_files:
        raise typer.Exit(EXIT_FAILED)


def _evaluate_labels(
    model: Path | None, folder: Path, precision: float, device: str | None
) -> tuple[Evaluation, dict[str, Path]]:
    from objectclassification.classification.classifier import SHIPPED_MODEL, Classifier
    from objectclassification.classification.evaluation import Classifies, evaluate
    from objectclassification.classification.samples import read_samples

    classifier = Classifier(model, device=chosen(device, model or SHIPPED_MODEL))
    samples = read_samples(folder, classifier.labels).samples
    looks = Classifies(classifier.model_id, classifier.model_sha256, classifier.classify)
    with _progress(len(samples)) as progress:
        result = evaluate(looks, samples, progress, precision)
    return result, {sample.name: sample.path for sample in samples}


def _evaluate_boxes(
    model: Path | None, folder: Path, device: str | None
) -> tuple[BoxEvaluation, dict[str, Path]]:
    from objectclassification.classification.detector import SHIPPED_DETECTOR, Detector
    from objectclassification.classification.evaluation import Detects, evaluate_boxes
    from objectclassification.classification.samples import read_samples

    try:
        detector = Detector(model, device=chosen(device, model or SHIPPED_DETECTOR))
    except ModelError as exc:
        raise ModelError(f"{exc.detail} ({folder} has boxes, which takes a detector)") from exc
    samples = read_samples(folder, detector.labels).samples

    def detect(picture: Path) -> Sequence[Prediction]:
        found = detector.detect(picture, min_score=LEAST_SCORE, most=MOST_BOXES)
        return found.predictions

    looks = Detects(detector.model_id, detector.model_sha256, detect)
    with _progress(len(samples)) as progress:
        result = evaluate_boxes(looks, samples, progress)
    return result, {}


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


def _write(html: Path, result: Evaluation | BoxEvaluation, paths: dict[str, Path]) -> None:
    from objectclassification.classification import images
    from objectclassification.classification.evaluation import BoxEvaluation
    from objectclassification.web.evaluation import report

    thumbnails: dict[str, bytes] = {}
    mistakes = () if isinstance(result, BoxEvaluation) else result.mistakes
    for mistake in mistakes:
        try:
            thumbnails[mistake.file] = images.thumbnail(paths[mistake.file])
        except (ImageError, OSError):
            continue  # it went, or changed, since it was looked at
    try:
        html.write_text(report(result, thumbnails), encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"{html} cannot be written: {exc.strerror}") from exc


def _print(result: Evaluation | BoxEvaluation, precision: float) -> None:
    from rich.console import Console
    from rich.text import Text

    from objectclassification.classification.evaluation import Evaluation

    console = Console(highlight=False)
    console.print(Text(f"{result.model} on {result.pictures} pictures"))
    if isinstance(result, Evaluation):
        console.print(f"top-1   {_share(result.top1)}")
        console.print(f"top-5   {_share(result.top5)}")
        console.print(f"ECE     {result.ece:.1%}: confidence less accuracy")
        console.print(f"unsure  {_covered(result, precision)}")
    else:
        console.print(f"mAP@50  {result.map50:.1%}")
    if result.speed:
        speed = result.speed
        console.print(
            f"speed   {speed.median_ms:.1f} ms (p95 {speed.p95_ms:.1f} ms), "
            f"{speed.pictures_per_s:.0f} pictures a second on one thread"
        )
    table = _mistakes(result) if isinstance(result, Evaluation) else _precisions(result)
    if table.row_count:
        console.print("", table, sep="\n")
    for one in result.refused[:MOST_SHOWN]:
        typer.echo(f"error: {one.file}: {one.detail}", err=True)
    if result.refused_files > MOST_SHOWN:
        more = result.refused_files - MOST_SHOWN
        typer.echo(f"error: and {more} more files that cannot be used", err=True)


def _mistakes(result: Evaluation) -> Table:
    """What was named wrongly, the most frequent first."""
    from rich.table import Column, Table
    from rich.text import Text

    from objectclassification.classification.evaluation import confused

    pictures = Column("pictures", justify="right")
    table = Table("it is", "it was named", pictures, box=None, pad_edge=False)
    for truth, predicted, number in confused(result.confusion)[:MOST_SHOWN]:
        table.add_row(Text(truth), Text(predicted), str(number))
    return table


def _precisions(result: BoxEvaluation) -> Table:
    """The classes that are found worst, the worst first."""
    from rich.table import Column, Table
    from rich.text import Text

    numbers = (Column(name, justify="right") for name in ("objects", "average precision"))
    table = Table("class", *numbers, box=None, pad_edge=False)
    for one in sorted(result.classes, key=lambda one: one.average_precision)[:MOST_SHOWN]:
        table.add_row(Text(one.label), str(one.objects), f"{one.average_precision:.1%}")
    return table


def _covered(result: Evaluation, precision: float) -> str:
    found = result.coverage
    if found is None:
        return f"no confidence makes {precision:.0%} of the answers right"
    return (
        f"below {found.below:g}: {found.answered / found.pictures:.1%} are answered, "
        f"{found.share:.1%} of them right (95 % sure of {found.low:.1%} to {found.high:.1%})"
    )


def _share(share: Share) -> str:
    return (
        f"{share.share:.1%} ({share.right} of {share.of}; 95 % sure of {share.low:.1%} to "
        f"{share.high:.1%})"
    )
