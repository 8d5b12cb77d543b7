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
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

import msgspec

from objectclassification.classification.frames import (
    LENGTH,
    Answer,
    Done,
    Failed,
    Job,
    Setup,
    Shrink,
    Trial,
    frame,
)
from objectclassification.classification.outcome import Thumbnail, Tried
from objectclassification.errors import (
    ConfigurationError,
    ImageError,
    ModelError,
    NotFound,
    Undecodable,
)

if TYPE_CHECKING:
    from objectclassification.classification.look import Looker

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
    warnings.simplefilter("ignore")  # decoders warn on standard error, where the server logs JSON
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
        from objectclassification.classification.look import Looker

        looker = Looker(setup)
    except (ConfigurationError, ModelError) as exc:
        _write(answers, Failed.of(exc))
        return
    _write(answers, looker.ready)
    # A type alias is no type to a type checker, when it comes as an argument.
    kinds: Any = Job | Trial | Shrink
    while (job := _read(jobs, kinds)) is not None:
        _write(answers, _answer(looker, job))


def _answer(looker: Looker, job: Job | Trial | Shrink) -> Done | Tried | Thumbnail | Failed:
    try:
        if isinstance(job, Shrink):
            return looker.shrink(Path(job.path), job.max_side)
        if isinstance(job, Trial):
            from objectclassification.classification.tried import tried

            return tried(Path(job.model), Path(job.path), looker.ready.choice.device)
        return looker.look(job)
    except (ImageError, ModelError) as exc:
        return Failed.of(exc)
    except OSError as exc:
        return Failed.of(NotFound(f"the picture's file cannot be read: {exc.strerror}"))
    except MemoryError:
        return Failed.of(Undecodable("decoding it takes more memory than allowed"))


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
