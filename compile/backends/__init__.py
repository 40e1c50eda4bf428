"""Backends: one module per family, found by existing. Only these modules may ask what family a target belongs to.

:mod:`.nvidia` is no family, but the compilers of the CUDA one.

A family offers

    SCHEDULES, ALIGN                      folder of its schedules; alignment of tensors in bytes
    precisions(target)                    storage types that a target offers, its default first
    COMPILERS                             packages besides TVM whose version changes its kernels
    machine(target, precision)            the facts that its schedules read
    build(planned, functions, target, precision) -> Code
    plan_c(planned, code, about)          the plan as C, for its runtime
    modelled(planned, code, target, precision, threads)
                                          a step's modelled latency, None where the target lacks facts for it
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from tsm_edge.errors import UnsupportedTarget
from tsm_edge.target import EdgeTarget


def names() -> list[str]:
    """Families that can be compiled for."""
    modules = (info.name for info in pkgutil.iter_modules(__path__) if not info.ispkg)
    return sorted(name for name in modules if not name.startswith("_"))


def load(name: str) -> ModuleType:
    """The module of a family."""
    return importlib.import_module(f"{__name__}.{name}")


def of(target: EdgeTarget) -> ModuleType:
    """The family that compiles for a target; UnsupportedTarget names the CPU target where there is none yet."""
    if target.family not in names():
        raise UnsupportedTarget(
            f"Target '{target.name}' needs the '{target.family}' backend, which this version does not have.",
            found=target.family,
            allowed=", ".join(names()),
            hint=f"compile for its CPU: --target {target.fallback}" if target.fallback else None,
        )
    return load(target.family)
