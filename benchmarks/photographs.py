"""Photographs to send: the user's own, or crops of those that packages ship."""

from base64 import b64encode
from importlib import resources
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

COUNT = 200
SIZE = (500, 375)
QUALITY = 98
"""Makes about 105 KB of a photograph of this size, as much as those of ImageNet have."""

PHONE_COUNT = 24
PHONE_SIZE = (4000, 3000)
PHONE_QUALITY = 87

SHIPPED = "crops of those that scikit-image and scikit-learn ship"
_SHIPPED = {
    "skimage.data": "astronaut.png chelsea.png coffee.png rocket.jpg motorcycle_left.png "
    "motorcycle_right.png hubble_deep_field.jpg retina.jpg",
    "sklearn.datasets.images": "china.jpg flower.jpg",
}

_ORIENTATION = 0x0112


def photographs(folder: Path, images: Path | None) -> list[Path]:
    """JPEG files, at least 100: those under ``images``, else crops written to ``folder``."""
    if images is None:
        return _written(folder / "photographs", [_crop(number) for number in range(COUNT)])
    found = sorted(one for one in images.rglob("*") if one.suffix.lower() in (".jpg", ".jpeg"))
    if len(found) < 100:
        raise SystemExit(f"{images} has {len(found)} JPEG files; at least 100 are needed.")
    return found[:1000]


def in_json(folder: Path, sources: list[Path]) -> list[Path]:
    """The photographs in base64 in JSON, without the end of it: ``load.lua`` adds that."""
    bodies = []
    for source in sources:
        data = source.read_bytes()
        # Without padding, so that more base64 may follow; the end mark of a JPEG is before it.
        bodies.append(b'{"image_data": "' + b64encode(data + bytes(-len(data) % 3)))
    return _written(folder / "json", bodies)


def phone_photographs(folder: Path, sources: list[Path]) -> list[Path]:
    """The first of ``sources`` as phones would have taken them: 12 megapixels, 2 to 4 MB.

    Enlarged, with the fine grain of a small sensor added; every third one lies on its side and says
    so in its EXIF block.
    """
    random = np.random.default_rng(0)
    grain = random.normal(0, 6, (PHONE_SIZE[1], PHONE_SIZE[0], 1))
    made = []
    for number, source in enumerate(sources[:PHONE_COUNT]):
        large = Image.open(source).convert("RGB").resize(PHONE_SIZE, Image.Resampling.BICUBIC)
        noisy = np.clip(np.asarray(large) + np.roll(grain, number * 97, axis=0), 0, 255)
        image = Image.fromarray(noisy.astype(np.uint8))
        exif = Image.Exif()
        if number % 3 == 2:
            image = image.transpose(Image.Transpose.ROTATE_90)
            exif[_ORIENTATION] = 6
        made.append(_jpeg(image, PHONE_QUALITY, exif))
    return _written(folder / "phone", made)


def _crop(number: int) -> bytes:
    """A crop of one of the shipped photographs; the same for the same number."""
    names = [(package, name) for package, text in _SHIPPED.items() for name in text.split()]
    package, name = names[number % len(names)]
    random = np.random.default_rng(number)
    with resources.as_file(resources.files(package) / name) as path:
        image = Image.open(path).convert("RGB")
    share = random.uniform(0.6, 1.0)
    width = min(image.width, image.height * SIZE[0] / SIZE[1]) * share
    height = width * SIZE[1] / SIZE[0]
    left = random.uniform(0, image.width - width)
    top = random.uniform(0, image.height - height)
    box = (left, top, left + width, top + height)
    return _jpeg(image.resize(SIZE, Image.Resampling.LANCZOS, box=box), QUALITY, Image.Exif())


def _jpeg(image: Image.Image, quality: int, exif: Image.Exif) -> bytes:
    file = BytesIO()
    image.save(file, "JPEG", quality=quality, exif=exif)
    return file.getvalue()


def _written(folder: Path, files: list[bytes]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:03}" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    return paths
