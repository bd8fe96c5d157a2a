"""What the engines of torch have in common."""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millisight.compare.protocol import Infer
from millisight.engine import Logits, Pixels

if TYPE_CHECKING:
    from millisight.compare.source import Source

_FILE = "network.pt"


def save(network: Any, folder: Path) -> None:
    """Write a network for ``load``."""
    import torch

    torch.save(network, folder / _FILE)


def load(folder: Path) -> Any:
    """The network that ``save`` has written."""
    import torch

    # Not weights alone: the comparison has written this file itself, a moment ago.
    return torch.load(folder / _FILE, weights_only=False)


def trace(source: "Source") -> Any:
    """The network as TorchScript, by ``torch.jit.trace``."""
    import torch

    with warnings.catch_warnings(), torch.no_grad():
        # It announces on every call that it will go one day.
        warnings.simplefilter("ignore")
        # Its own check runs all of it again; the answers are compared later anyway.
        return torch.jit.trace(source.network(), source.example(), check_trace=False)


def save_script(script: Any, folder: Path) -> None:
    """Write a traced network for ``load_script``."""
    script.save(folder / _FILE)


def load_script(folder: Path) -> Any:
    """The traced network that ``save_script`` has written."""
    return open_script(folder / _FILE)


def open_script(file: Path) -> Any:
    """A file of TorchScript."""
    import torch

    with warnings.catch_warnings():
        # It announces on every call that it will go one day.
        warnings.simplefilter("ignore")
        return torch.jit.load(file)


def runner(
    network: Callable[[Any], Any],
    threads: int,
    around: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Infer:
    """What asks ``network``, on so many threads; 0 leaves it to the library."""
    import torch

    if threads:
        torch.set_num_threads(threads)

    def infer(pixels: Pixels) -> Logits:
        with torch.inference_mode(), around():
            logits: Logits = network(torch.from_numpy(pixels)).float().numpy()
        return logits

    return infer
