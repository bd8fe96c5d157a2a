"""JPEG bytes to network input, compared: the present decoder against those that are installed.

    python benchmarks/decoders.py --images DIR

Candidates take turns picture by picture and are measured in CPU time of the whole process, so
that neither other work on the machine nor a library's own threads hide what a picture costs.
pillow-simd takes Pillow's place: install it into an environment of its own and compare the rows
of the two runs. Only the present decoder guards against hostile files and turns pictures upright.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import distributions
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from millisight.geometry import Box, clip, crop_box, draft_scale
from millisight.image import DRAFT_FACTOR, Limits, decode
from millisight.manifest import Preprocess

Pixels = NDArray[np.uint8]
Decoder = Callable[[bytes, Preprocess], Pixels]

PACKAGES = ("pillow", "pillow-simd", "cykooz-resizer", "opencv-python-headless", "simplejpeg")

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def present() -> Decoder:
    limits = Limits()
    return lambda data, preprocess: decode(data, preprocess, limits).pixels


def pillow(*, fast: bool) -> Decoder:
    """Pillow alone, with the file given to libjpeg at once and not in blocks of 64 KB.

    ``fast`` takes what Pillow's unused draft flag offers: the fastest DCT and the plainest chroma.
    """

    def run(data: bytes, preprocess: Preprocess) -> Pixels:
        image, box = _opened(data, preprocess, fast=fast)
        return _pillow_resize(image, box, preprocess)

    return run


def pillow_cykooz() -> Decoder:
    resize = _cykooz_on_pillow()

    def run(data: bytes, preprocess: Preprocess) -> Pixels:
        image, box = _opened(data, preprocess)
        return _array(resize(image, box, preprocess))

    return run


def simplejpeg_cykooz() -> Decoder:
    load, resize = _simplejpeg(), _cykooz_on_bytes()

    def run(data: bytes, preprocess: Preprocess) -> Pixels:
        return resize(*load(data, preprocess), preprocess)

    return run


def opencv_area() -> Decoder:
    """OpenCV has no antialiased bilinear resize; INTER_AREA, on whole pixels, comes nearest."""
    import cv2

    cv2.setNumThreads(1)
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION

    def run(data: bytes, preprocess: Preprocess) -> Pixels:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        left, top, right, bottom = map(round, crop_box(pixels.shape[1::-1], preprocess))
        size = (preprocess.crop, preprocess.crop)
        part = pixels[top:bottom, left:right]
        resized: Pixels = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        return resized

    return run


def torchvision_reference() -> Decoder:
    """Not a candidate for serving; its row says how far the present decoder is from it."""
    from torchvision.transforms import InterpolationMode, v2

    def run(data: bytes, preprocess: Preprocess) -> Pixels:
        mode = InterpolationMode(preprocess.interpolation)
        resize = v2.Resize(preprocess.resize, interpolation=mode, antialias=True)
        with Image.open(BytesIO(data)) as image:
            return np.asarray(v2.CenterCrop(preprocess.crop)(resize(image.convert("RGB"))))

    return run


CANDIDATES: dict[str, Callable[[], Decoder]] = {
    "present": present,
    "Pillow, file in one read": partial(pillow, fast=False),
    "Pillow, fast DCT": partial(pillow, fast=True),
    "Pillow + cykooz": pillow_cykooz,
    "simplejpeg + cykooz": simplejpeg_cykooz,
    "OpenCV, area": opencv_area,
    "torchvision (reference)": torchvision_reference,
}


def _opened(data: bytes, preprocess: Preprocess, *, fast: bool = False) -> tuple[Image.Image, Box]:
    """The picture as Pillow decodes it and the part of it that the crop shows."""
    image = Image.open(BytesIO(data), formats=("JPEG",))
    size = image.size
    image.draft(None, (preprocess.resize * DRAFT_FACTOR,) * 2)
    image.decodermaxblock = len(data)
    image.decoderconfig = (image.decoderconfig[0], int(fast))
    image.load()
    return image, _reduced_box(size, image.size, preprocess)


def _reduced_box(size: tuple[int, int], reduced: tuple[int, int], preprocess: Preprocess) -> Box:
    scale = draft_scale(size[0], reduced[0])
    left, top, right, bottom = crop_box(size, preprocess)
    return clip((left / scale, top / scale, right / scale, bottom / scale), reduced)


def _pillow_resize(image: Image.Image, box: Box, preprocess: Preprocess) -> Pixels:
    size = (preprocess.crop, preprocess.crop)
    return _array(image.resize(size, _RESAMPLING[preprocess.interpolation], box=box))


def _array(image: Image.Image) -> Pixels:
    return np.asarray(image.convert("RGB") if image.mode == "L" else image)


def _simplejpeg() -> Callable[[bytes, Preprocess], tuple[Pixels, Box]]:
    import simplejpeg

    def load(data: bytes, preprocess: Preprocess) -> tuple[Pixels, Box]:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        target = preprocess.resize * DRAFT_FACTOR
        # The same powers of two as Pillow's draft: fractions between them are slow and less exact.
        scale = next((s for s in (8, 4, 2) if min(width, height) >= s * target), 1)
        least = {"min_height": -(-height // scale), "min_width": -(-width // scale)}
        pixels = simplejpeg.decode_jpeg(data, min_factor=scale, **least)
        return pixels, _reduced_box((width, height), pixels.shape[1::-1], preprocess)

    return load


def _cykooz_on_pillow() -> Callable[[Image.Image, Box, Preprocess], Image.Image]:
    """Works on Pillow's own memory, found through a copy of Pillow's private C structure."""
    import cykooz_resizer

    resizer, options = cykooz_resizer.Resizer(), _cykooz_options()

    def resize(image: Image.Image, box: Box, preprocess: Preprocess) -> Image.Image:
        target = Image.new(image.mode, (preprocess.crop, preprocess.crop))
        resizer.resize_pil(image, target, options(box, preprocess))
        return target

    return resize


def _cykooz_on_bytes() -> Callable[[Pixels, Box, Preprocess], Pixels]:
    """Takes and gives ``bytes`` only: a copy in, a copy out, and no look into Pillow's memory."""
    import cykooz_resizer

    resizer, options = cykooz_resizer.Resizer(), _cykooz_options()
    kind = cykooz_resizer.PixelType.U8x3

    def resize(pixels: Pixels, box: Box, preprocess: Preprocess) -> Pixels:
        height, width, _ = pixels.shape
        source = cykooz_resizer.ImageData(width, height, kind, pixels.tobytes())
        target = cykooz_resizer.ImageData(preprocess.crop, preprocess.crop, kind)
        resizer.resize(source, target, options(box, preprocess))
        return np.frombuffer(target.get_buffer(), np.uint8).reshape(preprocess.crop, -1, 3)

    return resize


