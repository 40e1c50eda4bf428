"""In which precision a peer runs the network behind a bundle, and why not in the bundle's where it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..bundle import scales
from ..bundle.scales import Affine, Scales
from ..errors import UsageError
from ..onnx import quantised
from ..signature import Signature
from .agreement import Floats


@dataclass(frozen=True)
class Form:
    """An ONNX file in one precision. states: the scale of each state that goes from step to step in bytes, else None.

    why: why the precision is not the bundle's; "" where it is.
    """

    precision: str
    onnx: bytes = field(repr=False)
    states: tuple[Affine | None, ...] = ()
    why: str = ""

    def zeros(self, signature: Signature) -> list[np.ndarray]:
        """The states at a stream's start."""
        kind = np.float16 if self.precision == "float16" else np.float32
        known = self.states or (None,) * len(signature.states)
        return [
            np.zeros(pair.input.shape, kind)
            if scale is None
            else np.full(pair.input.shape, scale.zero + quantised.UNSIGNED, np.uint8)
            for pair, scale in zip(signature.states, known, strict=True)
        ]

    def real(self, arrays: Sequence[np.ndarray]) -> list[Floats]:
        """States as numbers, copied."""
        known = self.states or (None,) * len(arrays)
        return [
            array.astype(np.float32) if scale is None else _real(array, scale)
            for array, scale in zip(arrays, known, strict=True)
        ]


def _real(array: np.ndarray, scale: Affine) -> Floats:
    whole = array.astype(np.int32) - quantised.UNSIGNED - scale.zero
    return np.asarray(whole * np.float32(scale.step), np.float32)


def eight_bits(signature: Signature, onnx: bytes, bundle: Path | None) -> Form:
    """A network in 8 bits, for the peers that read ONNX files; in float32, with the reason, where that cannot be.

    bundle: the folder that has the scales.
    """
    import onnx as onnx_package

    model = onnx_package.load_model_from_string(onnx)
    if quantised.is_quantised(model):
        return Form("int8", onnx)
    path = bundle / scales.NAME if bundle else None
    if path is None or not path.is_file():
        return Form("float32", onnx, why=f"the bundle has no {scales.NAME}; compile it again")
    found = Scales.load(path)
    pairs = [(pair.input.name, pair.output_name) for pair in signature.states]
    try:
        written = quantised.quantised(model, found, pairs)
    except UsageError as error:
        return Form("float32", onnx, why=f"no 8-bit ONNX file can be written: {error.what} {error.found or ''}".strip())
    return Form("int8", written.SerializeToString(deterministic=True), found.states)
