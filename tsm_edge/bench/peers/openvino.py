"""OpenVINO: tuned for latency, float32 arithmetic forced (its default on some processors is bfloat16)."""

from __future__ import annotations

import numpy as np

from ..agreement import Floats
from ..network import Network
from ..runner import PingPong, Runner


class OpenVino(Runner):
    """One inference request whose state tensors are arrays of ours, exchanged after each step."""

    name = "openvino"
    settings = "CPU, LATENCY, INFERENCE_PRECISION_HINT f32, shared tensors"

    def __init__(self, network: Network, threads: int) -> None:
        import openvino

        self.version = str(openvino.__version__).partition("-")[0]
        self._openvino = openvino
        core = openvino.Core()
        model = core.read_model(network.onnx, b"")
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self._request = core.compile_model(model, "CPU", options).create_infer_request()
        signature = network.signature
        self._frame = signature.inputs[0].name
        self._names = [(pair.input.name, pair.output_name) for pair in signature.states]
        self._states = PingPong([pair.input for pair in signature.states])
        tensors = [
            [openvino.Tensor(array, shared_memory=True) for array in group] for group in self._states.sets
        ]
        self._tensors = tensors
        self._scores = np.zeros(signature.outputs[0].shape, np.float32)
        self._request.set_tensor(signature.outputs[0].name, openvino.Tensor(self._scores, shared_memory=True))

    def reset(self) -> None:
        self._states.clear()

    def step(self, frame: Floats) -> Floats:
        request, turn = self._request, self._states.turn
        request.set_tensor(self._frame, self._openvino.Tensor(frame, shared_memory=True))
        for (before, after), read, written in zip(self._names, self._tensors[turn], self._tensors[1 - turn]):
            request.set_tensor(before, read)
            request.set_tensor(after, written)
        request.infer()
        self._states.swap()
        return self._scores.copy()

    def states(self) -> list[Floats]:
        return [array.copy() for array in self._states.read]

    def close(self) -> None:
        del self._request, self._tensors


def load(network: Network, threads: int) -> Runner:
    """Open the network."""
    return OpenVino(network, threads)
