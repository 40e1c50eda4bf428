"""Reading a file of weights without trusting it: no code of a pickle is ever run."""

from __future__ import annotations

from pathlib import Path

from ..errors import CheckpointError, ExtraMissing
from . import stand_ins
from ._kind import LEGACY, READ, SAFETENSORS, kind_of


def read(path: str | Path) -> object:
    """Return what a checkpoint holds: of safetensors a dictionary of tensors, of torch.save anything; on the CPU.

    Raises:
        CheckpointError: the file is missing, damaged, of another kind, too large, or holds code.
        ExtraMissing: a safetensors file without the package that reads it.
    """
    path = Path(path)
    try:
        kind = kind_of(path)
        if kind == SAFETENSORS or (path.suffix == ".safetensors" and path.stat().st_size < 8):
            return _safetensors(path)
        return stand_ins.load(path, kind)
    except (CheckpointError, ExtraMissing):
        raise
    except Exception as error:  # damaged bytes make torch raise almost anything
        raise _unreadable(path, error) from error


def _safetensors(path: Path) -> object:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise ExtraMissing(
            "Reading a .safetensors file needs the Python package 'safetensors'.",
            found=error,
            hint="pip install safetensors",
        ) from error
    stand_ins.check_size(path, LEGACY)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"'{path}' is no checkpoint, or is damaged.",
        found=_reason(error),
        allowed=READ,
        hint="compare its size with the original",
    )


def _reason(error: Exception) -> str:
    """Return one line; torch puts general advice before the reason of its unpickler."""
    text = str(error).partition("WeightsUnpickler error:")[2] or str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
