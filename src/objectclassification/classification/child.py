"""The program of a classifying child process, started by :mod:`.pool` with ``python -m``.

Pictures come from anyone, and decoders have bugs: whatever a picture does to this process, the
server lives on. Jobs come in on standard input and answers go out on standard output, in the
frames of :mod:`.frames`. The end of the input, which also comes when the parent is killed, ends the
child; Linux ends one that hangs then, or was stopped. Nothing of the server is imported here.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar

import msgspec

from objectclassification.classification.frames import (
    LENGTH,
    Answer,
    Done,
    Failed,
    Job,
    Ready,
    Setup,
    frame,
)
from objectclassification.classification.outcome import Thumbnail
from objectclassification.errors import (
    ImageError,
    MissingExtra,
    ModelError,
    NotFound,
    Undecodable,
)

if TYPE_CHECKING:
    from objectclassification.classification.loaded import Loaded

NICENESS: Final = 10
"""Below the server, whose answers somebody waits for."""

MEMORY_BYTES: Final = 2 * 2**30
"""Most memory that a child may allocate; 50 megapixels of transparent WebP take 1.1 GiB."""

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h

T = TypeVar("T")


def main() -> int:
    """Serve jobs until the input ends.

    Returns:
        An exit code.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends us
    _end_with_parent()
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    jobs, answers = sys.stdin.buffer, _take_stdout()
    try:
        _serve(jobs, answers)
    except BrokenPipeError:
        pass  # the parent is gone, and so are we
    return 0


def _serve(jobs: BinaryIO, answers: int) -> None:
    setup = _read(jobs, Setup)
    if setup is None:
        return
    try:
        # Imported late: a missing extra is an answer, not a traceback.
        from objectclassification.classification.loaded import Loaded

        models = Loaded(Path(setup.model) if setup.model else None)
    except (MissingExtra, ModelError) as exc:
        _write(answers, Failed.of(exc))
        return
    _write(answers, Ready(models.own.model_id, models.own.model_sha256))
    while (job := _read(jobs, Job)) is not None:
        _write(answers, _answer(models, job, setup))


def _answer(models: Loaded, job: Job, setup: Setup) -> Done | Failed:
    try:
        return _classify(models, job, setup)
    except (ImageError, ModelError) as exc:
        return Failed.of(exc)
    except OSError as exc:
        return Failed.of(NotFound(f"the picture's file cannot be read: {exc.strerror}"))
    except MemoryError:
        return Failed.of(Undecodable("decoding it takes more memory than allowed"))


def _classify(models: Loaded, job: Job, setup: Setup) -> Done:
    from objectclassification.classification import images

    classifier, own = models.get(job.model), models.own
    start = time.perf_counter()
    short_side = max(classifier.short_side, own.short_side)
    image, info = images.decode(
        Path(job.path),
        min_short=images.short_side_for(short_side, job.crops),
        min_long=images.THUMBNAIL_SIDE if job.thumbnail else 0,
        max_pixels=setup.max_pixels,
    )
    decode_ms = (time.perf_counter() - start) * 1000
    found = classifier.classify_decoded(image, decode_ms=decode_ms, top=setup.top)
    elapsed_ms, embedding = dict(found.elapsed_ms), found.embedding
    if classifier is not own:
        start = time.perf_counter()
        embedding = own.embed(image)
        elapsed_ms["embed"] = round((time.perf_counter() - start) * 1000, 3)
    crops: tuple[bytes, ...] = ()
    if job.crops:
        start = time.perf_counter()
        crops = tuple(
            own.embed(images.cut(image, crop, own.middle)).astype("<f2").tobytes()
            for crop in job.crops
        )
        elapsed_ms["crops"] = round((time.perf_counter() - start) * 1000, 3)
    thumbnail = None
    if job.thumbnail:
        start = time.perf_counter()
        small = images.shrink(image)
        thumbnail = Thumbnail(images.to_jpeg(small), small.width, small.height)
        elapsed_ms["thumbnail"] = round((time.perf_counter() - start) * 1000, 3)
    return Done(
        predictions=found.predictions,
        embedding=embedding.astype("<f2").tobytes(),
        embedded_by=own.model_sha256,
        model_id=found.model_id,
        model_sha256=found.model_sha256,
        media_type=info.media_type,
        width=info.width,
        height=info.height,
        thumbnail=thumbnail,
        elapsed_ms=elapsed_ms,
        crops=crops,
    )


def _end_with_parent() -> None:
    """Has the kernel kill us with the server: a decoder that hangs reads no end of input."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def _take_stdout() -> int:
    """Keep standard output for answers; what libraries print there goes to standard error."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def _read(jobs: BinaryIO, kind: type[T]) -> T | None:
    header = jobs.read(LENGTH.size)
    if len(header) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(header)
    return msgspec.msgpack.decode(jobs.read(length), type=kind)


def _write(answers: int, answer: Answer) -> None:
    # Unbuffered: a buffer that a dead parent left unsent would complain again at exit.
    rest = memoryview(frame(answer))
    while rest:
        rest = rest[os.write(answers, rest) :]


if __name__ == "__main__":
    sys.exit(main())
