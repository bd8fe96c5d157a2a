"""torch's static INT8: exported, calibrated by torchao, and compiled by inductor for x86."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millisight.compare import with_torch
from millisight.compare.processor import has_vnni
from millisight.compare.protocol import Infer, Place

if TYPE_CHECKING:
    from millisight.compare.source import Source


_FILE = "network.pt2"
_SAMPLES = 64
_BATCH = 8


def _export(network: Any, example: Any) -> Any:
    """``network`` for batches of any size, as an ``ExportedProgram``."""
    from torch.export import Dim, export

    # Only the strict way gives the patterns that the quantiser looks for.
    return export(network, (example,), dynamic_shapes=({0: Dim("batch", max=1024)},), strict=True)


def _calibrate(source: "Source") -> Any:
    """The network with quantisation in it, which inductor turns into INT8 kernels."""
    from torchao.quantization import pt2e
    from torchao.quantization.pt2e import quantize_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    usual = x86.get_default_x86_inductor_quantization_config(reduce_range=not has_vnni())
    # Its own histograms of every activation take minutes.
    ranges = replace(
        usual.input_activation,
        observer_or_fake_quant_ctr=pt2e.MinMaxObserver.with_args(eps=2**-12),
    )
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(replace(usual, input_activation=ranges, output_activation=ranges))
    exported = _export(source.network(), source.example(2)).module()
    prepared = quantize_pt2e.prepare_pt2e(exported, quantizer)
    for batch in source.example(_SAMPLES).split(_BATCH):
        prepared(batch)
    converted = quantize_pt2e.convert_pt2e(prepared)
    _leave_out_replaced(converted)
    return converted


def _leave_out_replaced(converted: Any) -> None:
    """Remove the float32 weights that INT8 ones stand beside, which would be saved too."""
    used = {node.target for node in converted.graph.nodes if node.op == "get_attr"}
    named = [*converted.named_parameters(), *converted.named_buffers()]
    for name in {name for name, _ in named} - used:
        owner, _, last = name.rpartition(".")
        delattr(converted.get_submodule(owner), last)


class StaticInt8:
    """See ``Engine``."""

    title = "PT2E static, x86"
    precision = "int8"
    packages: tuple[str, ...] = ("torchao",)

    def prepare(self, source: "Source", folder: Path) -> None:
        """See ``Engine``."""
        import torch

        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            calibrated = _calibrate(source)
            file = folder / _FILE
            torch.export.save(_export(calibrated, source.example(2)), file)

    def load(self, folder: Path, place: Place) -> Infer:
        """See ``Engine``."""
        import torch
        import torchao.quantization.pt2e  # noqa: F401 (the operators in the file)
        from torch._inductor import config

        # Only weights that are constants become INT8 ones.
        config.freezing = True
        network = torch.export.load(folder / _FILE).module()
        return with_torch.runner(torch.compile(network), place.threads)


ENGINE = StaticInt8()
