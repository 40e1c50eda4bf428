"""Targets: a device as data. This module is the only reader of ``targets/*.toml``.

The file's stem is the target's name. Each key of a file is a field of `EdgeTarget` or of one of its parts; an unknown,
missing or wrong key is refused with field, value and what is allowed. The target whose file says ``detect = true``
stands for the machine this runs on and is completed by ``tsm_edge.host``.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any

from . import _target_checks as check
from ._target_parts import CpuFacts, Emulator, GpuFacts
from .errors import UnknownName, UnsupportedTarget

if sys.version_info >= (3, 11):
    import tomllib
else:  # the standard library reads TOML from 3.11 on
    import tomli as tomllib

#: machine names as ``uname -m`` prints them, each with the processor features a target may require
CPU_FEATURES = {
    "x86_64": ("sse4.2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512vl", "avx512bw", "avx512dq"),
    "aarch64": ("asimd", "fp16", "dotprod"),
    "armv7l": ("neon", "vfpv4"),
}
FAMILIES = ("cpu", "cuda", "opencl")
LIBCS = ("glibc", "musl", "bionic")
LINKS = ("shared", "static")
MAX_CHARACTERS = 1 << 16  # of a file


@dataclass(frozen=True)
class EdgeTarget:
    """A device and the backend compiled for it.

    ``arch`` is what ``uname -m`` prints, ``triple`` names the platform for the cross-compiler without the glibc
    version, ``glibc`` is the oldest glibc a bundle must run on ("" for musl), ``fallback`` is the CPU target of the
    same device ("" when this is one).

    Raises:
        UnsupportedTarget: a field is out of its range or two fields contradict each other.
    """

    name: str
    summary: str
    family: str
    arch: str
    triple: str
    libc: str
    glibc: str
    link: str
    fallback: str
    cpu: CpuFacts
    emulator: Emulator | None = None
    gpu: GpuFacts | None = None

    def __post_init__(self) -> None:
        check.text("name", self.name)
        check.text("summary", self.summary)
        check.one_of("family", self.family, FAMILIES)
        check.one_of("arch", self.arch, tuple(CPU_FEATURES))
        check.one_of("libc", self.libc, LIBCS)
        check.one_of("link", self.link, LINKS)
        check.string("fallback", self.fallback)
        self._check_platform()
        self._check_gpu()
        for feature in self.cpu.requires:
            check.one_of("cpu.requires", feature, CPU_FEATURES[self.arch])
        if (self.family == "cpu") != (self.fallback == ""):
            check.refuse(
                "fallback", self.fallback, "the device's CPU target for a GPU family, empty for family cpu"
            )

    def _check_gpu(self) -> None:
        if (self.family == "cpu") != (self.gpu is None):
            check.refuse("gpu", self.gpu, "the facts of the GPU for a GPU family, missing for family cpu")
        if self.gpu is not None and (self.family == "cuda") != bool(self.gpu.sm):
            check.refuse("gpu.sm", self.gpu.sm, "a compute capability for family cuda, otherwise 0")

    def _check_platform(self) -> None:
        machine = "arm" if self.arch == "armv7l" else self.arch
        abi = {"glibc": ("gnu", "gnueabihf"), "musl": ("musl", "musleabihf"), "bionic": ("android",) * 2}
        triple = f"{machine}-linux-{abi[self.libc][self.arch == 'armv7l']}"
        if self.triple != triple:
            check.refuse("triple", self.triple, f"{triple} for arch {self.arch} and libc {self.libc}")
        version = re.fullmatch(r"[0-9]{1,4}\.[0-9]{1,4}", self.glibc if isinstance(self.glibc, str) else "")
        if self.libc != "glibc" and self.glibc != "":
            check.refuse("glibc", self.glibc, "empty when libc is not glibc")
        if self.libc == "glibc" and not version:
            check.refuse("glibc", self.glibc, 'a version like "2.27"')
        if (self.libc == "musl") != (self.link == "static"):
            check.refuse("link", self.link, "static with musl, otherwise shared")


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
            from .host import local_target

            check.table("", data, ("detect", "summary"))
            return local_target(name, data["summary"])
        table = check.table(
            "", data, [f.name for f in fields(EdgeTarget) if f.name != "name"], optional=("emulator", "gpu")
        )
        emulator, gpu = table.get("emulator"), table.get("gpu")
        cpu = dict(check.table("cpu.", table["cpu"], [f.name for f in fields(CpuFacts)]))
        for field in ("llvm_features", "requires"):
            cpu[field] = check.strings(f"cpu.{field}", cpu[field])
        if emulator is not None:
            emulator = Emulator(**check.table("emulator.", emulator, [f.name for f in fields(Emulator)]))
        if gpu is not None:
            gpu = GpuFacts(**check.table("gpu.", gpu, [f.name for f in fields(GpuFacts)]))
        records = {"cpu": CpuFacts(**cpu), "emulator": emulator, "gpu": gpu}
        return EdgeTarget(**{**table, "name": name, **records})
    except (ValueError, RecursionError) as error:  # not TOML, a number of 5000 digits, a list in a list in a list
        raise UnsupportedTarget(f"Target '{name}': the file is not TOML.", found=error) from None
    except check.Refused as refused:
        field, found, allowed = refused.args
        raise UnsupportedTarget(
            f"Target '{name}': bad value of '{field}'.", found=found, allowed=allowed
        ) from None


def _folder() -> Any:
    return resources.files("tsm_edge.targets")
