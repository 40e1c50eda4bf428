"""PyTorch, eager: the network as it is trained, stepped in inference mode."""

from __future__ import annotations

from ..agreement import Floats
from ..network import Network
from ..runner import Runner


class Torch(Runner):
    """``net.step`` of the model. The number of threads is torch's own, for the whole process."""

    name = "torch"
    settings = "eager, inference_mode"

    def __init__(self, network: Network, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.version = str(torch.__version__)
        if network.stored != self.precision:
            self.why = "its eager step runs in float32 on a processor"
        self._torch = torch
        model = network.own(self.name)
        self._net = model.build()
        self._net.load_state_dict({key: torch.from_numpy(array) for key, array in network.weights.items()})
        self._zeros = model.zero_states
        self.reset()

    def reset(self) -> None:
        self._states = self._zeros()

    def step(self, frame: Floats) -> Floats:
        with self._torch.inference_mode():
            scores, self._states = self._net.step(self._torch.from_numpy(frame), self._states)
            array: Floats = scores.numpy().copy()
        return array

    def states(self) -> list[Floats]:
        return [state.numpy().copy() for state in self._states]

    def close(self) -> None:
        self._states = ()


def load(network: Network, threads: int) -> Runner:
    """Open the network, on the device of the bundle."""
    if network.device == "cuda":
        from ..torch_cuda import TorchCuda

        return TorchCuda(network)
    return Torch(network, threads)
