"""ONNX Runtime: all graph optimisations, states bound to two sets of arrays so that nothing is allocated or copied."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..agreement import Floats
from ..network import Network
from ..runner import PingPong, Runner


class OnnxRuntime(Runner):
    """One session with two I/O bindings: one reads the first set of states, the other the second."""

    name = "onnxruntime"
    settings = "CPUExecutionProvider, ORT_ENABLE_ALL, sequential, I/O binding"

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
        self._scores = np.zeros(signature.outputs[0].shape, np.float32)
        self._states = PingPong([pair.input for pair in signature.states])
        self._bindings = [self._binding(network, turn) for turn in range(2)]

    def _binding(self, network: Network, turn: int) -> Any:
        binding = self._session.io_binding()
        signature = network.signature
        outputs = [(signature.outputs[0].name, self._scores)]
        for pair, before, after in zip(
            signature.states, self._states.sets[turn], self._states.sets[1 - turn]
        ):
            binding.bind_input(pair.input.name, "cpu", 0, np.float32, before.shape, before.ctypes.data)
            outputs.append((pair.output_name, after))
        for name, array in outputs:
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return binding

    def reset(self) -> None:
        self._states.clear()

    def step(self, frame: Floats) -> Floats:
        binding = self._bindings[self._states.turn]
        binding.bind_input(self._frame, "cpu", 0, np.float32, frame.shape, frame.ctypes.data)
        self._session.run_with_iobinding(binding)
        self._states.swap()
        return self._scores.copy()

    def states(self) -> list[Floats]:
        return [array.copy() for array in self._states.read]

    def close(self) -> None:
        del self._bindings, self._session


def load(network: Network, threads: int) -> Runner:
    """Open the network."""
    return OnnxRuntime(network, threads)
