"""Backends: one module per family, found by existing. Only these modules may ask what family a target belongs to.

A family offers `machine(target)`, the facts its schedules read, and `build_object(functions, target)`, the compiled
kernels. Where it can, `modelled(steps, plan, target, threads)` is the time of a frame that it expects.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def names() -> list[str]:
    """Families that can be compiled for."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))


def load(name: str) -> ModuleType:
    """The module of a family."""
    return importlib.import_module(f"{__name__}.{name}")
