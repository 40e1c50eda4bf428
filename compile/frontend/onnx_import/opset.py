"""Older operator sets, raised by ONNX's own version converter to one that the importer reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsm_edge.errors import ImportFailed

if TYPE_CHECKING:
    from onnx import ModelProto

OLDEST, READ = 7, 13  # the oldest set that the converter takes well, and the oldest that is read as it is


def version_of(model: ModelProto) -> int:
    """The version of ONNX's operators that a model uses."""
    return max(
        (int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1
    )


def raised(model: ModelProto) -> ModelProto:
    """Return a ModelProto of operator set READ or newer.

    Raises ImportFailed where the converter cannot; it names the operator in its own words.
    """
    from onnx import version_converter

    found = version_of(model)
    if found >= READ:
        return model
    if found < OLDEST:
        raise cannot(found, f"operator set {found}")
    try:
        return version_converter.convert_version(model, READ)
    except Exception as error:  # the converter's C++ raises RuntimeError, and others from its Python side
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise cannot(found, lines[0][:200]) from error


def cannot(version: int, found: str) -> ImportFailed:
    """The refusal of a set that stays too old."""
    return ImportFailed(
        f"ONNX cannot convert this file's operator set {version} to {READ}.",
        found=found,
        allowed=f"operator sets {OLDEST} and newer, where ONNX's converter knows every operator",
        hint=f"export the network again with opset_version={READ} or newer",
    )
