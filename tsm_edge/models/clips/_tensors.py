"""The tensors of a clip network's state_dict by their keys and shapes, without torch."""

from __future__ import annotations

from ._graph import Network
from ._records import Conv, LayerNorm, Linear, Norm

_NORM = ("weight", "bias", "running_mean", "running_var")


def shapes_of(network: Network) -> dict[str, tuple[int, ...]]:
    """Every tensor but num_batches_tracked; a layer that is used several times has one set."""
    found: dict[str, tuple[int, ...]] = {}
    for layer in network.layers():
        if isinstance(layer, Norm):
            found |= {f"{layer.key}.{part}": (layer.channels,) for part in _NORM}
            continue
        if isinstance(layer, LayerNorm):
            found |= {f"{layer.key}.{part}": (layer.channels,) for part in _NORM[:2]}
            continue
        matrix: tuple[int, ...] = (layer.outputs, layer.inputs)
        if isinstance(layer, Conv):
            matrix += layer.window.kernel if layer.volume else layer.window.kernel[1:]
            found |= {f"{layer.norm}.{part}": (layer.outputs,) for part in _NORM if layer.norm}
        found[f"{layer.key}.weight"] = matrix
        if isinstance(layer, Linear) or layer.bias:
            found[f"{layer.key}.bias"] = (layer.outputs,)
    return found


def head_of(network: Network) -> str:
    """The key of the fully connected layer that every project calls otherwise: the first one of the network."""
    return next(layer.key for layer in network.layers() if isinstance(layer, Linear))
