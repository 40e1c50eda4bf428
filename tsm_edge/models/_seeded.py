"""Seeded weights that behave like trained ones, without training and without data.

1. Kaiming-uniform convolutions; batch norms with moderately random scale and bias.
2. One pass of a synthetic clip in float64. Every batch norm takes its running statistics from what reaches it, with a
   moderate random error, just before it is used. So activations keep their size through 50 layers.
3. The head is scaled so that logits differ by class and move from frame to frame.

Random numbers come from numpy's RandomState, whose streams are frozen, with one stream a tensor (the seed and the
tensor's name): another class count leaves all other tensors as they are. Measured statistics are rounded to 12 bits,
because float64 sums may differ in their last bits with the machine and its number of threads.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UsageError
from .description import Block, Conv, Layer, convs, head

if TYPE_CHECKING:
    import torch

#: called before a module, with it and its inputs
Hook = Callable[["torch.nn.Module", "tuple[torch.Tensor]"], None]
#: largest seed that RandomState takes
MAX_SEED = 2**32 - 1
#: the synthetic clip; larger models are measured on smaller pictures, which changes little and takes less time
CLIP_FRAMES, CLIP_SIDE = 8, 96
#: what is added to its input adds little, as in trained networks; else 16 sums in a row grow
RESIDUAL_SCALE = 0.2
LOGIT_SWING = 1.0  # standard deviation of a logit over time
BITS = 12


def seed_net(net: torch.nn.Module, layers: tuple[Layer, ...], side: int, seed: int) -> None:
    """Fill a net of this description; the same seed gives the same bytes.

    Raises:
        UsageError: the seed is no integer of 0..2**32-1.
    """
    import torch

    checked_seed(seed)
    added = {layer.chain[-1].norm for layer in layers if isinstance(layer, Block) and layer.residual}
    hooks = []
    with torch.no_grad():
        for conv, _ in convs(layers, 1):
            _fill_conv(net, conv, seed, RESIDUAL_SCALE if conv.norm in added else 1.0)
            norm = net.get_submodule(conv.norm)
            hooks.append(norm.register_forward_pre_hook(measure_norm(conv.norm, seed)))
        last = head(layers).name
        hooks.append(net.get_submodule(last).register_forward_pre_hook(_fill_head(last, seed)))
        net.double()(torch.from_numpy(_clip(seed, min(side, CLIP_SIDE))))
        net.float()
    for hook in hooks:
        hook.remove()


def checked_seed(seed: object) -> None:
    """UsageError where a seed is none."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise UsageError("Bad seed.", found=repr(seed), allowed=f"an integer of 0..{MAX_SEED}")


def draw(seed: int, key: str, shape: tuple[int, ...], low: float, high: float) -> torch.Tensor:
    """Uniform float32 numbers of a stream of this seed and key."""
    import torch

    stream = np.random.RandomState([seed, zlib.crc32(key.encode())])
    return torch.from_numpy(stream.uniform(low, high, shape).astype(np.float32))


def _fill_conv(net: torch.nn.Module, conv: Conv, seed: int, scale: float) -> None:
    weight, norm = net.get_submodule(conv.weight).weight, net.get_submodule(conv.norm)
    bound = float(np.sqrt(6 / conv.fan_in))
    weight.copy_(draw(seed, f"{conv.weight}.weight", tuple(weight.shape), -bound, bound))
    norm.weight.copy_(draw(seed, f"{conv.norm}.weight", (conv.outputs,), 0.7 * scale, 1.3 * scale))
    norm.bias.copy_(draw(seed, f"{conv.norm}.bias", (conv.outputs,), -0.3 * scale, 0.3 * scale))


def measure_norm(key: str, seed: int) -> Hook:
    """Make the hook that sets running statistics from the input [N, C, …] of a batch norm."""

    def hook(norm: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        var, mean = _moments(inputs[0])
        var = (var + var.mean()) / 2  # a channel that is nearly constant in this clip is not blown up
        shape = tuple(mean.shape)
        norm.running_mean.copy_(
            _rounded(mean + draw(seed, f"{key}.running_mean", shape, -0.2, 0.2) * var.sqrt())
        )
        norm.running_var.copy_(_rounded(var * draw(seed, f"{key}.running_var", shape, 0.7, 1.4)))

    return hook


def _fill_head(key: str, seed: int) -> Hook:
    """Make the hook that scales the head by its input [T, C], and takes the constant part of its logits away."""

    def hook(linear: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        weight = draw(seed, f"{key}.weight", tuple(linear.weight.shape), -1, 1)
        logits = inputs[0] @ weight.double().T
        scale = _rounded(LOGIT_SWING / logits.std(0).mean())
        linear.weight.copy_((weight * scale).float())
        bias = draw(seed, f"{key}.bias", tuple(linear.bias.shape), -3, 3)
        linear.bias.copy_(_rounded(bias - logits.mean(0) * scale))

    return hook


def _moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Variance and mean of every channel of [N, C, …]."""
    axes = (0, *range(2, x.ndim))
    return x.var(axes, unbiased=False), x.mean(axes)


def _rounded(values: torch.Tensor) -> torch.Tensor:
    """Round to 12 significant bits, which float32 holds exactly."""
    import torch

    mantissa, exponent = torch.frexp(values)
    return torch.ldexp(torch.round(mantissa * 2**BITS), exponent - BITS)


def _clip(seed: int, side: int) -> np.ndarray:
    """Return float64 [1, T, 3, side, side] of about mean 0 and variance 1: a blocky scene that moves, and noise."""
    stream = np.random.RandomState([seed, side])
    coarse = stream.uniform(-1.5, 1.5, (3, side // 8, side // 8))
    scene = coarse.repeat(8, axis=1).repeat(8, axis=2)
    frames = [np.roll(scene, (3 * index, 5 * index), (1, 2)) for index in range(CLIP_FRAMES)]
    return (np.stack(frames) + stream.uniform(-0.9, 0.9, (CLIP_FRAMES, 3, side, side)))[None]
