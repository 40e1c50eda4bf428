"""What the operators that move or mix whole frames of a clip compute, in float64 numpy."""

from __future__ import annotations

import numpy as np

from tsm_edge.compile.ir.ops import Attention, FrameGather, FrameJoin, Op, Panels

CLIP = (FrameGather, FrameJoin, Panels, Attention)


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
    assert isinstance(op, Attention)
    return attention(op, x, values["k"].astype(np.float64), values["v"].astype(np.float64))


def written(op: Op, out: np.ndarray) -> np.ndarray:
    """What a kernel wrote, without what lies between frames."""
    if isinstance(op, FrameGather):
        return np.concatenate(frames_of(out, len(op.chosen), op.out_pitch, op.size))
    if isinstance(op, FrameJoin):
        return np.concatenate(frames_of(out, op.out_frames, op.out_pitch, op.size))
    if isinstance(op, Attention):
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
