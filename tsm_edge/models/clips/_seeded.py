"""Seeded weights for clip networks, as :mod:`tsm_edge.models._seeded` makes them for the others.

Kaiming-uniform weights; every batch norm takes its running statistics, with a moderate random error, from one pass of
a synthetic clip in float64; the last layers are scaled so that scores differ by class. The same seed gives the same
bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._seeded import CLIP_SIDE, RESIDUAL_SCALE, checked_seed, draw, measure_norm
from . import _records as ops
from ._graph import Network

if TYPE_CHECKING:
    import torch
    from torch.utils.hooks import RemovableHandle

#: pictures with more pixels in all are measured smaller
MOST = 8 * CLIP_SIDE**2


def seed_clip_net(net: torch.nn.Module, network: Network, frames: int, side: int, seed: int) -> None:
    """Fill a net of this description for clips of so many frames.

    Raises:
        UsageError: the seed is no integer of 0..2**32-1.
    """
    import torch

    checked_seed(seed)
    scales = _scales(network)
    hooks = []
    with torch.no_grad():
        for layer in network.layers():
            scale = scales.get(layer.key, 1.0)
            if isinstance(layer, ops.Norm):
                _fill_norm(net, layer.key, layer.channels, seed, 1.0)
                hooks.append(_hook(net, layer.key, seed))
                continue
            if isinstance(layer, ops.LayerNorm):
                _fill_norm(net, layer.key, layer.channels, seed, 1.0)
                continue
            _fill_weight(net, layer, seed, 1.0 if isinstance(layer, ops.Conv) and layer.norm else scale)
            if isinstance(layer, ops.Conv) and layer.norm:
                _fill_norm(net, layer.norm, layer.outputs, seed, scale)
                hooks.append(_hook(net, layer.norm, seed))
        least = 64 if frames * 64**2 <= MOST else 32
        clip = synthetic_clip(seed, frames, min(side, CLIP_SIDE if frames <= 8 else least))
        net.double()(clip.double()[None])
        net.float()
    for hook in hooks:
        hook.remove()


def synthetic_clip(seed: int, frames: int, side: int) -> torch.Tensor:
    """float32 [T, 3, side, side] of about mean 0 and variance 1: a blocky scene that moves, and noise."""
    import torch

    stream = np.random.RandomState([seed, side, frames])
    coarse = stream.uniform(-1.5, 1.5, (3, side // 8, side // 8))
    scene = coarse.repeat(8, axis=1).repeat(8, axis=2)
    still = np.stack([np.roll(scene, (3 * index, 5 * index), (1, 2)) for index in range(frames)])
    noisy = still + stream.uniform(-0.9, 0.9, (frames, 3, side, side))
    return torch.from_numpy(noisy.astype(np.float32))


def _scales(network: Network) -> dict[str, float]:
    """Layers whose results are smaller than others', by key.

    The last convolution of a residual branch, which is a sum's first operand; and what unscaled scores of a non-local
    block are made of, or its softmax would choose one position alone.
    """
    found = {}
    for node in network.nodes:
        sources = [network.nodes[index - 1].op if index else None for index in node.inputs]
        if isinstance(node.op, ops.Add) and isinstance(sources[0], ops.Conv):
            found[sources[0].key] = RESIDUAL_SCALE
        if isinstance(node.op, ops.Attend) and node.op.scale == 1.0:
            for place, source in zip(node.inputs[:2], sources[:2], strict=True):
                while isinstance(source, ops.Pool):
                    place = network.nodes[place - 1].inputs[0]
                    source = network.nodes[place - 1].op
                if isinstance(source, ops.Conv):
                    found[source.key] = source.outputs**-0.25
    return found


def _fill_weight(net: torch.nn.Module, layer: ops.Conv | ops.Linear, seed: int, scale: float) -> None:
    module = net.get_submodule(layer.key)
    fan = layer.fan_in if isinstance(layer, ops.Conv) else layer.inputs
    bound = scale * float(np.sqrt(6 / fan))
    module.weight.copy_(draw(seed, f"{layer.key}.weight", tuple(module.weight.shape), -bound, bound))
    if module.bias is not None:
        module.bias.copy_(
            draw(seed, f"{layer.key}.bias", tuple(module.bias.shape), -0.3 * scale, 0.3 * scale)
        )


def _fill_norm(net: torch.nn.Module, key: str, channels: int, seed: int, scale: float) -> None:
    norm = net.get_submodule(key)
    norm.weight.copy_(draw(seed, f"{key}.weight", (channels,), 0.7 * scale, 1.3 * scale))
    norm.bias.copy_(draw(seed, f"{key}.bias", (channels,), -0.3 * scale, 0.3 * scale))


def _hook(net: torch.nn.Module, key: str, seed: int) -> RemovableHandle:
    handle: RemovableHandle = net.get_submodule(key).register_forward_pre_hook(measure_norm(key, seed))
    return handle
