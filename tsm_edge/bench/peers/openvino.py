"""OpenVINO: tuned for latency, float32 arithmetic forced (its default on some processors is bfloat16)."""

from __future__ import annotations

import numpy as np

from ..agreement import Floats
from ..network import Network
from ..runner import Runner


class OpenVino(Runner):
    """One inference request over arrays of ours; after each step the new states are copied to where they are read.

    Exchanging the tensors instead, 20 calls of ``set_tensor`` a step, was no faster (docs/decisions/015-measuring.md).
    """

    name = "openvino"
    settings = "CPU, LATENCY, INFERENCE_PRECISION_HINT f32, shared tensors"

    def __init__(self, network: Network, threads: int) -> None:
        import openvino

        self.version = str(openvino.__version__).partition("-")[0]
        core = openvino.Core()
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = core.compile_model(core.read_model(network.onnx, b""), "CPU", options)
        self._request = compiled.create_infer_request()
        signature = network.signature
        self._frame = self._shared(signature.inputs[0].name, signature.inputs[0].shape)
        self._scores = self._shared(signature.outputs[0].name, signature.outputs[0].shape)
        self._before = [self._shared(pair.input.name, pair.input.shape) for pair in signature.states]
        self._after = [self._shared(pair.output_name, pair.input.shape) for pair in signature.states]

    def _shared(self, name: str, shape: tuple[int, ...]) -> Floats:
        """Return an array that the request reads or writes as its tensor ``name``."""
        import openvino

        array = np.zeros(shape, np.float32)
        self._request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
        return array

    def reset(self) -> None:
        for array in self._before:
            array[:] = 0

    def step(self, frame: Floats) -> Floats:
        np.copyto(self._frame, frame)
        self._request.infer()
        for before, after in zip(self._before, self._after):
            np.copyto(before, after)
        scores: Floats = self._scores.copy()
        return scores

    def states(self) -> list[Floats]:
        return [array.copy() for array in self._before]

    def close(self) -> None:
        del self._request


def load(network: Network, threads: int) -> Runner:
    """Open the network."""
    return OpenVino(network, threads)
