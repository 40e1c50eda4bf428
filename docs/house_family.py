"""The table of the family of clip networks: what each is, counted from its description, beside what papers say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tsm_edge.models import clips

#: parameters in millions and GMAC a clip of the papers' tables (arXiv:1811.08383), where a row stands for the network
PAPER = {
    "tsn-bninception": (10.7, 16.0),
    "tsn-resnet50": (24.3, 33.0),
    "trn-multiscale-bninception": (18.3, 16.0),
    "trn-multiscale-resnet50": (31.8, 33.0),
    "eco-full": (47.5, 32.0),
    "eco-ensemble-lite": (150.0, 267.0),
    "i3d-resnet50": (29.3, 33.0),
    "i3d-resnet50-graph": (28.0, 153.0),
    "i3d-nonlocal": (35.3, 168.0),
    "i3d-nonlocal-gcn": (62.2, 303.0),
    "i3d-replace": (33.0, 48.0),
}
CLASSES = 400  # of the papers' counts, whatever the data set


def rows() -> list[tuple[str, ...]]:
    """A row a network: its own counts at 224 pixels with 400 classes, and the papers'."""
    found = []
    for name in clips.names():
        model = clips.load(name, classes=CLASSES)
        parameters, gmac = PAPER.get(name, (None, None))
        best = next((each for each in model.published if each.frames == model.frames), None)
        found.append(
            (
                f"`{name}`",
                str(model.frames),
                f"{model.parameters_count / 1e6:.2f}",
                "" if parameters is None else f"{parameters:g}",
                f"{model.macs / 1e9:.2f}",
                "" if gmac is None else f"{gmac:g}",
                "" if best is None else f"{best.accuracy:g}",
            )
        )
    return found


HEADER = ("model", "frames", "M parameters", "paper", "GMAC a clip", "paper", "SSV1 top-1, %")


def times(models: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A row a network of `benchmarks/family.py`: what it is, and milliseconds beside ONNX Runtime's by threads."""
    found = []
    for model in models:
        cells = [f"`{model['model']}`", f"{model['macs'] / 1e9:.1f}", f"{model['bundle_bytes'] / 2**20:.0f}"]
        for row in sorted(model["rows"], key=lambda row: int(row["threads"])):
            cells += [f"{row['median_ms']:.0f}", f"{row['onnxruntime_ms']:.0f}", f"{row['ratio']:.2f}"]
        found.append(tuple(cells))
    return found


TIMES = ("model", "GMAC", "MiB", "1 thread, ms", "ONNX Runtime", "ratio", "2 threads, ms", "ONNX Runtime", "ratio")
