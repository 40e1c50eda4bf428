"""The description of a network: layers as records, and what follows from them. Needs no torch.

A tuple of :data:`Layer` is the one home of a network's shape; the torch network, the ONNX file, the parameter count and
the states are derived from it.
"""

from __future__ import annotations

from ._layers import EPSILON, SHIFT_DIVISOR, Block, Conv, FramePool, Head, Layer, Pool
from ._walk import clip_macs, convs, head, macs, parameters, states, walk

__all__ = [
    "EPSILON",
    "SHIFT_DIVISOR",
    "Block",
    "Conv",
    "FramePool",
    "Head",
    "Layer",
    "Pool",
    "clip_macs",
    "convs",
    "head",
    "macs",
    "parameters",
    "states",
    "walk",
]
