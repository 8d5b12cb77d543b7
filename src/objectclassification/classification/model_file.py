"""Model files: ONNX with our metadata, loaded and checked. They may be anybody's work."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from objectclassification.errors import MissingExtra, ModelError

# ONNX Runtime gives each account an id and sends what it did to its maker. Only this, before the
# import, keeps it from it: its call to turn that off comes too late.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

try:
    import onnxruntime
except ImportError as exc:
    raise MissingExtra("classification", "server") from exc

METADATA_KEY: Final = "objectclassification"
"""Where a model file keeps its id, labels and preprocessing: one JSON object."""

PROVIDERS: Final = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
"""Devices, and what ONNX Runtime calls them. Which there are depends on the package that brings it:
``onnxruntime`` has cpu, and coreml on macOS; ``onnxruntime-gpu`` and ``onnxruntime-openvino`` have
one more."""

MODELS: Final = Path(__file__).parent / "models"
"""The models that are shipped."""

_VISIBLE: Final = r"^[^\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+\Z"
"""Nothing that moves a terminal's cursor, or turns a line around (bidirectional marks)."""
Name = Annotated[str, Meta(min_length=1, max_length=256, pattern=_VISIBLE)]
Pixels = Annotated[int, Meta(ge=1, le=65_536)]

Facts = TypeVar("Facts")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A loaded model.

    Attributes:
        path: its file.
        sha256: hex digest of that.
        inputs: names and shapes without the batch.
        outputs: shapes without the batch, by name; a name stands for a size that changes.
    """

    path: Path
    sha256: str
    inputs: list[tuple[str, list[int]]]
    outputs: dict[str, list[int | str]]
    _session: onnxruntime.InferenceSession

    def facts(self, kind: type[Facts]) -> Facts:
        """What its metadata says.

        Args:
            kind: the shape of that.

        Raises:
            ModelError: it says something else.
        """
        said = self._session.get_modelmeta().custom_metadata_map
        try:
            return msgspec.json.decode(said[METADATA_KEY], type=kind)
        except (KeyError, msgspec.MsgspecError, RecursionError) as exc:
            raise ModelError(f"{self.path} lacks our metadata: labels and preprocessing") from exc

    def run(self, outputs: Sequence[str], inputs: dict[str, Any]) -> list[Any]:
        """Runs the network: arrays in, arrays out."""
        found: list[Any] = self._session.run(outputs, inputs)
        return found


def devices() -> tuple[str, ...]:
    """Those of :data:`PROVIDERS` that this installation of ONNX Runtime knows."""
    known = onnxruntime.get_available_providers()
    return tuple(device for device, provider in PROVIDERS.items() if provider in known)


def load(path: Path, *, threads: int, device: str = "cpu") -> ModelFile:
    """Load a model.

    Args:
        path: an ONNX file with our metadata.
        threads: of one inference.
        device: where it runs; what that cannot do runs on the processor.

    Raises:
        ModelError: there is no such file, or it is not a model that we can use there.
    """
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise ModelError(f"the model {path} cannot be read: {exc.strerror}") from exc
    session = _session(content, path, threads, device)
    return ModelFile(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=[(node.name, node.shape[1:]) for node in session.get_inputs()],
        outputs={node.name: node.shape[1:] for node in session.get_outputs()},
        _session=session,
    )


def unfit(path: Path) -> ModelError:
    """The error of a model whose network is another than its metadata says."""
    return ModelError(f"{path} has inputs or outputs that do not fit its metadata")


def _session(content: bytes, path: Path, threads: int, device: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what it has to say comes back as an exception
    # Threads that wait must not burn the core that the hub runs on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A model may name files that hold its numbers. Ours are one file: there is nothing below it.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(path.absolute())
    )
    wanted, processor = PROVIDERS[device], PROVIDERS["cpu"]
    # It has threads of its own, as many as cores if nobody says otherwise.
    settings = {"num_of_threads": str(threads)} if device == "openvino" else {}
    providers = [processor] if wanted == processor else [(wanted, settings), processor]
    try:
        session = onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as exc:  # the runtime's errors share no base class
        where = "" if device == "cpu" else f" on {device}"
        raise ModelError(f"{path} is not a model that ONNX Runtime can load{where}") from exc
    # A provider whose libraries or whose hardware is missing is left out without a word.
    if wanted not in session.get_providers():
        raise ModelError(f"{device} does not work here: ONNX Runtime cannot start it")
    return session
