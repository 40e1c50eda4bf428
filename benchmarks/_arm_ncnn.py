"""A model of ours for ncnn in int8: its own float32 files with the weights rounded as ncnn's quantiser does.

Every convolution and the classifier are int8: weights symmetric per output channel (of a depthwise convolution per
channel), one scale for the input. Where the next layer is int8 and the only reader, the result is stored in 8 bits
with that layer's scale: ncnn calls it requantising. Sums, slices and states stay in its float format, as they do there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tsm_edge.bench.ncnn_file import ncnn_files
from tsm_edge.errors import RuntimeFailure
from tsm_edge.models import Model

INT8_TAG = (0x000D4B38).to_bytes(4, "little")
KINDS = {"Convolution": 6, "ConvolutionDepthWise": 6, "InnerProduct": 2}  # where the number of weights stands
PLAIN, REQUANTISED = 2, 102  # of a convolution; a depthwise one has 1 and 101


class Peaks(dict[str, float]):
    """The largest absolute value of each blob."""

    def __missing__(self, name: str) -> float:
        raise RuntimeFailure("ncnn's file has a blob whose range is unknown.", found=name)


def int8_files(model: Model, weights: Mapping[str, np.ndarray], peaks: Mapping[str, float]) -> tuple[str, bytes]:
    """The texts of ``.param`` and the bytes of ``.bin``. peaks: the largest absolute value of each blob."""
    param, data = ncnn_files(model, weights)
    lines = [line.split() for line in param.splitlines()]
    known = Peaks(peaks)
    for line in lines[2:]:
        if line[0] == "Split":
            known |= dict.fromkeys(line[4 + int(line[2]) :], known[line[4]])
    readers: dict[str, list[list[str]]] = {}
    for line in lines[2:]:
        for blob in line[4 : 4 + int(line[2])]:
            readers.setdefault(blob, []).append(line)
    found: list[bytes] = []
    start = 0
    for line in lines[2:]:
        if line[0] not in KINDS:
            continue
        start = _rounded(line, readers, data, start, known, found)
    return "\n".join(" ".join(line) for line in lines) + "\n", b"".join(found)


def _rounded(
    line: list[str],
    readers: Mapping[str, list[list[str]]],
    data: bytes,
    start: int,
    peaks: Mapping[str, float],
    found: list[bytes],
) -> int:
    """Append one layer's data to `found` and its parameter to its line; return where the next layer's begin."""
    facts = dict(part.split("=", 1) for part in line[4 + int(line[2]) + int(line[3]) :])
    channels, size = int(facts["0"]), int(facts[str(KINDS[line[0]])])
    weight = np.frombuffer(data, np.float32, size, start + 4).reshape(channels, -1)
    bias = data[start + 4 + 4 * size : start + 4 + 4 * size + 4 * channels]
    scales = (127 / np.maximum(np.abs(weight).max(1), 1e-8)).astype(np.float32)
    whole = np.clip(np.round(weight * scales[:, None]), -127, 127).astype(np.int8).tobytes()
    depthwise = line[0] == "ConvolutionDepthWise"
    blob, result = line[4], line[4 + int(line[2])]
    after = readers.get(result, [])
    chained = len(after) == 1 and after[0][0] in ("Convolution", "ConvolutionDepthWise")
    term = (PLAIN if not depthwise else 1) + (100 if chained else 0)
    found += [INT8_TAG, whole + b"\0" * (-len(whole) % 4), bias, scales.tobytes()]
    found.append(np.float32(127 / peaks[blob]).tobytes())
    if chained:
        found.append(np.float32(127 / peaks[result]).tobytes())
    line.append(f"8={term}" if line[0] != "InnerProduct" else "8=2")
    return start + 4 + 4 * size + 4 * channels
