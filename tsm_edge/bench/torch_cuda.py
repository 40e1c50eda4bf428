"""PyTorch on an NVIDIA GPU: the step compiled by inductor and captured once as a CUDA graph, replayed every frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import DeviceError
from .agreement import Floats
from .network import Network
from .runner import Runner

if TYPE_CHECKING:
    import torch


class TorchCuda(Runner):
    """``net.step`` with its states in fixed places on the device; one upload, one replay, one download a frame.

    The graph writes the next states over the present ones at its end: one kernel for all of them.
    compiled: by ``torch.compile`` before it is captured, else eager.
    """

    name = "torch"

    def __init__(self, network: Network, *, compiled: bool = True) -> None:
        import torch

        if not torch.cuda.is_available():
            raise DeviceError(
                "PyTorch sees no NVIDIA GPU to run beside the bundle on.",
                found=f"torch {torch.__version__}",
                hint="install a build of torch for this driver, or leave torch out of --against",
            )
        self.version, self.tolerance = str(torch.__version__), network.tolerance
        self.precision = network.precision
        self.settings = (
            f"{torch.cuda.get_device_name()}, {network.precision}, channels last, "
            f"{'inductor, ' if compiled else ''}CUDA graph"
        )
        self._torch = torch
        kind = torch.float16 if network.precision == "float16" else torch.float32
        model = network.own(self.name)
        net = model.build()
        net.load_state_dict({key: torch.from_numpy(array) for key, array in network.weights.items()})
        net = net.to("cuda", kind, memory_format=torch.channels_last)
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = (
            False  # as exact as the bundle
        )
        self._frame = torch.zeros(network.signature.inputs[0].shape, device="cuda")
        self._states = [
            state.to("cuda", kind, memory_format=torch.channels_last) for state in model.zero_states()
        ]
        self._step = torch.compile(net.step) if compiled else net.step
        self._kind = kind
        self._capture()

    def _capture(self) -> None:
        """Warm up on a stream of its own, as PyTorch's documentation asks for, then record."""
        torch = self._torch
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._once()
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._scores = self._once()
        self.reset()

    def _once(self) -> torch.Tensor:
        torch = self._torch
        with torch.no_grad():
            frame = self._frame.to(self._kind, memory_format=torch.channels_last)
            scores, after = self._step(frame, tuple(self._states))
            torch._foreach_copy_(self._states, list(after))
            return scores.float()

    def reset(self) -> None:
        for state in self._states:
            state.zero_()

    def step(self, frame: Floats) -> Floats:
        self._frame.copy_(self._torch.from_numpy(frame))
        self._graph.replay()
        scores: Floats = self._scores.cpu().numpy()
        return scores

    def states(self) -> list[Floats]:
        return [state.float().cpu().contiguous().numpy() for state in self._states]

    def close(self) -> None:
        del self._graph
        self._states = []
