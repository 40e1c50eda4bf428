"""What the operators that move or mix whole frames of a clip compute, in float64 numpy."""

from __future__ import annotations

import numpy as np
from region_oracles import aligned_max, overlap_mean

from tsm_edge.compile.ir.ops import (
    Attention,
    FrameGather,
    FrameJoin,
    LayerNorm,
    Op,
    OverlapMean,
    Panels,
    RegionMax,
)

CLIP = (FrameGather, FrameJoin, Panels, Attention, RegionMax, OverlapMean, LayerNorm)


def frames_of(array: np.ndarray, count: int, pitch: int, size: int) -> list[np.ndarray]:
    """The frames of a clip, which lie `pitch` elements apart."""
    return [array[frame * pitch : frame * pitch + size] for frame in range(count)]


def expected(op: Op, values: dict[str, np.ndarray]) -> np.ndarray:
    """The result of one of CLIP."""
    x = values["x"].astype(np.float64)
    if isinstance(op, FrameGather):
        frames = frames_of(x, op.frames, op.pitch, op.size)
        return np.stack([frames[index] for index in op.chosen])
    if isinstance(op, FrameJoin):
        return np.stack([*frames_of(x, op.frames, op.pitch, op.size)[op.begin :], values["r"].astype(np.float64)])
    if isinstance(op, Panels):
        return panels(op, x)
    if isinstance(op, LayerNorm):
        return layer_norm(op, x, values)
    if isinstance(op, (RegionMax, OverlapMean)):
        return over_boxes(op, x, values["boxes"].astype(np.float64).reshape(op.frames, op.boxes, 4))
    assert isinstance(op, Attention)
    return attention(op, x, values["k"].astype(np.float64), values["v"].astype(np.float64))


def written(op: Op, out: np.ndarray) -> np.ndarray:
    """What a kernel wrote, without what lies between frames."""
    if isinstance(op, FrameGather):
        return np.concatenate(frames_of(out, len(op.chosen), op.out_pitch, op.size))
    if isinstance(op, FrameJoin):
        return np.concatenate(frames_of(out, op.out_frames, op.out_pitch, op.size))
    if isinstance(op, (RegionMax, OverlapMean)):
        return np.concatenate(frames_of(out, op.frames, op.out_pitch, op.boxes * op.channels))
    if isinstance(op, (Attention, LayerNorm)):
        return np.concatenate(frames_of(out, op.frames, op.out_pitch, op.pixels * op.channels))
    return out


def panels(op: Panels, x: np.ndarray) -> np.ndarray:
    """The positions of a clip in panels, zeros in what is left of the last one."""
    rows = np.concatenate(frames_of(x, op.frames, op.pitch, op.pixels * op.channels)).reshape(-1, op.channels)
    columns = rows.T if op.keys else rows
    wide = np.pad(columns, ((0, 0), (0, -columns.shape[1] % 16)))
    return np.stack(np.split(wide, wide.shape[1] // 16, axis=1))


def attention(op: Attention, x: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The definition, row by row."""
    queries = np.concatenate(frames_of(x, op.frames, op.pitch, op.pixels * op.channels)).reshape(-1, op.channels)
    keys = np.concatenate(list(k.reshape(-1, op.channels, 16)), axis=1)[:, : op.positions]
    contents = np.concatenate(list(v.reshape(-1, op.positions, 16)), axis=1)[:, : op.channels]
    scores = queries @ keys * op.scale
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (weights / weights.sum(axis=1, keepdims=True)) @ contents


def layer_norm(op: LayerNorm, x: np.ndarray, values: dict[str, np.ndarray]) -> np.ndarray:
    """The definition, position by position."""
    size = op.pixels * op.channels
    rows = np.concatenate(frames_of(x, op.frames, op.pitch, size)).reshape(-1, op.channels)
    left = rows - rows.mean(axis=1, keepdims=True)
    scaled = left / np.sqrt((left**2).mean(axis=1, keepdims=True) + op.epsilon)
    result = scaled * values["w"].astype(np.float64) + values["b"].astype(np.float64)
    if op.relu:
        result = np.maximum(result, 0)
    if op.residual:
        result = result + np.concatenate(frames_of(values["r"], op.frames, op.out_pitch, size)).reshape(rows.shape)
    return result


def over_boxes(op: RegionMax | OverlapMean, x: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Box by box."""
    if isinstance(op, OverlapMean):
        regions = np.stack(frames_of(x, op.frames, op.pitch, op.boxes * op.channels))
        return overlap_mean(regions.reshape(op.frames, op.boxes, op.channels), boxes, op.by)
    frames = frames_of(x, op.frames, op.pitch, op.height * op.width * op.channels)
    images = [frame.reshape(op.height, op.width, op.channels).transpose(2, 0, 1) for frame in frames]
    return np.array(
        [
            [aligned_max(image, boxes[t, index], index, op.boxes) for index in range(op.boxes)]
            for t, image in enumerate(images)
        ]
    )
