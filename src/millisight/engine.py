"""Pixels to logits: the engines."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from millisight.cpu import available_cores
from millisight.devices import AUTO, CPU, check_device
from millisight.errors import BundleError
from millisight.manifest import Precision
from millisight.runtime import Graph, GraphFiles, import_openvino, parse_graph
from millisight.watch import Watch

Pixels = NDArray[np.uint8]
Logits = NDArray[np.float32]


class Engine(Protocol):
    """Runs the network, in up to ``lanes`` threads at a time."""

    @property
    def lanes(self) -> int:
        """How many batches may run side by side."""
        ...

    def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:
        """Logits ``(n, classes)`` for pixels ``(n, crop, crop, 3)``, RGB.

        ``alone`` says that nothing else needs the other cores now; of the threads that are inside
        at one time, only one may say so.
        """
        ...


@dataclass(frozen=True, slots=True)
class Inferred:
    """What the network said of one picture, and how long that took, in seconds."""

    logits: Logits
    """Shape ``(classes,)``."""
    queued: float
    begun: float
    """When the run began that this picture was part of, in ``time.monotonic`` seconds."""
    inference: float
    """Time of that run."""


class Watched:
    """``engine``, with somebody who is told of its runs."""

    def __init__(self, engine: Engine, watch: Watch) -> None:
        self.lanes = engine.lanes
        self._engine = engine
        self._watch = watch

    def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:
        """See ``Engine.infer``."""
        logits = self._engine.infer(batch, alone=alone)
        self._watch.ran(len(batch))
        return logits


class OpenVINOEngine:
    """One graph compiled several times for this machine's CPU, or for another ``device``.

    Each lane has a graph of its own, for one core, which runs in the thread that calls: no core
    waits for another, which gives the most pictures a second. A picture that is alone runs on a
    graph for all cores, which gives its answer first. Single pictures have graphs of a fixed size,
    which are faster than those that take any size up to ``max_batch``.
    """

    def __init__(
        self,
        graph: GraphFiles,
        *,
        precision: Precision,
        threads: int = 0,
        max_batch: int = 1,
        device: str = CPU,
        change: Callable[[Graph], Graph] | None = None,
    ) -> None:
        """Compile ``graph`` (one uint8 input ``(?, crop, crop, 3)``) and warm up.

        ``threads`` 0 takes every core this process may use; ``change`` makes another graph of it
        first. Raises ``DeviceNotFound``, and ``BundleError`` when OpenVINO cannot read the graph.
        """
        self.lanes = threads or available_cores()
        ov = import_openvino()
        self._tensor = ov.Tensor
        core = ov.Core()
        check_device(device, core)
        compiled = partial(_compile, core, device, precision)
        try:
            model = parse_graph(graph, core)
            if change is not None:
                model = change(model)
            picture = [side.get_length() for side in list(model.input().partial_shape)[1:]]
            model.reshape([1, *picture])
            # Compiling is one thread's work, so several take little longer than one.
            with ThreadPoolExecutor(self.lanes) as pool:
                single = list(pool.map(partial(compiled, model), [1] * self.lanes))
                self._whole = compiled(model, self.lanes) if self.lanes > 1 else single[0]
                batched = [None] * self.lanes
                if max_batch > 1:
                    model.reshape([ov.Dimension(1, max_batch), *picture])
                    batched = list(pool.map(partial(compiled, model), [1] * self.lanes))
        except RuntimeError as error:
            raise BundleError(
                f"OpenVINO cannot load {graph.path}.", hint="Build the bundle again."
            ) from error
        self._free = list(zip(single, batched, strict=True))
        # Its tensors are read as long as what was compiled is there, which goes before it.
        self._graph = graph
        self._warm_up([np.zeros((size, *picture), np.uint8) for size in range(1, max_batch + 1)])

    def _warm_up(self, batches: list[Pixels]) -> None:
        """The first run at each size prepares kernels for it; no request should pay for that."""
        self.infer(batches[0], alone=True)
        for _ in range(self.lanes):
            for batch in batches:
                self.infer(batch)
            self._free.insert(0, self._free.pop())

    def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:
        """See ``Engine.infer``; ``batch`` has at most ``max_batch`` pictures."""
        if alone and len(batch) == 1:
            return self._run(self._whole, batch)
        lane = self._free.pop()
        try:
            return self._run(lane[len(batch) > 1], batch)
        finally:
            self._free.append(lane)

    def _run(self, request: Any, batch: Pixels) -> Logits:
        # What ``infer`` does with an array itself holds up all Python threads for some 0.1 ms.
        # Memory is shared with what could be written only.
        writeable = np.require(batch, requirements=("C", "W"))
        request.set_input_tensor(self._tensor(writeable, shared_memory=True))
        request.infer(share_outputs=True)
        return np.array(request.get_output_tensor().data, np.float32)


def _compile(core: Any, device: str, precision: Precision, model: Graph, threads: int) -> Any:
    """``model`` for ``threads`` cores, ready to run: an ``openvino.InferRequest``."""
    config = device_config(device, precision, threads)
    return core.compile_model(model, device, config).create_infer_request()


def device_config(device: str, precision: Precision, threads: int) -> dict[str, Any]:
    """What OpenVINO is told for one stream, on the CPU of ``threads`` cores."""
    if device not in {CPU, AUTO}:
        # Other devices have neither streams that are counted in cores nor bf16.
        return {}
    return {
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        # OpenVINO pins its threads to the first cores, those of every process to the same ones.
        "ENABLE_CPU_PINNING": False,
        # Said outright because OpenVINO's default depends on the CPU, and the logits with it.
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
    }


class FakeEngine:
    """An engine without a network, for tests of what surrounds one.

    The top-1 class of a picture is the value of its first byte modulo ``class_count``.
    """

    def __init__(self, class_count: int, *, seconds: float = 0.0, lanes: int = 1) -> None:
        self.class_count = class_count
        self.lanes = lanes
        self.seconds = seconds
        self.batch_sizes: list[int] = []
        """The size of every batch that was run, in order."""

    def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:  # noqa: ARG002
        """See ``Engine.infer``; takes ``seconds`` of sleep."""
        self.batch_sizes.append(len(batch))
        time.sleep(self.seconds)
        logits = np.zeros((len(batch), self.class_count), np.float32)
        logits[np.arange(len(batch)), batch[:, 0, 0, 0].astype(int) % self.class_count] = 10.0
        return logits
