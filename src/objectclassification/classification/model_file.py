"""Model files: ONNX with our metadata, loaded and checked. They may be anybody's work."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Generic, TypeVar

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

MODELS: Final = Path(__file__).parent / "models"
"""The models that are shipped."""

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Pixels = Annotated[int, Meta(ge=1, le=65_536)]

Facts = TypeVar("Facts")


@dataclass(frozen=True, slots=True)
class ModelFile(Generic[Facts]):
    """A loaded model.

    Attributes:
        facts: what its metadata says.
        sha256: hex digest of its file.
        inputs: names and shapes without the batch.
        outputs: shapes without the batch, by name.
    """

    facts: Facts
    sha256: str
    inputs: list[tuple[str, list[int]]]
    outputs: dict[str, list[int]]
    _session: onnxruntime.InferenceSession

    def run(self, outputs: Sequence[str], inputs: dict[str, Any]) -> list[Any]:
        """Runs the network: arrays in, arrays out."""
        found: list[Any] = self._session.run(outputs, inputs)
        return found


def load(path: Path, facts: type[Facts], *, threads: int) -> ModelFile[Facts]:
    """Load a model.

    Args:
        path: an ONNX file with our metadata.
        facts: the shape of that metadata.
        threads: of one inference.

    Raises:
        ModelError: there is no such file, or it is not a model that we can use.
    """
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise ModelError(f"the model {path} cannot be read: {exc.strerror}") from exc
    session = _session(content, path, threads)
    try:
        known = msgspec.json.decode(
            session.get_modelmeta().custom_metadata_map[METADATA_KEY], type=facts
        )
    except (KeyError, msgspec.MsgspecError, RecursionError) as exc:
        raise ModelError(f"{path} lacks our metadata: labels and preprocessing") from exc
    return ModelFile(
        facts=known,
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=[(node.name, node.shape[1:]) for node in session.get_inputs()],
        outputs={node.name: node.shape[1:] for node in session.get_outputs()},
        _session=session,
    )


def unfit(path: Path) -> ModelError:
    """The error of a model whose network is another than its metadata says."""
    return ModelError(f"{path} has inputs or outputs that do not fit its metadata")


def _session(content: bytes, path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what it has to say comes back as an exception
    # Threads that wait must not burn the core that the hub runs on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A model may name files that hold its numbers. Ours are one file: there is nothing below it.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(path.absolute())
    )
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # the runtime's errors share no base class
        raise ModelError(f"{path} is not a model that ONNX Runtime can load") from exc
