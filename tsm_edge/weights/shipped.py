"""Trained weights that come with tsm-edge: each file of ``models/weights/`` is a model by its own name.

``weights/gestures.safetensors`` is the model `gestures`: its metadata (:mod:`tsm_edge.weights.meta`) names the
network, its parameters and its labels. Nothing else has to be written down when weights are added.
``weights/gestures.ranges.json``, where it is there, holds the ranges of its values in 8 bits.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import ModelError
from .meta import WeightsMeta, read_meta

FOLDER = Path(__file__).parents[1] / "models" / "weights"


def names() -> list[str]:
    """Return the names of the shipped weights, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def path_of(name: str) -> Path:
    """Return the file of shipped weights."""
    return FOLDER / f"{name}.safetensors"


def ranges_of(name: str) -> Path | None:
    """Return the file of ranges that comes with shipped weights; None where there is none."""
    path = FOLDER / f"{name}.ranges.json"
    return path if path.is_file() else None


def meta_of(name: str) -> WeightsMeta:
    """Return what shipped weights say about themselves; ModelError when they say nothing."""
    meta = read_meta(path_of(name))
    if meta is None:
        raise ModelError(
            f"The weights of '{name}' do not say what network they are for.",
            found=str(path_of(name)),
            hint="install tsm-edge again",
        )
    return meta
