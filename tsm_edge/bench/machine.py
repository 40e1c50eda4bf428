"""The machine that a figure was taken on, as facts for the report. Nothing that names a person or a host."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from ..target import CPU_FEATURES
from ..target.host import Host, arch_of, features_of, read_host

_CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq")
#: load of other programs, in busy cores, from which on times are worth little
BUSY = 0.3


def facts(host: Host | None = None) -> dict[str, object]:
    """Return processor, features that matter, cores, clock, caches, governor, system and load, where readable."""
    host = host or read_host()
    arch = arch_of(host)
    known = features_of(host)
    found: dict[str, object] = {
        "cpu": cpu_name(host),
        "arch": arch,
        "features": [name for name in CPU_FEATURES.get(arch, ()) if name in known],
        "hardware_threads": host.threads,
        "cores": max(1, host.threads // max(1, host.threads_per_core)),
        "max_clock_mhz": host.max_khz // 1000 or None,
        "clock_mhz": _number(_CPUFREQ / "scaling_cur_freq", 1000) or _clock_mhz(host),
        "governor": _read(_CPUFREQ / "scaling_governor"),
        "caches": [f"L{c.level} {c.kind} {c.kib} KiB, {c.sharers} threads" for c in host.caches],
        "virtual": "hypervisor" in host.cpuinfo or None,
        "system": f"{platform.system()} {_version(platform.release())}",
        "libc": host.libc,
        "python": platform.python_version(),
        "load_1min": load_1min(),
    }
    return {key: value for key, value in found.items() if value not in (None, "", [])}


def load_1min() -> float:
    """Busy cores of the last minute, on average."""
    return round(os.getloadavg()[0], 2)


def cpu_name(host: Host) -> str:
    """Return the processor's name as ``/proc/cpuinfo`` has it; a board's name where the processor has none."""
    for key in ("model name", "Model", "Hardware"):
        found = re.search(rf"^{key}\s*:\s*(.+)$", host.cpuinfo, re.MULTILINE)
        if found:
            return found[1].strip()
    return host.machine


def _version(release: str) -> str:
    """The numbers of a kernel's release; what follows names its builder and says nothing about speed."""
    found = re.match(r"\d+(\.\d+)*", release)
    return found[0] if found else ""


def _clock_mhz(host: Host) -> float | None:
    found = re.search(r"^cpu MHz\s*:\s*([\d.]+)", host.cpuinfo, re.MULTILINE)
    return round(float(found[1])) if found else None


def _number(path: Path, divisor: int) -> int | None:
    text = _read(path)
    return int(text) // divisor if text.isdecimal() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
