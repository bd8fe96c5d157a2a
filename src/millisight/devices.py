"""What OpenVINO can compute on here."""

from dataclasses import dataclass
from typing import Any

from millisight.errors import DeviceNotFound
from millisight.runtime import import_openvino

CPU = "CPU"
AUTO = "AUTO"


@dataclass(frozen=True, slots=True)
class Device:
    """One device that can run a network."""

    name: str
    """As ``--device`` takes it."""
    full_name: str
    """What its maker calls it."""
    capabilities: tuple[str, ...]
    """What it says it computes in, such as FP32, BF16 and INT8."""


def find_devices() -> list[Device]:
    """Every device of this machine that OpenVINO can use."""
    core = import_openvino().Core()
    return [
        Device(
            name,
            core.get_property(name, "FULL_DEVICE_NAME"),
            tuple(core.get_property(name, "OPTIMIZATION_CAPABILITIES")),
        )
        for name in core.available_devices
    ]


def check_device(name: str, core: Any = None) -> None:
    """Raise ``DeviceNotFound`` unless ``name`` is AUTO or a device that is here.

    ``core`` is an ``openvino.Core`` where there already is one.
    """
    there = (core or import_openvino().Core()).available_devices
    # Of several of a kind, such as GPU.0 and GPU.1, the first answers to the kind's own name.
    known = {AUTO, *there, *(one.partition(".")[0] for one in there)}
    if name not in known:
        raise DeviceNotFound(
            f"There is no device {name} here.",
            hint=f"OpenVINO finds {', '.join(there)}; AUTO takes the best of them.",
        )
