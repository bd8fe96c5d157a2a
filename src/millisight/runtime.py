"""The one door to OpenVINO, with its telemetry shut out.

OpenVINO and NNCF report usage over the network through the package ``openvino_telemetry`` unless
it cannot be imported; millisight sends nothing off the machine, so here it cannot. Both treat
that as an ordinary installation without telemetry.
"""

import sys
from types import ModuleType
from typing import Any

Graph = Any
"""An ``openvino.Model``; OpenVINO comes without types."""


def import_openvino() -> ModuleType:
    """The ``openvino`` module. Imported on first use: it takes a few tenths of a second."""
    shut_out_telemetry()
    import openvino

    module: ModuleType = openvino
    return module


def shut_out_telemetry() -> None:
    """Make ``import openvino_telemetry`` fail from now on in this process."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
