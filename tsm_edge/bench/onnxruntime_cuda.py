"""ONNX Runtime on an NVIDIA GPU: states stay on the device, and a step is a captured CUDA graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DeviceError
from .agreement import Floats
from .network import Network
from .runner import Runner

PROVIDER = "CUDAExecutionProvider"
#: of the provider; convolutions choose their algorithm by measurement, and float32 is not rounded to TF32
OPTIONS = {"enable_cuda_graph": "1", "cudnn_conv_algo_search": "EXHAUSTIVE", "use_tf32": "0"}


class OnnxRuntimeCuda(Runner):
    """One session and two bindings, whose sets of states change roles; each binding has a graph of its own."""

    name = "onnxruntime"

    def __init__(self, network: Network, **options: str) -> None:
        import onnxruntime

        if PROVIDER not in onnxruntime.get_available_providers():
            raise DeviceError(
                "This ONNX Runtime has no CUDA provider to run beside the bundle with.",
                found=f"onnxruntime {onnxruntime.__version__}: {', '.join(onnxruntime.get_available_providers())}",
                allowed=PROVIDER,
                hint="pip install onnxruntime-gpu, or leave onnxruntime out of --against",
            )
        if hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()  # the CUDA libraries of Python packages
        self.version, self.tolerance = str(onnxruntime.__version__), network.tolerance
        self.precision = network.precision
        self.settings = f"{PROVIDER}, {network.precision}, I/O binding, CUDA graph"
        self._run = onnxruntime.RunOptions
        self._session = onnxruntime.InferenceSession(
            half_model(network), providers=[(PROVIDER, {**OPTIONS, **options})]
        )
        if self._session.get_providers()[0] != PROVIDER:
            raise DeviceError(
                "ONNX Runtime cannot use this machine's NVIDIA GPU.",
                found=", ".join(self._session.get_providers()),
                allowed=PROVIDER,
            )
        kind = np.float16 if network.precision == "float16" else np.float32
        signature = network.signature
        self._zeros = [np.zeros(pair.input.shape, kind) for pair in signature.states]

        def on_device(array: np.ndarray) -> Any:
            return onnxruntime.OrtValue.ortvalue_from_numpy(array, "cuda", 0)

        self._frame = on_device(np.zeros(signature.inputs[0].shape, np.float32))
        self._scores = on_device(np.zeros(signature.outputs[0].shape, np.float32))
        self._states = [[on_device(array) for array in self._zeros] for _ in range(2)]
        self._bindings = [self._bind(signature, role) for role in range(2)]
        self._role = 0

    def _bind(self, signature: Any, role: int) -> Any:
        """A binding that reads one set of states and writes the other, with the number of its graph."""
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(signature.inputs[0].name, self._frame)
        binding.bind_ortvalue_output(signature.outputs[0].name, self._scores)
        before, after = self._states[role], self._states[1 - role]
        for pair, read, written in zip(signature.states, before, after):
            binding.bind_ortvalue_input(pair.input.name, read)
            binding.bind_ortvalue_output(pair.output_name, written)
        options = self._run()
        options.add_run_config_entry("gpu_graph_id", str(role + 1))
        return binding, options

    def reset(self) -> None:
        for value, zeros in zip(self._states[self._role], self._zeros):
            value.update_inplace(zeros)

    def step(self, frame: Floats) -> Floats:
        self._frame.update_inplace(frame)
        binding, options = self._bindings[self._role]
        self._session.run_with_iobinding(binding, options)
        self._role = 1 - self._role
        scores: Floats = self._scores.numpy()
        return scores

    def states(self) -> list[Floats]:
        return [value.numpy().astype(np.float32) for value in self._states[self._role]]

    def close(self) -> None:
        del self._bindings, self._session


def half_model(network: Network) -> bytes:
    """The ONNX file in the precision of the bundle; frame and scores are float32 all the same."""
    if network.precision == "float32":
        return network.onnx
    import onnx
    from onnxruntime.transformers import float16

    signature = network.signature
    outside = [signature.inputs[0].name, signature.outputs[0].name]
    half = float16.convert_float_to_float16(onnx.load_model_from_string(network.onnx), keep_io_types=outside)
    return bytes(half.SerializeToString())
