"""The machine this runs on, as facts: completes the detected target and answers the bundle's checks at open.

``read_host`` is the only function that looks at the machine; everything else takes its answer, so any processor can
be tested from the literal text of its ``/proc/cpuinfo``.
"""

from __future__ import annotations

import os
import platform
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from ..errors import UnsupportedHost
from ._records import Core, CpuFacts, EdgeTarget

#: newest glibc asked for: nothing needs more, and the bundle then also runs on older machines of the same kind
GLIBC_CAP = (2, 28)
_CPU0 = Path("/sys/devices/system/cpu/cpu0")


@dataclass(frozen=True)
class Cache:
    """One cache of the first core, as ``/sys`` describes it: level, type, size in KiB, number of threads sharing."""

    level: int
    kind: str
    kib: int
    sharers: int


@dataclass(frozen=True)
class Host:
    """What the operating system says of this machine.

    ``machine`` is ``uname -m``; ``pointer_bytes`` tells a 32-bit system on a 64-bit kernel; ``cpuinfo`` is the text
    of ``/proc/cpuinfo``; ``threads`` are the hardware threads this process may use; ``max_khz`` is 0 when unknown;
    ``libc`` is like "glibc 2.36" and empty on a system without glibc.
    """

    machine: str
    pointer_bytes: int
    cpuinfo: str
    caches: tuple[Cache, ...]
    threads_per_core: int
    threads: int
    max_khz: int
    libc: str


def read_host() -> Host:
    """Look at this machine. Facts that it does not offer are left at 0 or empty."""
    caches = []
    for index in sorted(_CPU0.glob("cache/index*")):
        level, kind, size = (_read(index / name).strip() for name in ("level", "type", "size"))
        sharers = _count_list(_read(index / "shared_cpu_list"))
        if level.isdecimal() and re.fullmatch(r"\d+K", size):
            caches.append(Cache(int(level), kind, int(size[:-1]), sharers))
    khz = _read(_CPU0 / "cpufreq/cpuinfo_max_freq").strip()
    return Host(
        machine=platform.machine(),
        pointer_bytes=struct.calcsize("P"),
        cpuinfo=_read(Path("/proc/cpuinfo")),
        caches=tuple(caches),
        threads_per_core=max(1, _count_list(_read(_CPU0 / "topology/thread_siblings_list"))),
        threads=_usable_threads(),
        max_khz=int(khz) if khz.isdecimal() else 0,
        libc=_libc(),
    )


def arch_of(host: Host) -> str:
    """Return the architecture that programs on this machine are built for, named as targets name it."""
    if host.machine in ("armv7l", "armv8l") or (host.machine == "aarch64" and host.pointer_bytes == 4):
        return "armv7l"  # many boards run a 32-bit system on a 64-bit kernel, and uname then says aarch64
    if host.machine == "x86_64" and host.pointer_bytes == 4:
        return "i686"
    return host.machine


def glibc_of(host: Host) -> tuple[int, int] | None:
    """Return this machine's glibc as (major, minor), or None where the C library is another one."""
    found = re.fullmatch(r"glibc (\d+)\.(\d+).*", host.libc)
    return (int(found[1]), int(found[2])) if found else None


def features_of(host: Host) -> frozenset[str]:
    """Return the processor's features under the names that ``tsm_edge.target.CPU_FEATURES`` uses."""
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", host.cpuinfo, re.MULTILINE)
    found = set(line[1].split()) if line else set()
    if "sse4_2" in found:
        found.add("sse4.2")
    if {"fphp", "asimdhp"} <= found:
        found.add("fp16")
    if "asimddp" in found:
        found.add("dotprod")
    if "asimd" in found:  # a 64-bit kernel lists the 64-bit names even to a 32-bit process
        found |= {"neon", "vfpv4"}
    return frozenset(found)


def local_target(name: str, summary: str, host: Host | None = None) -> EdgeTarget:
    """Return this machine as a target; UnsupportedHost when nothing can be built for its processor."""
    host = host or read_host()
    arch = arch_of(host)
    level = {"x86_64": _x86_level, "aarch64": _aarch64_level, "armv7l": _armv7_level}.get(arch)
    if level is None:
        raise UnsupportedHost(
            "This machine's architecture is not supported.", found=arch, allowed="x86_64, aarch64, armv7l"
        )
    glibc = glibc_of(host)
    machine, hard_float = ("arm", "eabihf") if arch == "armv7l" else (arch, "")
    version = "{}.{}".format(*min(glibc, GLIBC_CAP)) if glibc else ""
    return EdgeTarget(
        name=name,
        summary=summary,
        family="cpu",
        arch=arch,
        triple=f"{machine}-linux-{'gnu' if glibc else 'musl'}{hard_float}",
        libc="glibc" if glibc else "musl",
        glibc=version,
        link="shared" if glibc else "static",
        fallback="",
        cpu=_facts(host, level(host)),
    )