def _cykooz_options() -> Callable[[Box, Preprocess], object]:
    from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions

    # Catmull-Rom is Pillow's bicubic: the cubic with a = -0.5.
    filters = {"bilinear": FilterType.bilinear, "bicubic": FilterType.catmull_rom}
    algorithms = {name: ResizeAlg.convolution(kind) for name, kind in filters.items()}

    def options(box: Box, preprocess: Preprocess) -> object:
        left, top, right, bottom = box
        part = CropBox(left, top, right - left, bottom - top)
        return ResizeOptions(algorithms[preprocess.interpolation], use_alpha=False, crop_box=part)

    return options


def installed() -> dict[str, Decoder]:
    """The candidates whose packages are there; a line for each that is left out."""
    decoders = {}
    for name, prepare in CANDIDATES.items():
        try:
            decoders[name] = prepare()
        except ImportError as error:
            print(f"{name}: left out, {error.name or error} is not installed.")
    return decoders


def costs(
    decoders: dict[str, Decoder], pictures: Sequence[bytes], preprocess: Preprocess, rounds: int
) -> dict[str, float]:
    """Median CPU milliseconds a picture."""
    taken: dict[str, list[float]] = {name: [] for name in decoders}
    for data in pictures:
        turns: dict[str, list[float]] = {name: [] for name in decoders}
        for _ in range(rounds):
            for name, run in decoders.items():
                begin = time.process_time()
                run(data, preprocess)
                turns[name].append(time.process_time() - begin)
        for name, times in turns.items():
            taken[name].append(statistics.median(times))
    return {name: statistics.median(times) * 1e3 for name, times in taken.items()}


def difference(
    run: Decoder, base: Decoder, pictures: Sequence[bytes], preprocess: Preprocess
) -> tuple[float, int]:
    """Mean and largest absolute difference of 255 from what ``base`` gives."""
    means, largest = [], 0
    for data in pictures:
        off = np.abs(run(data, preprocess).astype(np.int16) - base(data, preprocess))
        means.append(float(off.mean()))
        largest = max(largest, int(off.max()))
    return statistics.fmean(means), largest


def table(pictures: Sequence[bytes], preprocess: Preprocess, rounds: int) -> Iterator[str]:
    """The lines of the Markdown table."""
    decoders = installed()
    # Tables, caches and memory are made ready before the clock runs.
    for run in decoders.values():
        for data in pictures[:5]:
            run(data, preprocess)
    yield "| decoder | CPU ms a picture | of the present | mean difference | largest |"
    yield "|---|---|---|---|---|"
    taken = costs(decoders, pictures, preprocess, rounds)
    base = decoders["present"]
    for name, cost in taken.items():
        mean, largest = difference(decoders[name], base, pictures, preprocess)
        yield f"| {name} | {cost:.2f} | {cost / taken['present']:.0%} | {mean:.2f} | {largest} |"


def _versions() -> str:
    found = {each.name: each.version for each in distributions()}
    return ", ".join(f"{name} {found[name]}" for name in PACKAGES if name in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of JPEG files")
    parser.add_argument("--interpolation", choices=_RESAMPLING, default="bilinear")
    parser.add_argument("--rounds", type=int, default=5, help="turns for each picture")
    arguments = parser.parse_args()
    pictures = [path.read_bytes() for path in sorted(arguments.images.glob("*.jp*g"))]
    if not pictures:
        parser.error(f"{arguments.images} has no JPEG files")
    kind = arguments.interpolation
    preprocess = Preprocess(
        resize=256, crop=224, interpolation=kind, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
    )
    print(f"{_versions()}; {len(pictures)} pictures\n")
    print(*table(pictures, preprocess, arguments.rounds), sep="\n")


if __name__ == "__main__":
    main()
