"""OpenVINO: tuned for latency, its arithmetic outside of 8 bits forced (its default on some processors is bfloat16)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from ... import boxes as regions
from ..agreement import Floats
from ..network import Network
from ..runner import Runner

if TYPE_CHECKING:
    import openvino


@functools.cache
def _core() -> openvino.Core:
    """The one core of this process, which lives as long.

    Its CPU plugin gives the thread that loads it another stack for signals, and two that are unloaded out of order
    leave one behind that is no longer mapped: the next signal with a handler would end the process.
    """
    import openvino

    return openvino.Core()


class OpenVino(Runner):
    """One inference request over arrays of ours; after each step the new states are copied to where they are read.

    Exchanging the tensors instead, 20 calls of ``set_tensor`` a step, was no faster (docs/decisions/015-measuring.md).
    """

    name = "openvino"
    def __init__(self, network: Network, threads: int) -> None:
        import openvino

        self.version = str(openvino.__version__).partition("-")[0]
        core, form = _core(), network.form
        half = "FP16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")  # where not, f16 becomes bfloat16
        hint = "f16" if half and network.stored == "float16" else "f32"
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": hint,
        }
        compiled = core.compile_model(core.read_model(form.onnx, b""), "CPU", options)
        self.precision, self.why = form.precision, form.why
        if hint == "f16":
            self.precision = "float16"
        elif network.stored == "float16":
            self.why = "its CPU plugin has no half-precision arithmetic on this processor"
        self.settings = f"CPU, LATENCY, INFERENCE_PRECISION_HINT {hint}, shared tensors"
        self._form = form
        self._request = compiled.create_infer_request()
        self._signature = signature = network.signature
        outside = signature.inputs[0], signature.outputs[0]
        self._frame, self._scores = (
            self._shared(spec.name, np.zeros(spec.shape, np.float32)) for spec in outside
        )
        self._zeros = form.zeros(signature)
        named = [*zip(signature.states, self._zeros)]
        self._before = [self._shared(pair.input.name, zeros.copy()) for pair, zeros in named]
        self._after = [self._shared(pair.output_name, zeros.copy()) for pair, zeros in named]

    def _shared(self, name: str, array: np.ndarray) -> np.ndarray:
        """Let the request read or write an array as its tensor ``name``."""
        import openvino

        self._request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
        return array

    def reset(self) -> None:
        for array, zeros in zip(self._before, self._zeros):
            np.copyto(array, zeros)

    def place(self, boxes: Floats) -> None:
        names = [pair.input.name for pair in self._signature.states]
        np.copyto(self._before[names.index(regions.STATE)], boxes)

    def step(self, frame: Floats) -> Floats:
        np.copyto(self._frame, frame)
        self._request.infer()
        for before, after in zip(self._before, self._after):
            np.copyto(before, after)
        scores: Floats = self._scores.copy()
        return scores

    def states(self) -> list[Floats]:
        return self._form.real(self._before)

    def close(self) -> None:
        del self._request


def load(network: Network, threads: int) -> Runner:
    """Open the network."""
    return OpenVino(network, threads)
