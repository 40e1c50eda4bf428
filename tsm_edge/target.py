"""Targets: a device as data. This module is the only reader of ``targets/*.toml``.

The file's stem is the target's name. Each key of a file is a field of one of the records below; an unknown, missing
or wrong key is refused with field, value and what is allowed. The target whose file says ``detect = true`` stands for
the machine this runs on and is completed by ``tsm_edge.host``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any, NoReturn

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


@dataclass(frozen=True)
class CpuFacts:
    """What schedules and the code generator need to know of a processor.

    ``llvm_cpu`` and ``llvm_features`` are LLVM's ``-mcpu`` and ``-mattr``. ``requires`` are the features that a bundle
    checks when it is opened. ``flops_per_cycle`` counts float32 operations of one core, an FMA as two. ``cores`` are
    the cores worth using (the big ones). ``l2_kib`` is the share of one core. ``dram_gb_s`` is the memory interface's
    theoretical peak. ``clock_ghz`` and ``dram_gb_s`` are 0 where a detected machine does not tell.
    """

    llvm_cpu: str
    llvm_features: tuple[str, ...]
    requires: tuple[str, ...]
    simd_bits: int
    simd_registers: int
    flops_per_cycle: int
    clock_ghz: float
    cores: int
    l1d_kib: int
    l2_kib: int
    dram_gb_s: float

    def __post_init__(self) -> None:
        _text("cpu.llvm_cpu", self.llvm_cpu)
        for feature in self.llvm_features:
            if not (isinstance(feature, str) and len(feature) > 1 and feature[0] in "+-"):
                _refuse("cpu.llvm_features", feature, "names that start with + or -")
        _one_of("cpu.simd_bits", self.simd_bits, (64, 128, 256, 512))
        _one_of("cpu.simd_registers", self.simd_registers, (8, 16, 32))
        _integer("cpu.flops_per_cycle", self.flops_per_cycle, 1, 256)
        _integer("cpu.cores", self.cores, 1, 1024)
        _integer("cpu.l1d_kib", self.l1d_kib, 4, 1024)
        _integer("cpu.l2_kib", self.l2_kib, 16, 65536)
        _number("cpu.clock_ghz", self.clock_ghz, 0.0, 10.0)
        _number("cpu.dram_gb_s", self.dram_gb_s, 0.0, 2000.0)

    @property
    def simd_lanes(self) -> int:
        """Number of float32 values in one vector register."""
        return self.simd_bits // 32

    @property
    def peak_gflops(self) -> float:
        """Theoretical float32 peak of one core in GFLOP/s; 0 when the clock is unknown."""
        return self.flops_per_cycle * self.clock_ghz


@dataclass(frozen=True)
class GpuFacts:
    """What schedules, code generators and the latency model need to know of a GPU.

    ``sm`` is the compute capability that PTX is made for (53 is 5.3), ``ptx_isa`` the newest ISA the board's driver
    reads and ``driver_cuda`` the CUDA release of that driver; all three are empty for OpenCL. ``wave`` threads step
    together (warp, wavefront). ``units`` compute units do ``flops_per_cycle`` float32 operations each, an FMA as two;
    ``fp16_rate`` is how many times faster 16-bit arithmetic is: sums are float32, so it counts where 16-bit storage is
    converted. ``registers`` are the 32-bit registers of a unit, ``thread_registers`` the most a thread may use before
    occupancy suffers. ``unit_threads`` and ``unit_groups`` are resident in a unit at most, ``group_threads`` in a
    group. ``shared_kib`` is the shared (local) memory of a unit, ``group_shared_kib`` what one group may declare.
    ``launch_us`` is the time between two launches of a queue.
    """

    sm: int
    ptx_isa: str
    driver_cuda: str
    wave: int
    units: int
    flops_per_cycle: int
    fp16_rate: float
    clock_ghz: float
    registers: int
    thread_registers: int
    unit_threads: int
    unit_groups: int
    group_threads: int
    shared_kib: int
    group_shared_kib: int
    l2_kib: int
    dram_gb_s: float
    launch_us: float

    def __post_init__(self) -> None:
        _integer("gpu.sm", self.sm, 0, 999)
        for field in ("ptx_isa", "driver_cuda"):
            _string(f"gpu.{field}", getattr(self, field))
            if bool(self.sm) != bool(re.fullmatch(r"[0-9]{1,2}\.[0-9]", getattr(self, field))):
                _refuse(f"gpu.{field}", getattr(self, field), 'a version like "6.4" with sm, otherwise empty')
        _one_of("gpu.wave", self.wave, (4, 8, 16, 32, 64, 128))
        _integer("gpu.units", self.units, 1, 1024)
        _integer("gpu.flops_per_cycle", self.flops_per_cycle, 2, 4096)
        _number("gpu.fp16_rate", self.fp16_rate, 0.0, 16.0)
        _number("gpu.clock_ghz", self.clock_ghz, 0.1, 10.0)
        _integer("gpu.registers", self.registers, 1024, 1 << 20)
        _integer("gpu.thread_registers", self.thread_registers, 16, 255)
        _integer("gpu.unit_threads", self.unit_threads, 16, 8192)
        _integer("gpu.unit_groups", self.unit_groups, 1, 256)
        _integer("gpu.group_threads", self.group_threads, 32, 8192)
        _integer("gpu.shared_kib", self.shared_kib, 8, 1024)
        _integer("gpu.group_shared_kib", self.group_shared_kib, 8, self.shared_kib)
        _integer("gpu.l2_kib", self.l2_kib, 16, 1 << 20)
        _number("gpu.dram_gb_s", self.dram_gb_s, 1.0, 10000.0)
        _number("gpu.launch_us", self.launch_us, 0.0, 1000.0)

    @property
    def peak_gflops(self) -> float:
        """Theoretical float32 peak in GFLOP/s."""
        return self.units * self.flops_per_cycle * self.clock_ghz


@dataclass(frozen=True)
class Emulator:
    """The user-mode emulator that runs this target's programs on another machine.

    ``program`` comes with the Debian package ``package``. ``sysroot`` is the folder with the target's C library
    (Debian package ``sysroot_package``); both are empty for static programs.
    """

    program: str
    package: str
    cpu: str
    sysroot: str
    sysroot_package: str

    def __post_init__(self) -> None:
        for field in ("program", "package", "cpu"):
            _text(f"emulator.{field}", getattr(self, field))
        for field in ("sysroot", "sysroot_package"):
            _string(f"emulator.{field}", getattr(self, field))
        if bool(self.sysroot) != bool(self.sysroot_package):
            _refuse("emulator.sysroot_package", self.sysroot_package, "given exactly when sysroot is given")


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
        _text("name", self.name)
        _text("summary", self.summary)
        _one_of("family", self.family, FAMILIES)
        _one_of("arch", self.arch, tuple(CPU_FEATURES))
        _one_of("libc", self.libc, LIBCS)
        _one_of("link", self.link, LINKS)
        _string("fallback", self.fallback)
        self._check_platform()
        self._check_gpu()
        for feature in self.cpu.requires:
            _one_of("cpu.requires", feature, CPU_FEATURES[self.arch])
        if (self.family == "cpu") != (self.fallback == ""):
            _refuse(
                "fallback", self.fallback, "the device's CPU target for a GPU family, empty for family cpu"
            )

    def _check_gpu(self) -> None:
        if (self.family == "cpu") != (self.gpu is None):
            _refuse("gpu", self.gpu, "the facts of the GPU for a GPU family, missing for family cpu")
        if self.gpu is not None and (self.family == "cuda") != bool(self.gpu.sm):
            _refuse("gpu.sm", self.gpu.sm, "a compute capability for family cuda, otherwise 0")

    def _check_platform(self) -> None:
        machine = "arm" if self.arch == "armv7l" else self.arch
        abi = {"glibc": ("gnu", "gnueabihf"), "musl": ("musl", "musleabihf"), "bionic": ("android",) * 2}
        triple = f"{machine}-linux-{abi[self.libc][self.arch == 'armv7l']}"
        if self.triple != triple:
            _refuse("triple", self.triple, f"{triple} for arch {self.arch} and libc {self.libc}")
        version = re.fullmatch(r"[0-9]{1,4}\.[0-9]{1,4}", self.glibc if isinstance(self.glibc, str) else "")
        if self.libc != "glibc" and self.glibc != "":
            _refuse("glibc", self.glibc, "empty when libc is not glibc")
        if self.libc == "glibc" and not version:
            _refuse("glibc", self.glibc, 'a version like "2.27"')
        if (self.libc == "musl") != (self.link == "static"):
            _refuse("link", self.link, "static with musl, otherwise shared")


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
        data = tomllib.loads(text)
        if data.get("detect") is True:
            from .host import local_target

            _expect("", data, ("detect", "summary"))
            return local_target(name, data["summary"])
        table = _expect(
            "", data, [f.name for f in fields(EdgeTarget) if f.name != "name"], optional=("emulator", "gpu")
        )
        emulator, gpu = table.get("emulator"), table.get("gpu")
        cpu = dict(_expect("cpu.", table["cpu"], [f.name for f in fields(CpuFacts)]))
        for field in ("llvm_features", "requires"):
            cpu[field] = _strings(f"cpu.{field}", cpu[field])
        if emulator is not None:
            emulator = Emulator(**_expect("emulator.", emulator, [f.name for f in fields(Emulator)]))
        if gpu is not None:
            gpu = GpuFacts(**_expect("gpu.", gpu, [f.name for f in fields(GpuFacts)]))
        records = {"cpu": CpuFacts(**cpu), "emulator": emulator, "gpu": gpu}
        return EdgeTarget(**{**table, "name": name, **records})
    except tomllib.TOMLDecodeError as error:
        raise UnsupportedTarget(f"Target '{name}': the file is not TOML.", found=error) from None
    except _Refused as refused:
        field, found, allowed = refused.args
        raise UnsupportedTarget(
            f"Target '{name}': bad value of '{field}'.", found=found, allowed=allowed
        ) from None


def _folder() -> Any:
    return resources.files("tsm_edge.targets")


class _Refused(UnsupportedTarget):
    """One field is wrong; `parse` adds the name of the target."""

    def __init__(self, field: str, found: object, allowed: str) -> None:
        super().__init__(f"Bad value of '{field}'.", found=found, allowed=allowed)
        self.args = (field, found, allowed)


def _refuse(field: str, found: object, allowed: str) -> NoReturn:
    raise _Refused(field, repr(found), allowed)


def _expect(prefix: str, data: object, keys: Iterable[str], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    known = list(keys)
    if not isinstance(data, Mapping):
        _refuse(prefix.rstrip("."), data, "a table with the keys " + ", ".join(known))
    for key in data:
        if key not in known:
            _refuse(prefix + key, data[key], "no such field; known are " + ", ".join(known))
    for key in known:
        if key not in data and key not in optional:
            raise _Refused(prefix + key, "missing", "every field is given")
    return dict(data)


def _strings(field: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        _refuse(field, value, "a list of strings")
    return tuple(value)


def _string(field: str, value: object) -> None:
    if not isinstance(value, str):
        _refuse(field, value, "a string")


def _text(field: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        _refuse(field, value, "a non-empty string")


def _one_of(field: str, value: object, allowed: tuple[Any, ...]) -> None:
    if value not in allowed or isinstance(value, bool):
        _refuse(field, value, ", ".join(str(item) for item in allowed))


def _integer(field: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        _refuse(field, value, f"an integer from {low} to {high}")


def _number(field: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        _refuse(field, value, f"a number from {low} to {high}")
