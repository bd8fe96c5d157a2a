"""What a graph knows besides its answer: class activation maps, and embeddings.

A class activation map says which parts of a picture speak for a class. Where a network ends in
global average pooling and one linear layer, the logit of a class is the mean over the cells of the
last feature map of (the weights of the class · the features of the cell), plus the bias of the
class. Those products, cell by cell, are the class activation map: Zhou et al., "Learning Deep
Features for Discriminative Localization", CVPR 2016, arXiv:1512.04150.
So it is exact, and one small matrix product more than the answer itself. (In INT8 the pooled
features are rounded once more before the linear layer, which moves a logit by less than a step.)

An embedding is what the linear layer at the end is given: the features of the picture as a whole.
"""

from dataclasses import dataclass
from typing import Any

from millisight.runtime import Graph, import_openvino

# What may stand between pooling and linear layer without changing which cell says what.
_PASSED = {"Reshape", "Squeeze", "FakeQuantize", "Convert"}

# What weights may pass through between where they are stored and where they are used.
_STORED = {*_PASSED, "Multiply", "Subtract", "Transpose"}


@dataclass(frozen=True, slots=True)
class _Ending:
    """The outputs of graph nodes that a class activation map is made of."""

    features: Any
    """What is averaged: ``(?, channels, height, width)``."""
    weights: Any
    """Of the linear layer, ``(classes, channels)``, whatever they are stored as."""


def map_size(graph: Graph) -> tuple[int, int] | None:
    """Height and width of the maps of ``graph``; ``None`` where it has not the ending for them."""
    ending = _find_ending(graph)
    if ending is None:
        return None
    height, width = list(ending.features.get_partial_shape())[2:]
    return height.get_length(), width.get_length()


def with_maps(graph: Graph) -> Graph:
    """``graph`` with maps: for each picture and class the logit, then the cells of its map.

    The output has shape ``(?, classes, 1 + height · width)``, cells row by row. Raises
    ``ValueError`` where ``map_size`` is ``None``.
    """
    ending = _find_ending(graph)
    if ending is None:
        raise ValueError("the graph does not end in global average pooling and one linear layer")
    ov = import_openvino()
    from openvino import opset13 as ops

    def integers(*values: int) -> Any:
        return ops.constant(list(values), ov.Type.i64)

    # 0 keeps a dimension, -1 takes what is left: the number of pictures stays open.
    features = ops.reshape(ending.features, integers(0, 0, -1), special_zero=True)
    cells = ops.matmul(ending.weights, features, transpose_a=False, transpose_b=False)
    logits = ops.unsqueeze(_answer(graph), integers(2))
    return ov.Model([ops.concat([logits, cells], axis=2).output(0)], graph.get_parameters())


def embedding_size(graph: Graph) -> int | None:
    """How many numbers the linear layer at the end of ``graph`` is given for a picture; ``None``
    where the graph does not end in one."""
    product = _linear_layer(graph)
    if product is None:
        return None
    size: int = list(_input(product, 0).get_partial_shape())[-1].get_length()
    return size


def with_embedding(graph: Graph) -> Graph:
    """``graph`` without its last layer: what that is given, ``(?, embedding_size)``, float32.

    In INT8 they are taken before they are rounded for that layer. Raises ``ValueError`` where
    ``embedding_size`` is ``None``.
    """
    product = _linear_layer(graph)
    if product is None:
        raise ValueError("the graph does not end in one linear layer")
    ov = import_openvino()
    from openvino import opset13 as ops

    flat = ops.reshape(
        _before(_input(product, 0)), ops.constant([0, -1], ov.Type.i64), special_zero=True
    )
    numbers = ops.convert(flat, "f32")
    return ov.Model([numbers.output(0)], graph.get_parameters())


def _answer(graph: Graph) -> Any:
    return graph.output(0).get_node().input(0).get_source_output()


def _find_ending(graph: Graph) -> _Ending | None:
    product = _linear_layer(graph)
    if product is None or not product.get_attributes()["transpose_b"]:
        return None
    pooling = _before(_input(product, 0)).get_node()
    if pooling.get_type_name() != "ReduceMean":
        return None
    axes = _input(pooling, 1).get_node()
    features = _input(pooling, 0)
    # Both sides of the picture are averaged and nothing else.
    if axes.get_type_name() != "Constant" or sorted(axes.get_data().tolist()) != [2, 3]:
        return None
    return _Ending(features, _input(product, 1))


def _linear_layer(graph: Graph) -> Any | None:
    """The product that the logits of ``graph`` are, but for the bias; its weights are constant."""
    product = _answer(graph).get_node()
    if product.get_type_name() == "Add":  # The bias, where there is one.
        product = _input(product, 0).get_node()
    if product.get_type_name() != "MatMul" or product.get_attributes()["transpose_a"]:
        return None
    return product if _is_constant(_input(product, 1)) else None


def _is_constant(output: Any) -> bool:
    """Whether ``output`` is made of constants alone, which are stored in whatever precision."""
    node = output.get_node()
    return node.get_type_name() == "Constant" or (
        node.get_input_size() > 0
        and node.get_type_name() in _STORED
        and all(_is_constant(one.get_source_output()) for one in node.inputs())
    )


def _before(output: Any) -> Any:
    """``output`` before it was rounded or its shape was changed."""
    while output.get_node().get_type_name() in _PASSED:
        output = _input(output.get_node(), 0)
    return output


def _input(node: Any, number: int) -> Any:
    return node.input(number).get_source_output()
