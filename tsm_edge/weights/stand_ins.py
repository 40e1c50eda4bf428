"""Unpickling files of torch.save under ``weights_only=True`` although they hold objects of other programs.

Training scripts put their settings, loss histories and NumPy scalars beside the weights. ``weights_only`` refuses
every class that it does not know, and with it the weights. Here each such name is given to torch's unpickler as a
stand-in: a class of this file that keeps nothing and runs nothing. No name of a file is ever looked up or imported.
"""

from __future__ import annotations

import pickle
import pickletools
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ..errors import CheckpointError
from ._kind import LEGACY

MAX_FILE = 2 << 30  # bytes; a checkpoint of ResNet-101 with its optimizer and averaged weights is 0.9 GB
MAX_RATIO, MAX_SLACK = 4, 64 << 20  # torch.save does not compress, so unpacked is as large as the file
MAX_PICKLE = 32 << 20  # bytes of the part that names the tensors
_LEGACY_PICKLES = 5  # magic number, protocol, machine, content, storage keys
_RETRIES = 64

#: modules whose functions do something when called: a file that names one is not opened at all
_ACTIVE = re.compile(
    r"(os|posix|nt|sys|subprocess|shutil|socket|importlib|runpy|pty|ctypes|marshal|pickle|types|code|codeop|"
    r"webbrowser|asyncio|multiprocessing|threading|signal|tempfile|urllib|http|requests|pip|timeit|pdb|bdb)(\.|$)"
)
#: names of builtins that harmless objects refer to
_PLAIN = (bool, bytes, complex, dict, float, frozenset, int, list, object, range, set, slice, str, tuple, getattr)
_BUILTINS = frozenset(f"builtins.{each.__name__}" for each in _PLAIN)
#: torch would call these; no state_dict needs them, and each can take any amount of memory or time
_NEVER = frozenset(
    {
        "builtins.bytearray",
        "torch._utils._rebuild_sparse_tensor",
        "torch._utils._rebuild_nested_tensor",
        "torch._utils._rebuild_wrapper_subclass",
    }
)


class StandIn:
    """An object of another program, of which only the name of its class is kept."""

    kind = "object"

    def __init__(self, *_: object) -> None:
        """Take what the object was made from, and forget it."""

    def __setstate__(self, state: object) -> None:
        """Forget the state as well."""


class _Mapping:
    """In place of a class whose objects are filled like a dictionary."""

    def __new__(cls, *_: object) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


class _List:
    """In place of a class whose objects are filled like a list."""

    def __new__(cls, *_: object) -> list[Any]:  # type: ignore[misc]
        return []


def load(path: Path, kind: str) -> Any:
    """Return what torch.save wrote; objects of other programs are :class:`StandIn`.

    Raises:
        CheckpointError: the file is larger than the limits, or names functions that could run code.
        Exception: it is damaged; torch raises almost anything.
    """
    import torch

    check_size(path, kind)
    names = sorted(_foreign_names(path, kind))
    forms: dict[str, type] = {
        name: type(f"StandIn{index}", (StandIn,), {"kind": name}) for index, name in enumerate(names)
    }
    for _ in range(_RETRIES):
        allowed: list[Any] = [(form, name) for name, form in forms.items()]
        try:
            # opened here: given a path, torch reads what it takes the ending to mean
            with (
                path.open("rb") as file,
                torch.serialization.safe_globals(allowed),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")  # on pickle protocols and storages: nothing that a user could mend
                return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            if not _filled_otherwise(str(error), forms):
                raise
    raise pickle.UnpicklingError("too many kinds of objects")


def check_size(path: Path, kind: str) -> None:
    """Refuse a file that is too large, or would be when unpacked; CheckpointError."""
    size = path.stat().st_size
    _limit(path, size, MAX_FILE, "bytes")
    if kind == LEGACY:
        return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    most = min(MAX_FILE, MAX_RATIO * size + MAX_SLACK)
    _limit(path, sum(entry.file_size for entry in entries), most, "bytes unpacked")
    pickles = [entry.file_size for entry in entries if entry.filename.endswith("data.pkl")]
    _limit(path, max(pickles, default=0), MAX_PICKLE, "bytes of names and settings")


def _limit(path: Path, found: int, most: int, unit: str) -> None:
    if found > most:
        raise CheckpointError(
            f"'{path}' is too large for a checkpoint of these networks.",
            found=f"{found} {unit}",
            allowed=f"{most}",
            hint="save the tensors alone: torch.save(network.state_dict(), 'weights.pth')",
        )


def _foreign_names(path: Path, kind: str) -> set[str]:
    """Names that torch would not know; CheckpointError for one that stands for something active."""
    from torch._weights_only_unpickler import _get_allowed_globals

    foreign = set()
    for name in _names(path, kind):
        known = name in _get_allowed_globals()
        active = _ACTIVE.match(name) or (name.startswith("builtins.") and name not in _BUILTINS and not known)
        if active or name in _NEVER:
            raise CheckpointError(
                f"'{path}' holds Python objects beside its tensors and was not opened: loading it could run code.",
                found=name,
                allowed="tensors, numbers, texts, lists, dictionaries, and settings of other programs",
                hint="if you trust the file, save its tensors alone where it was trained: "
                "torch.save(torch.load(FILE, weights_only=False)['state_dict'], 'weights.pth')",
            )
        if not known:
            foreign.add(name)
    return foreign


def _names(path: Path, kind: str) -> Iterator[str]:
    """Every name of a class or function in the pickles of a file, without unpickling any."""
    if kind != LEGACY:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith("data.pkl"):
                    with archive.open(name) as file:
                        yield from _names_of_pickle(file)
        return
    with path.open("rb") as file:
        for _ in range(_LEGACY_PICKLES):
            yield from _names_of_pickle(file)


def _names_of_pickle(file: IO[bytes]) -> Iterator[str]:
    from torch._weights_only_unpickler import IMPORT_MAPPING, NAME_MAPPING

    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "GLOBAL":
                module, name = str(argument).split(" ", 1)
                if (module, name) in NAME_MAPPING:
                    module, name = NAME_MAPPING[module, name]
                yield f"{IMPORT_MAPPING.get(module, module)}.{name}"
    except (ValueError, IndexError, UnicodeDecodeError) as error:  # genops' words for a cut or foreign stream
        raise pickle.UnpicklingError(str(error)) from error


def _filled_otherwise(message: str, forms: dict[str, type]) -> bool:
    """Change the stand-in that torch cannot fill into one that it can; False when torch complains of something else."""
    found = re.search(r"Can only (SETITEMS?|append|extend) .*\.StandIn(\d+)'>", message)
    if found is None:
        return False
    forms[list(forms)[int(found[2])]] = _Mapping if found[1].startswith("SETITEM") else _List
    return True
