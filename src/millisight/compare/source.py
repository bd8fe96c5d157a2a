"""What the engines are made of: the network and what follows from it, each made once."""

import copy
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from millisight.build.agreement import engine_for, run_all
from millisight.build.calibrate import CalibrationSet, Pixels, default_set, folder_set, paths_set
from millisight.build.export import ov, to_openvino
from millisight.build.kept import Sides
from millisight.build.quantize import quantize
from millisight.build.steps import Step
from millisight.build.zoo import LoadedModel, load_model
from millisight.compare.network import Network
from millisight.compare.pictures import Pictures, crops, read_folder, read_pictures
from millisight.compare.trained import find_trained
from millisight.runtime import Graph, read_graph
from millisight.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model and pictures, as commands are given them; see their ``--help``."""

    model: str
    weights: Path | None = None
    labels: Path | None = None
    images: Path | None = None
    calibration: Path | None = None


@dataclass(frozen=True)
class Source:
    """A model, pictures to calibrate with, and a folder for what several engines share."""

    model: LoadedModel
    pictures: CalibrationSet
    scratch: Path
    step: Step

    def network(self, *, channels_last: bool = False) -> Network:
        """A network of the caller's own."""
        module = copy.deepcopy(self.model.module)
        return Network(module, self.model.preprocess, channels_last=channels_last)

    def example(self, batch: int = 1) -> torch.Tensor:
        """Real pixels, ``(batch, crop, crop, 3)`` uint8."""
        return torch.from_numpy(np.stack(self.pictures.samples[:batch]))

    @cached_property
    def onnx(self) -> Path:
        """The float32 network as one ONNX file with input ``pixels`` and output ``logits``."""
        file = self.scratch / "float32.onnx"
        with warnings.catch_warnings():
            # Its own parts announce to each other what will go one day.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                self.network(),
                (self.example(2),),
                file,
                input_names=["pixels"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        return file

    @cached_property
    def openvino(self) -> Graph:
        """The float32 graph that a bundle is made of."""
        return to_openvino(copy.deepcopy(self.model.module), self.model.preprocess)

    @cached_property
    def openvino_int8(self) -> Graph:
        """The INT8 graph that a bundle would hold."""
        file = self.scratch / "reference.xml"
        ov.save_model(self.openvino, file, compress_to_fp16=False)
        reference = run_all(engine_for(read_graph(file), "float32"), self.pictures.check)
        return quantize(self.openvino, self.pictures, reference, self.step).graph

    def samples(self, most: int) -> list[Pixels]:
        """Pixels to calibrate with, at most so many."""
        return self.pictures.samples[:most]


def gather(
    choice: Choice, settings: Settings, scratch: Path, step: Step
) -> tuple[Source, Pictures]:
    """What the engines are made of, and the pictures they are looked at with.

    Raises ``DataError`` and what ``find_trained`` and ``load_model`` raise.
    """
    found = find_trained(choice.model, settings.home) if choice.weights is None else None
    model, sides = found or (_load(choice, settings, step), Sides())
    calibration = _calibration(choice, model, sides, step)
    if choice.images is not None:
        pictures = read_folder(choice.images, model.labels, model.preprocess)
    elif sides.validation:
        source = "pictures that the training was validated with"
        pictures = read_pictures(sides.validation, source, model.preprocess)
    else:
        pictures = crops(calibration.check)
    return Source(model, calibration, scratch, step), pictures


def _load(choice: Choice, settings: Settings, step: Step) -> LoadedModel:
    return load_model(
        choice.model,
        weights=choice.weights,
        labels=choice.labels,
        mirror=settings.weights_mirror,
        step=step,
    )


def _calibration(choice: Choice, model: LoadedModel, sides: Sides, step: Step) -> CalibrationSet:
    if choice.calibration is not None:
        return folder_set(choice.calibration, model.preprocess, step)
    if sides.train:
        paths = [path for path, _ in sides.train]
        return paths_set(paths, "the training pictures", model.preprocess, step)
    return default_set(model.preprocess, step)
