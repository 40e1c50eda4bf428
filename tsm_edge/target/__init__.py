"""Targets: a device as data. This module is the only reader of ``targets/*.toml``.

The file's stem is the target's name. Each key of a file is a field of `EdgeTarget` or of one of its parts; an unknown,
missing or wrong key is refused with field, value and what is allowed. The target whose file says ``detect = true``
stands for the machine this runs on and is completed by ``tsm_edge.target.host``.
"""

from __future__ import annotations

import sys
from dataclasses import fields
from importlib import resources
from typing import TYPE_CHECKING

from ..errors import UnknownName, UnsupportedTarget
from ..records import record_of
from . import _checks as check
from ._records import CPU_FEATURES, FAMILIES, LIBCS, LINKS, CpuFacts, EdgeTarget, Emulator, GpuFacts
from .host import local_target

if TYPE_CHECKING:
    from importlib.abc import Traversable

if sys.version_info >= (3, 11):
    import tomllib
else:  # the standard library reads TOML from 3.11 on
    import tomli as tomllib

__all__ = [
    "CPU_FEATURES",
    "FAMILIES",
    "LIBCS",
    "LINKS",
    "CpuFacts",
    "EdgeTarget",
    "Emulator",
    "GpuFacts",
    "load",
    "names",
    "parse",
]

MAX_CHARACTERS = 1 << 16  # of a file


def names() -> list[str]:
    """Return the names of all targets, sorted."""
    files = (item.name for item in _folder().iterdir())
    return sorted(name[: -len(".toml")] for name in files if name.endswith(".toml"))


def load(name: str) -> EdgeTarget:
    """Return the target called ``name``.

    Raises:
        UnknownName: there is no such target; the message names the nearest one.
        UnsupportedTarget: the file breaks a rule of this module, or this machine cannot be a target.
    """
    known = names()
    if name not in known:
        raise UnknownName.of("target", name, known)
    return parse(name, (_folder() / f"{name}.toml").read_text(encoding="utf-8"))


def parse(name: str, text: str) -> EdgeTarget:
    """Build the target ``name`` from the text of its TOML file; UnsupportedTarget when a rule is broken."""
    try:
        if len(text) > MAX_CHARACTERS:
            check.refuse("the file", f"{len(text)} characters", f"at most {MAX_CHARACTERS}")
        data = tomllib.loads(text)
        if data.get("detect") is True:
            check.table("", data, ("detect", "summary"))
            return local_target(name, data["summary"])
        table = check.table(
            "", data, [f.name for f in fields(EdgeTarget) if f.name != "name"], optional=("emulator", "gpu")
        )
        emulator, gpu = table.get("emulator"), table.get("gpu")
        cpu = dict(check.table("cpu.", table["cpu"], [f.name for f in fields(CpuFacts)], optional=("shared_l2",)))
        for field in ("llvm_features", "requires"):
            cpu[field] = check.strings(f"cpu.{field}", cpu[field])
        if emulator is not None:
            emulator = record_of(Emulator, check.table("emulator.", emulator, [f.name for f in fields(Emulator)]))
        if gpu is not None:
            gpu = record_of(GpuFacts, check.table("gpu.", gpu, [f.name for f in fields(GpuFacts)]))
        records = {"cpu": record_of(CpuFacts, cpu), "emulator": emulator, "gpu": gpu}
        return record_of(EdgeTarget, {**table, "name": name, **records})
    except (ValueError, RecursionError) as error:  # not TOML, a number of 5000 digits, a list in a list in a list
        raise UnsupportedTarget(f"Target '{name}': the file is not TOML.", found=error) from None
    except check.Refused as refused:
        field, found, allowed = refused.args
        raise UnsupportedTarget(
            f"Target '{name}': bad value of '{field}'.", found=found, allowed=allowed
        ) from None


def _folder() -> Traversable:
    return resources.files("tsm_edge.targets")
