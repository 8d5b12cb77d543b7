"""A pool of child processes that classify pictures, for an asyncio program."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import structlog

from objectclassification.classification.frames import (
    LENGTH,
    Answer,
    Choice,
    Done,
    Failed,
    Job,
    Ready,
    Setup,
    Shrink,
    Trial,
    frame,
)
from objectclassification.classification.header import MAX_PIXELS
from objectclassification.classification.outcome import Outcome, Thumbnail, Tried
from objectclassification.classification.tensors import Input
from objectclassification.detection import Detect
from objectclassification.errors import (
    ChildDied,
    ConfigurationError,
    ModelError,
    ObjectClassificationError,
)
from objectclassification.heads import Crop

log = structlog.get_logger(__name__)

START_TIMEOUT_S: Final = 60.0
"""For a child to load its libraries and its model: 0.3 s warm, many seconds from an SD card."""

STOP_TIMEOUT_S: Final = 1.0
"""For an idle child to leave when its input ends, before it is killed."""


MAX_FRAME_BYTES: Final = 16 * 2**20
"""Far more than any answer: predictions, an embedding of 2.5 kB, a thumbnail, and for an engine a
tensor of at most 12.6 MB."""


class ChildNotStarted(ChildDied):
    """No child could be started, or it ended before it had a picture: none is to blame."""


class ClassifierPool:
    """Classifies pictures in child processes, as many at a time as there are children.

    A child that dies or hangs is replaced when its place is next needed; the picture it had fails
    with :class:`ChildDied`, and whether to try it again is the caller's business.

    Attributes:
        size: number of children.
        started: how many children were started so far.
        lost: how many of them died or hung.
        model_sha256: of the model that they have loaded; empty before :meth:`start`.
    """

    def __init__(
        self,
        size: int | None = None,
        *,
        timeout_s: float = 30.0,
        model: Path | None = None,
        max_pixels: int = MAX_PIXELS,
        top: int = 5,
        device: str = "auto",
    ) -> None:
        """Describe a pool; :meth:`start` starts it.

        Args:
            size: number of children; one less than the cores this process may use, at least one,
                if None.
            timeout_s: seconds that one picture may take before its child is given up.
            model: an ONNX file, or None for the shipped one.
            max_pixels: the most pixels a picture may have by its header.
            top: how many predictions to give for each picture.
            device: where models run; ``auto`` is the quickest, which the first child measures.
        """
        cores = len(os.sched_getaffinity(0))
        self.size = size or max(1, cores - 1)
        self._timeout_s = timeout_s
        self._setup = Setup(_name(model), max_pixels, top, device, self.size < cores)
        # Places, each with its child or None. Last in, first out: the warm child works.
        self._idle: asyncio.LifoQueue[_Child | None] = asyncio.LifoQueue()
        for _ in range(self.size):
            self._idle.put_nowait(None)
        self._children: set[_Child] = set()
        self._stopping: set[asyncio.Task[None]] = set()
        self._closed = False
        self.started = self.lost = 0
        self.model_sha256 = ""

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the living children."""
        return tuple(child.pid for child in self._children if child.alive)

    @property
    def ready(self) -> int:
        """How many living children have loaded the model."""
        return sum(child.alive and child.is_loaded for child in self._children)

    async def start(self) -> None:
        """See that one child lives and has loaded the model; the others start when needed.

        Raises:
            ModelError: the model cannot be used.
            ConfigurationError: there is no such device.
            MissingExtra: the extra ``server`` is not installed.
            ChildDied: the child could not be started.
        """
        child = await self._idle.get()
        try:
            if child is None or not child.alive:
                self._give_up(child)
                child = None
                child = await self._start_child()
        finally:
            self._idle.put_nowait(child)

    async def classify(
        self,
        path: Path,
        *,
        thumbnail: bool = False,
        model: Path | None = None,
        crops: tuple[Crop, ...] = (),
        detect: Detect = False,
        detector: Path | None = None,
        tensor: Input | None = None,
    ) -> Outcome:
        """Classify the picture in a file; waits for a child that is free.

        Args:
            path: the picture.
            thumbnail: also make a thumbnail, out of the same decoding.
            model: a classifier's file to use instead of the pool's own.
            crops: rectangles to embed, out of the same decoding.
            detect: also find boxes, out of the same decoding, and classify each by itself if asked.
            detector: a detector's file to use instead of the shipped one.
            tensor: make this of it for an engine, instead of labels.

        Raises:
            ModelError: a model cannot be used.
            NotAnImage, Undecodable, TooManyPixels: the picture is bad, whoever tries it.
            NotFound: the file cannot be read.
            ChildDied: the child died or took longer than ``timeout_s``; retryable.
            ChildNotStarted: there is none to ask: none can be started, or the pool was closed.
        """
        job = Job(str(path), thumbnail, _name(model), crops, detect, _name(detector), tensor)
        answer = await self._ask(job)
        if not isinstance(answer, Done):
            raise _error(answer)
        return _outcome(answer)

    async def try_model(self, model: Path, picture: Path) -> Tried:
        """Have a child look at a picture with a model that nobody relies on yet.

        Args:
            model: an ONNX file with our metadata.
            picture: a picture's file.

        Raises:
            ModelError: it cannot be loaded, failed, or said what no such model says.
            ChildDied: the child died or took longer than ``timeout_s``.
        """
        answer = await self._ask(Trial(str(model), str(picture)))
        if not isinstance(answer, Tried):
            raise _error(answer)
        return answer

    async def shrink(self, path: Path, max_side: int) -> Thumbnail:
        """Make a picture smaller, upright; waits for a child that is free.

        Args:
            path: its file.
            max_side: pixels of the longer side; a smaller picture keeps its size.

        Raises:
            NotAnImage, Undecodable, TooManyPixels: the picture is bad, whoever tries it.
            NotFound: the file cannot be read.
            ChildDied: the child died or took too long; or there is none to ask.
        """
        answer = await self._ask(Shrink(str(path), max_side))
        if not isinstance(answer, Thumbnail):
            raise _error(answer)
        return answer

    async def _ask(self, job: Job | Trial | Shrink) -> Answer:
        """Gives a job to a child that is free."""
        child = await self._idle.get()
        try:
            if child is None or not child.alive:
                self._give_up(child)
                child = None
                child = await self._replacement()
            answer = await child.ask(job, self._timeout_s)
            crops = job.crops if isinstance(job, Job) else ()
            if isinstance(answer, Done) and len(answer.crops) != len(crops):
                raise ChildDied("it embedded other rectangles than it was asked for", pid=child.pid)
            size = job.input.size_bytes if isinstance(job, Job) and job.input else 0
            if isinstance(answer, Done) and len(answer.tensor) != size:
                raise ChildDied("it made another tensor than it was asked for", pid=child.pid)
            return answer
        except BaseException:
            # Also when cancelled: a late answer must not be taken for that of the next picture.
            self._give_up(child)
            child = None
            raise
        finally:
            self._idle.put_nowait(child)

    async def close(self) -> None:
        """End all children; a picture that one of them still has fails with ``ChildDied``."""
        self._closed = True
        idle = [self._idle.get_nowait() for _ in range(self._idle.qsize())]
        for busy in self._children.difference(idle):
            busy.kill()
        for child in idle:
            self._give_up(child, kill=False)
        for _ in range(self.size - len(idle)):
            # Whoever has the place sees its child die, or had only begun to start it.
            self._give_up(await self._idle.get(), kill=False)
        await asyncio.gather(*self._stopping)
        for _ in range(self.size):
            self._idle.put_nowait(None)

    async def _replacement(self) -> _Child:
        try:
            return await self._start_child()
        except (
            ChildDied,
            ModelError,
            ConfigurationError,
        ) as exc:  # while it is installed anew, say
            detail = f"no child process can be started: {exc.detail}"
            raise ChildNotStarted(detail) from exc

    async def _start_child(self) -> _Child:
        if self._closed:
            raise ChildDied("the pool of classifying children is closed")
        child = await _Child.start()
        self.started += 1
        self._children.add(child)
        try:
            answer = await child.ask(self._setup, START_TIMEOUT_S)
            if not isinstance(answer, Ready):
                raise _error(answer)
        except BaseException:
            self._give_up(child)
            raise
        child.model = answer
        self.model_sha256 = answer.model_sha256
        self._settle(answer.choice)
        return child

    def _settle(self, choice: Choice) -> None:
        """Has all later children run where the first one does: they measure nothing."""
        if choice.took_ms:
            log.info(
                "models run on the quickest device",
                device=choice.device,
                took_ms=choice.took_ms,
                failed=choice.failed,
            )
        self._setup = msgspec.structs.replace(self._setup, device=choice.device)

    def _give_up(self, child: _Child | None, *, kill: bool = True) -> None:
        if child is None or child not in self._children:
            return
        self._children.remove(child)
        if kill:
            self.lost += 1
            child.kill()
        task = asyncio.create_task(child.reap())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)


