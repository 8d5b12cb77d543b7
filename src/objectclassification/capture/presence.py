"""Whether a source is there at all, without opening it: a device may be another program's."""

from __future__ import annotations

import shlex
import shutil
import sys
from glob import has_magic, iglob

from objectclassification.capture.address import device_node, file_path, kind_of
from objectclassification.masking import mask


def why_missing(address: str) -> str | None:
    """Says what is not there of a source on this machine; None if nothing speaks against it.

    Sources on the network are not tried: they may come up later than their camera program.

    Args:
        address: as the user wrote it, and as a source was made of it.
    """
    match kind_of(address):
        case "device" if sys.platform == "linux":
            node = device_node(address)
            return None if node.exists() else f"there is no {node}"
        case "exec":
            program = shlex.split(address.removeprefix("exec:"))[0]
            return None if shutil.which(program) else f"there is no program {program}"
        case "file":
            path = file_path(address)
            there = any(iglob(str(path), recursive=True)) if has_magic(str(path)) else path.exists()
            return None if there else f"there is no {mask(address)}"
        case _:
            return None
