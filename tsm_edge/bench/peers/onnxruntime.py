"""ONNX Runtime: all graph optimisations; the arrays of one step go into the next as they are."""

from __future__ import annotations

import platform
from dataclasses import replace

from ... import boxes as regions
from ..agreement import Floats
from ..forms import Form
from ..network import Network
from ..runner import Runner

#: without VNNI it sums pairs of products of bytes in 16 bits, which overflows, unless it is told to be exact
EXACT_BYTES = ("session.x64quantprecision", "1")


class OnnxRuntime(Runner):
    """One session, called with arrays; I/O binding was no faster (docs/decisions/015-measuring.md)."""

    name = "onnxruntime"
    settings = "CPUExecutionProvider, ORT_ENABLE_ALL, sequential"

    def __init__(self, network: Network, threads: int) -> None:
        import onnxruntime

        self.version = str(onnxruntime.__version__)
        self._form = form_of(network)
        self.precision, self.why = self._form.precision, self._form.why
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry(*EXACT_BYTES)
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self._session = onnxruntime.InferenceSession(
            self._form.onnx, options, providers=["CPUExecutionProvider"]
        )
        self._signature = signature = network.signature
        self._frame = signature.inputs[0].name
        self._outputs = [signature.outputs[0].name, *(pair.output_name for pair in signature.states)]
        self.reset()

    def reset(self) -> None:
        names = (pair.input.name for pair in self._signature.states)
        self._states = dict(zip(names, self._form.zeros(self._signature)))

    def place(self, boxes: Floats) -> None:
        self._states[regions.STATE] = boxes.astype(self._states[regions.STATE].dtype)

    def step(self, frame: Floats) -> Floats:
        scores: Floats
        scores, *after = self._session.run(self._outputs, {self._frame: frame, **self._states})
        self._states = dict(zip(self._states, after))
        return scores

    def states(self) -> list[Floats]:
        return self._form.real([*self._states.values()])

    def close(self) -> None:
        del self._session


def form_of(network: Network) -> Form:
    """The file of a bundle's precision. Its CPU provider has half-precision kernels for 64-bit ARM only."""
    if network.stored != "float16":
        return network.form
    if platform.machine() == "aarch64":
        from ..onnxruntime_cuda import half_model

        return Form("float16", half_model(replace(network, precision="float16")))
    return Form("float32", network.onnx, why="its CPU provider has no half-precision convolution for this processor")


def load(network: Network, threads: int) -> Runner:
    """Open the network, on the device of the bundle."""
    if network.device == "cuda":
        from ..onnxruntime_cuda import OnnxRuntimeCuda

        return OnnxRuntimeCuda(network)
    return OnnxRuntime(network, threads)
