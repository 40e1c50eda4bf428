"""The runtimes that a bundle is compared with. The file `x.py` here is the peer `x`.

Each has a function ``load(network, threads) -> Runner``. All of them run the same network with the same weights, states
in and out as tensors, in float32, with the same number of threads, each in the way that its own documentation calls
fastest for one frame at a time. Beside a CUDA bundle PyTorch and ONNX Runtime run on the GPU, in the bundle's precision
(:mod:`..torch_cuda`, :mod:`..onnxruntime_cuda`); the other two have nothing for it and stay on the processor.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Sequence

from ...errors import ExtraMissing, UnknownName, install_hint
from ..network import Network
from ..runner import Runner

#: packages that every peer's network is made with
NEEDS = ("torch", "onnx")


def names() -> list[str]:
    """Return the names of all peers, sorted; each is also the name of its Python package."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))


def check(wanted: Sequence[str]) -> None:
    """Raise UnknownName or ExtraMissing before anything slow is done."""
    for name in wanted:
        if name not in names():
            raise UnknownName.of("peer", name, names())
    for package in (*wanted, *(NEEDS if wanted else ())):
        if importlib.util.find_spec(package) is None:
            raise ExtraMissing(
                f"The comparison with {', '.join(wanted)} needs the Python package '{package}'.",
                found="it is not installed",
                hint=install_hint("bench"),
            )


def load(name: str, network: Network, threads: int) -> Runner:
    """Open the network in the peer called ``name``."""
    peer: Runner = importlib.import_module(f"{__name__}.{name}").load(network, threads)
    if network.stored != "float32":
        peer.tolerance, peer.rms = network.tolerance, network.stored == "int8"
    return peer
