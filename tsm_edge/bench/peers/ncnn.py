"""ncnn: its own files written from our description, light mode; its own defaults beside a bundle in half precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import RuntimeFailure
from ..agreement import Floats
from ..ncnn_file import ncnn_files
from ..network import Network
from ..runner import Runner

#: what would compute in half precision: its defaults
_LESS = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic")
#: what would compute in less still, or elsewhere
_ELSEWHERE = ("use_bf16_packed", "use_bf16_storage", "use_int8_inference", "use_vulkan_compute")


class Ncnn(Runner):
    """A net whose state blobs go out of one extractor and into the next without a copy."""

    name = "ncnn"
    tolerance = 1e-3  # Winograd rounds more than the others do

    def __init__(self, network: Network, threads: int) -> None:
        import ncnn

        self.version = str(ncnn.__version__)
        self._ncnn = ncnn
        self._net = ncnn.Net()
        self._net.opt.num_threads = threads
        self._net.opt.lightmode = True
        self._net.opt.use_packing_layout = True
        half = network.stored == "float16"
        for option in _ELSEWHERE if half else (*_LESS, *_ELSEWHERE):
            if hasattr(self._net.opt, option):  # the older wheels do not know all of them
                setattr(self._net.opt, option, False)
        off = "bf16, int8 and Vulkan off"
        self.settings = "light mode, packing layout, Winograd and sgemm on; "
        self.settings += f"fp16 storage, packing and arithmetic on, its defaults; {off}" if half else f"fp16, {off}"
        if half and ncnn.cpu_support_arm_asimdhp():
            self.precision = "float16"
        elif half:  # every state is float32's to the bit, on x86
            self.why = "of its fp16 defaults this processor has half-precision weights of the classifier only"
        elif network.stored == "int8":
            self.why = "its 8 bits have no zero points, so the bundle's ranges do not fit them"
        param, weights = ncnn_files(network.own(self.name), network.weights)
        if self._net.load_param_mem(param) != 0:
            raise RuntimeFailure("ncnn does not read the network.", found=f"ncnn {self.version}")
        self._weights = weights  # ncnn keeps pointers into it
        self._net.load_model_mem(weights)
        signature = network.signature
        self._frame, self._out = signature.inputs[0].name, signature.outputs[0].name
        self._pairs = [(pair.input.name, pair.output_name) for pair in signature.states]
        self._zeros = [np.zeros(pair.input.shape[1:], np.float32) for pair in signature.states]
        self.reset()

    def reset(self) -> None:
        # A clone has ncnn's own channel pitch; a borrowed array of 7x7 maps has not, and Concat copies by the pitch.
        self._states: list[Any] = [self._ncnn.Mat(zero).clone() for zero in self._zeros]

    def step(self, frame: Floats) -> Floats:
        extractor = self._net.create_extractor()
        extractor.input(self._frame, self._ncnn.Mat(frame[0]))
        for (name, _), state in zip(self._pairs, self._states):
            extractor.input(name, state)
        scores = self._extract(extractor, self._out)
        self._states = [self._extract(extractor, name) for _, name in self._pairs]
        return np.array(scores)

    def _extract(self, extractor: Any, name: str) -> Any:
        status, value = extractor.extract(name)
        if status != 0:
            raise RuntimeFailure(f"ncnn does not compute '{name}'.", found=f"status {status}")
        return value

    def states(self) -> list[Floats]:
        return [np.array(state)[None] for state in self._states]

    def close(self) -> None:
        self._states = []
        self._net.clear()


def load(network: Network, threads: int) -> Runner:
    """Open the network."""
    return Ncnn(network, threads)
