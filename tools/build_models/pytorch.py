"""State dicts in PyTorch's legacy format, read without PyTorch."""

from __future__ import annotations

import collections
import pickle
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.float32]]


class _StateDict(pickle.Unpickler):
    """Unpickles a state dict in PyTorch's legacy format, and nothing else.

    Storages come after the pickles, so tensors are first built as descriptions of themselves.
    """

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "collections", "OrderedDict":
                return collections.OrderedDict
            case "torch._utils", "_rebuild_tensor_v2":
                return lambda storage, offset, size, stride, *_: (storage, offset, size, stride)
            case "torch", "FloatStorage" | "LongStorage":
                return {"FloatStorage": "<f4", "LongStorage": "<i8"}[name]
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a state dict")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        _, dtype, key, *_ = pid
        return key, dtype


def read_state_dict(path: Path) -> Weights:
    """Read a state dict that ``torch.save`` wrote in its legacy format.

    Args:
        path: the ``.pth`` file.

    Returns:
        Arrays by parameter name; float32 only.
    """
    with path.open("rb") as file:
        _magic, _protocol, _system = (_StateDict(file).load() for _ in range(3))
        tensors = _StateDict(file).load()
        keys = _StateDict(file).load()
        dtypes = dict(storage for storage, *_ in tensors.values())
        storages = {key: _read_storage(file, dtypes[key]) for key in keys}
    weights = {}
    for name, ((key, dtype), offset, size, stride) in tensors.items():
        if dtype == "<f4":
            strides = [4 * step for step in stride]
            view = np.lib.stride_tricks.as_strided(storages[key][offset:], size, strides)
            weights[name] = np.ascontiguousarray(view)
    return weights


def _read_storage(file: BinaryIO, dtype: str) -> NDArray[Any]:
    (count,) = struct.unpack("<q", file.read(8))
    size = np.dtype(dtype).itemsize * count
    return np.frombuffer(file.read(size), dtype)
