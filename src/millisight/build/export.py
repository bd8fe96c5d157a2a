"""A torch model to an OpenVINO graph that takes pixels as they come."""

import logging
import warnings

import torch
from torch import nn

from millisight.manifest import Preprocess
from millisight.runtime import Graph, import_openvino

ov = import_openvino()


def to_openvino(module: nn.Module, preprocess: Preprocess) -> Graph:
    """The float32 graph of ``module`` with input uint8 ``(?, crop, crop, 3)``, RGB, and output
    float32 logits ``(?, classes)``. Normalisation is part of the graph."""
    from openvino.preprocess import PrePostProcessor

    crop = preprocess.crop
    example = torch.zeros(1, 3, crop, crop)
    with warnings.catch_warnings(), torch.no_grad():
        # The converter traces; torch announces on every call that tracing will go one day.
        warnings.simplefilter("ignore")
        logging.getLogger("torch").setLevel(logging.ERROR)
        model = ov.convert_model(module, example_input=example, input=[-1, 3, crop, crop])
    processor = PrePostProcessor(model)
    picture = processor.input()
    picture.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    picture.model().set_layout(ov.Layout("NCHW"))
    steps = picture.preprocess().convert_element_type(ov.Type.f32)
    steps.mean([255 * value for value in preprocess.mean])
    steps.scale([255 * value for value in preprocess.std])
    graph = processor.build()
    graph.input().set_names({"pixels"})
    graph.output().set_names({"logits"})
    return graph