def _halves(host: Host) -> bool:
    """Whether the processor takes a 512-bit vector in two halves: AMD's family 25, whose last ones are Zen 4."""
    names = ("vendor_id", "cpu family")
    found = [re.search(rf"^{name}\s*:\s*(\S+)", host.cpuinfo, re.MULTILINE) for name in names]
    return [match[1] for match in found if match] == ["AuthenticAMD", "25"]


#: seen to pay on Zen 3 and Zen 4 (benchmarks/kernel_choices.py)
_X86 = {"paired_loads": False, "private_l2": True, "software_prefetch": True}
_ARM64 = {"paired_loads": True, "private_l2": False, "software_prefetch": False}
_ARM32 = {"paired_loads": False, "private_l2": False, "software_prefetch": False}


def _with(feature: str, llvm: str, features: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """LLVM's name and ours of a feature that a processor has beyond its level, or nothing."""
    return ((llvm,), (feature,)) if feature in features else ((), ())


def _x86_level(host: Host) -> Core:
    features = features_of(host)
    v2 = ("sse4.2",)
    v3 = ("avx2", "fma", "f16c")
    v4 = ("avx512f", "avx512vl", "avx512bw", "avx512dq")
    if features.issuperset(v2 + v3 + v4):
        # LLVM avoids 512-bit vectors on its own, for the clock drop of the first such processors
        units = (32, 256, 1) if _halves(host) else (64, 512, 2)
        llvm, vnni = _with("avx512_vnni", "+avx512vnni", features)
        return Core("x86-64-v4", ("-prefer-256-bit", *llvm), v3 + v4 + vnni, 512, 32, *units, **_X86)
    if features.issuperset(v2 + v3):
        llvm, vnni = _with("avx_vnni", "+avxvnni", features)
        return Core("x86-64-v3", llvm, v3 + vnni, 256, 16, 32, 256, 2, **_X86)
    if features.issuperset(v2):
        return Core("x86-64-v2", (), v2, 128, 16, 8, 128, 1, **_X86)
    raise UnsupportedHost(
        "This processor is too old.", found="no SSE4.2", allowed="x86-64 with SSE4.2 (since 2008)"
    )


def _aarch64_level(host: Host) -> Core:
    features = features_of(host)
    llvm = ["+neon"] + ["+fullfp16"] * ("fp16" in features) + ["+dotprod"] * ("dotprod" in features)
    requires = ("asimd", *(name for name in ("fp16", "dotprod") if name in features))
    # cores that have the dot product mostly have two vector pipes; those without have one 128-bit FMA a cycle
    pipes = 2 if "dotprod" in features else 1
    return Core("generic", tuple(llvm), requires, 128, 32, 8 * pipes, 128, pipes, **_ARM64)


def _armv7_level(host: Host) -> Core:
    if not {"neon", "vfpv4"} <= features_of(host):
        raise UnsupportedHost(
            "This processor is too old.", found="no NEON with VFPv4", allowed="ARMv7 with both"
        )
    return Core("cortex-a7", ("+neon", "+vfp4"), ("neon", "vfpv4"), 128, 16, 8, 128, 1, **_ARM32)


def _facts(host: Host, level: Core) -> CpuFacts:
    per_core = max(1, host.threads_per_core)
    l1d = [cache.kib for cache in host.caches if cache.level == 1 and cache.kind != "Instruction"]
    cores = max(1, host.threads // per_core)
    # size, and how many cores share it; 0 where the system does not say
    l2 = [(c.kib, c.sharers // per_core) for c in host.caches if c.level == 2 and c.kind != "Instruction"]
    return CpuFacts(
        **vars(level),
        clock_ghz=_clock_ghz(host),
        cores=cores,
        # a board without cache facts in /sys gets the smallest that any supported processor has
        l1d_kib=l1d[0] if l1d else 32,
        l2_kib=max(16, l2[0][0] // max(1, l2[0][1])) if l2 else 128,
        dram_gb_s=0.0,
        shared_l2=bool(l2) and cores > 1 and l2[0][1] >= cores,
    )


def _clock_ghz(host: Host) -> float:
    """Highest clock, to one decimal: a reading that wanders must not give two targets on one machine."""
    if host.max_khz:
        return round(host.max_khz / 1e6, 1)
    named = re.search(r"^model name\s*:.*@ ([\d.]+)GHz", host.cpuinfo, re.MULTILINE)
    now = re.search(r"^cpu MHz\s*:\s*([\d.]+)", host.cpuinfo, re.MULTILINE)
    if named:
        return round(float(named[1]), 1)
    return round(float(now[1]) / 1e3, 1) if now else 0.0


def _count_list(text: str) -> int:
    """Number of processors in a list like "0-3,8"."""
    count = 0
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first.isdecimal():
            count += int(last) - int(first) + 1 if last.isdecimal() else 1
    return count


def _usable_threads() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):  # a C library that does not know the question
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
