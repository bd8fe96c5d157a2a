"""What several tests share: the geometry's reference, and pictures made of numbers."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from millisight.image import Limits
from millisight.manifest import Preprocess

PREPROCESS = Preprocess(
    resize=256,
    crop=224,
    interpolation="bilinear",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
LIMITS = Limits()


def reference(image: Image.Image) -> NDArray[np.uint8]:
    """torchvision's ``Resize(256)`` and ``CenterCrop(224)`` on the whole picture, step by step."""
    image = image.convert("RGB")
    width, height = image.size
    longer = int(256 * max(image.size) / min(image.size))
    size = (256, longer) if width <= height else (longer, 256)
    resized = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (int(round((side - 224) / 2.0)) for side in resized.size)  # noqa: RUF046
    return np.asarray(resized.crop((left, top, left + 224, top + 224)))


def difference(pixels: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    """Mean absolute difference, in steps of 1/255."""
    return float(np.abs(pixels.astype(int) - expected.astype(int)).mean())


def texture(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture with detail of many sizes and no symmetry, like a photograph."""
    random = np.random.default_rng(seed)
    layers = []
    for cells in (4, 16, 64, 256):
        shape = (height * cells // 3000 + 2, width * cells // 3000 + 2, 3)
        coarse = Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8))
        layers.append(np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)))
    mean = sum(layer.astype(np.float32) for layer in layers) / len(layers)
    return Image.fromarray(np.clip((mean - 128) * 1.6 + 128, 0, 255).astype(np.uint8))


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """The bytes of a picture file."""
    file = BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def solid(color: Any, mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A picture of one colour."""
    return Image.new(mode, size, color)