class _Child:
    """One child process, from its parent's side."""

    def __init__(self, process: Process) -> None:
        assert process.stdin and process.stdout  # noqa: S101 - both are pipes: for the type checker
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self.model = Ready("", "", Choice(""))

    @classmethod
    async def start(cls) -> _Child:
        # -P: a file in the working directory must not stand in for a library's module. A session
        # of its own: Ctrl-C in the terminal reaches the server only, even before main() runs.
        command = (sys.executable, "-P", "-m", "objectclassification.classification.child")
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, start_new_session=True
            )
        except OSError as exc:
            raise ChildDied(f"no child process could be started: {exc.strerror}") from exc
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_loaded(self) -> bool:
        return bool(self.model.model_sha256)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None and not self._stdout.at_eof()

    async def ask(self, message: Setup | Job | Trial | Shrink, timeout_s: float) -> Answer:
        """Send a message and wait for its answer."""
        try:
            async with asyncio.timeout(timeout_s):
                self._stdin.write(frame(message))
                await self._stdin.drain()
                (length,) = LENGTH.unpack(await self._stdout.readexactly(LENGTH.size))
                if length > MAX_FRAME_BYTES:
                    raise ChildDied("it answered more than an answer can be", pid=self.pid)
                body = await self._stdout.readexactly(length)
                answer: Answer = msgspec.msgpack.decode(body, type=Answer)
                return answer
        except TimeoutError as exc:
            raise ChildDied(f"it gave no answer within {timeout_s:g} s", pid=self.pid) from exc
        except (asyncio.IncompleteReadError, ConnectionError) as exc:
            raise ChildDied("it died before it answered", pid=self.pid) from exc
        except msgspec.MsgspecError as exc:
            raise ChildDied("its answer cannot be read", pid=self.pid) from exc

    def kill(self) -> None:
        with suppress(ProcessLookupError):  # it went by itself
            self._process.kill()

    async def reap(self) -> None:
        """End the child's input, which ends it, and wait for it; in the end kill it."""
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._process.communicate(b"")
        except TimeoutError:
            self.kill()
            await self._process.communicate(b"")
        log.info("a classifying child ended", pid=self.pid, exit_code=self._process.returncode)


def _name(file: Path | None) -> str | None:
    return None if file is None else str(file)


def _error(answer: Answer) -> ObjectClassificationError:
    if isinstance(answer, Failed):
        return answer.to_error()
    return ChildDied(f"it answered {type(answer).__name__} at the wrong time")


def _outcome(done: Done) -> Outcome:
    return Outcome(
        predictions=done.predictions,
        embedding=done.embedding,
        embedded_by=done.embedded_by,
        model_id=done.model_id,
        model_sha256=done.model_sha256,
        media_type=done.media_type,
        width=done.width,
        height=done.height,
        thumbnail=done.thumbnail,
        elapsed_ms=done.elapsed_ms,
        crops=done.crops,
        detector=done.detector,
        tensor=done.tensor,
        confidence=done.confidence,
    )
