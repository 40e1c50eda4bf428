"""``scales.json`` of a bundle in 8 bits: the scale of every value that it stores in a byte, by the layer it comes from.

What ``ranges.json`` holds belongs to the compiler, which names values by its own graph; this is what came of it, in the
network's words, so that another runtime can be given the same 8 bits.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import UsageError
from ..files import strict_json

NAME = "scales.json"
SCHEMA = 1

AnyAffine = TypeVar("AnyAffine", bound="Affine")


@dataclass(frozen=True)
class Affine:
    """v = (q - zero) * step, q from -128 to 127."""

    step: float
    zero: int

    def __post_init__(self) -> None:
        if not (0 < self.step < math.inf and -128 <= self.zero <= 127):
            raise ValueError(f"step {self.step}, zero {self.zero}")

    @property
    def low(self) -> float:
        """The smallest number that there is an integer for."""
        return (-128 - self.zero) * self.step

    @property
    def high(self) -> float:
        """The largest one."""
        return (127 - self.zero) * self.step

    @classmethod
    def of(cls: type[AnyAffine], low: float, high: float) -> AnyAffine:
        """The scale of a range that contains zero."""
        step = float(max(high - low, 1e-12)) / 255
        return cls(step, max(-128, min(127, round(-128 - low / step))))


@dataclass(frozen=True)
class LayerScale:
    """A convolution in 8 bits. scale: of its output, after `residual` (a sum with another value) and its clamp."""

    name: str
    scale: Affine
    residual: bool


@dataclass(frozen=True)
class Scales:
    """All of a network; None for what stays in float32. states: in the signature's order. layers: as they run."""

    frame: Affine | None
    states: tuple[Affine | None, ...]
    layers: tuple[LayerScale, ...]

    def text(self) -> str:
        """The file's text."""
        layers = [{"layer": one.name, **_plain(one.scale), "residual": one.residual} for one in self.layers]
        document = {
            "schema": SCHEMA,
            "frame": _plain(self.frame) or None,
            "states": [_plain(state) or None for state in self.states],
            "layers": layers,
        }
        return json.dumps(document, indent=1) + "\n"

    @classmethod
    def load(cls, path: Path) -> Scales:
        """Read and check a file; UsageError says what is wrong with it."""
        try:
            document = _table(strict_json.read(path))
            if document["schema"] != SCHEMA:
                raise ValueError(f"schema {document['schema']}, not {SCHEMA}")
            layers = tuple(_layer(_table(entry)) for entry in _list(document["layers"]))
            return cls(_scale(document["frame"]), tuple(map(_scale, _list(document["states"]))), layers)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"'{path}' holds no scales.",
                found=f"{type(error).__name__}: {error}"[:200],
                allowed="what compile --precision int8 wrote",
                hint="compile the bundle again",
            ) from error


def _plain(scale: Affine | None) -> dict[str, float]:
    return {} if scale is None else {"step": scale.step, "zero": scale.zero}


def _table(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no object")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _scale(value: object) -> Affine | None:
    if value is None:
        return None
    step, zero = _table(value)["step"], _table(value)["zero"]
    if isinstance(step, bool) or not isinstance(step, (int, float)) or type(zero) is not int:
        raise TypeError(f"step {step!r}, zero {zero!r}")
    return Affine(float(step), zero)


def _layer(entry: dict[str, object]) -> LayerScale:
    name, scale, residual = entry["layer"], _scale(entry), entry["residual"]
    if not isinstance(name, str) or not isinstance(residual, bool) or scale is None:
        raise TypeError(f"{entry!r} is no layer")
    return LayerScale(name, scale, residual)
