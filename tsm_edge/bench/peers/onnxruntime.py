"""ONNX Runtime: all graph optimisations; the arrays of one step go into the next as they are."""

from __future__ import annotations

import numpy as np

from ..agreement import Floats
from ..network import Network
from ..runner import Runner


class OnnxRuntime(Runner):
    """One session, called with arrays; I/O binding was no faster (docs/decisions/015-measuring.md)."""

    name = "onnxruntime"
    settings = "CPUExecutionProvider, ORT_ENABLE_ALL, sequential"

    def __init__(self, network: Network, threads: int) -> None:
        import onnxruntime

        self.version = str(onnxruntime.__version__)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self._session = onnxruntime.InferenceSession(
            network.onnx, options, providers=["CPUExecutionProvider"]
        )
        signature = network.signature
        self._frame = signature.inputs[0].name
        self._specs = [pair.input for pair in signature.states]
        self._outputs = [signature.outputs[0].name, *(pair.output_name for pair in signature.states)]
        self.reset()

    def reset(self) -> None:
        self._states = {spec.name: np.zeros(spec.shape, np.float32) for spec in self._specs}

    def step(self, frame: Floats) -> Floats:
        scores: Floats
        scores, *after = self._session.run(self._outputs, {self._frame: frame, **self._states})
        self._states = dict(zip(self._states, after))
        return scores

    def states(self) -> list[Floats]:
        return [array.copy() for array in self._states.values()]

    def close(self) -> None:
        del self._session


def load(network: Network, threads: int) -> Runner:
    """Open the network, on the device of the bundle."""
    if network.device == "cuda":
        from ..onnxruntime_cuda import OnnxRuntimeCuda

        return OnnxRuntimeCuda(network)
    return OnnxRuntime(network, threads)
