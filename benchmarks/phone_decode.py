"""A phone's photograph decoded millisight's way and decoded in full, turn by turn.

    python phone_decode.py LIST

Runs in millisight's environment with the starter model, which is trained, and prints one JSON line:
median milliseconds of both ways, of how many photographs the network is sure when it sees all of
them, and of how many of those it names the same class both ways. Of the others the two best classes
may be as good as equal, and a difference of one in a pixel decides between them.
"""

import json
import sys
import time
from io import BytesIO
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image, ImageOps

import millisight

ROUNDS = 3

SURE = 0.5
"""Confidence of the first class."""


def in_full(picture: bytes) -> Image.Image:
    """Network input the ordinary way: every pixel decoded, then resized and cut."""
    image = Image.open(BytesIO(picture)).convert("RGB")
    ImageOps.exif_transpose(image, in_place=True)
    scale = 256 / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    left, top = (width - 224) // 2, (height - 224) // 2
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    return resized.crop((left, top, left + 224, top + 224))


def main() -> None:
    """Measure the listed photographs."""
    pictures = [Path(line).read_bytes() for line in Path(sys.argv[1]).read_text().splitlines()]
    reduced: list[float] = []
    full: list[float] = []
    sure = same = 0
    with millisight.load("starter") as classifier:
        for _ in range(ROUNDS):
            for picture in pictures:
                started = time.perf_counter()
                classifier.decode(picture)
                between = time.perf_counter()
                in_full(picture)
                full.append(time.perf_counter() - between)
                reduced.append(between - started)
        for picture in pictures:
            reduced_label = classifier.classify(picture, 1).predictions[0].label
            everything = ImageOps.exif_transpose(Image.open(BytesIO(picture)))
            full_best = classifier.classify(np.asarray(everything), 1).predictions[0]
            if full_best.confidence >= SURE:
                sure += 1
                same += reduced_label == full_best.label
    print(json.dumps({
        "photographs": len(pictures), "sure": sure, "same_top1": same,
        "reduced_ms": median(reduced) * 1e3, "full_ms": median(full) * 1e3,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
