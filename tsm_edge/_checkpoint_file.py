"""Reading a file of weights without trusting it: no code of a pickle is ever run."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import CheckpointError, ExtraMissing

#: where training scripts put the tensors beside other things
_WRAPPERS = ("state_dict", "model", "net")


def read(path: str | Path) -> dict[str, Any]:
    """Return the tensors of a checkpoint by their names in the file, on the CPU.

    Files of torch.save (zip and the older form) and .safetensors are read.

    Raises:
        CheckpointError: the file is missing, damaged, holds code, or holds no tensors.
        ExtraMissing: a .safetensors file without the package that reads it.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"'{path}' cannot be read.",
            found="a folder" if path.is_dir() else "no such file",
            allowed="a file",
        )
    content = _safetensors(path) if path.suffix == ".safetensors" else read_plain(path)
    return _tensors(path, content)


def _safetensors(path: Path) -> Any:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise ExtraMissing(
            "Reading a .safetensors file needs the Python package 'safetensors'.",
            found=error,
            hint="pip install safetensors",
        ) from error
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def read_plain(path: Path) -> Any:
    """Return what torch.save wrote, as long as it is tensors, numbers, texts, lists and dictionaries.

    Raises:
        CheckpointError: the file is damaged, or holds Python objects whose loading could run code.
    """
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        if foreign is None:
            raise _unreadable(path, error) from error
        raise CheckpointError(
            f"'{path}' holds Python objects beside its tensors and was not opened: loading it could run code.",
            found=foreign[1],
            allowed="tensors, numbers, texts, lists and dictionaries",
            hint="if you trust the file, save its tensors alone where it was trained: "
            "torch.save(torch.load(FILE, weights_only=False)['state_dict'], 'weights.pth')",
        ) from error
    except Exception as error:  # damaged bytes make torch raise almost anything
        raise _unreadable(path, error) from error


def _tensors(path: Path, content: Any) -> dict[str, Any]:
    import torch

    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"'{path}' holds no weights.",
            found=type(content).__name__,
            allowed="a state_dict, perhaps in a wrapper",
        )
    tensors = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise CheckpointError(
            f"'{path}' holds no weights.",
            found="no tensor among: " + (", ".join(map(str, list(content)[:8])) or "nothing"),
            allowed="a state_dict, perhaps in a wrapper",
        )
    return tensors


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"'{path}' is no checkpoint, or is damaged.",
        found=_reason(error),
        allowed="a file of torch.save, or .safetensors",
        hint="compare its size with the original; a web page saved in place of the file is a frequent cause",
    )


def _reason(error: Exception) -> str:
    """Return one line; torch puts general advice before the reason of its unpickler."""
    text = str(error).partition("WeightsUnpickler error:")[2] or str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
