"""The one door to OpenVINO, with its telemetry shut out.

OpenVINO and NNCF report usage over the network through the package ``openvino_telemetry`` unless
it cannot be imported; millisight sends nothing off the machine, so here it cannot. Both treat
that as an ordinary installation without telemetry.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

Graph = Any
"""An ``openvino.Model``; OpenVINO comes without types."""


@dataclass(frozen=True, slots=True)
class GraphFiles:
    """What the two files of a graph (OpenVINO IR) held when they were read."""

    path: Path
    """The ``.xml`` file, for messages."""
    xml: bytes = field(repr=False)
    tensors: bytes = field(repr=False)


def read_graph(path: Path) -> GraphFiles:
    """The graph in the file ``path`` and the ``.bin`` beside it. Raises ``OSError``."""
    return GraphFiles(path, path.read_bytes(), path.with_suffix(".bin").read_bytes())


def parse_graph(files: GraphFiles, core: Any) -> Graph:
    """The graph of ``files``, by an ``openvino.Core``, which raises ``RuntimeError`` if it cannot.

    Nothing is copied: ``files`` must live as long as the graph and whatever is compiled of it.
    """
    ov = import_openvino()
    import numpy as np

    # Given paths, OpenVINO maps the file, and who writes to it changes the answers or ends the
    # process; given bytes, it copies them.
    tensors = np.frombuffer(files.tensors, np.uint8)
    return core.read_model(files.xml, ov.Tensor(tensors, tensors.shape, ov.Type.u8))


def import_openvino() -> ModuleType:
    """The ``openvino`` module. Imported on first use: it takes a few tenths of a second."""
    shut_out_telemetry()
    import openvino

    module: ModuleType = openvino
    return module


def shut_out_telemetry() -> None:
    """Make ``import openvino_telemetry`` fail from now on in this process."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
