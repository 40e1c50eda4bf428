"""A folder with an AArch64 Python and the peers' wheels for qemu-user, filled by apt and pip; nothing is installed.

apt runs with lists and a state of its own in that folder, so the machine's own packages stay as they are.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from tsm_edge.errors import RuntimeFailure

PYTHON = "3.11"
PACKAGES = (
    f"python{PYTHON}-minimal",
    f"libpython{PYTHON}-minimal",
    f"libpython{PYTHON}-stdlib",
    *("libc6", "libgcc-s1", "libstdc++6", "libgomp1", "zlib1g", "libexpat1", "libffi8", "libbz2-1.0"),
    *("liblzma5", "libssl3", "libuuid1", "libcrypt1"),
)
WHEELS = (
    "numpy==2.4.6",
    "ncnn==1.0.20261020",
    "onnxruntime==1.32.0",
    "ai-edge-litert==2.3.0",
    "flatbuffers==25.12.19",
)
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64")
ARMV8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
#: by the emulator's core: its number and what it can do beyond ARMV8
PARTS = {
    "cortex-a72": ("0xd08", ""),
    "cortex-a76": ("0xd0b", " atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"),
}
#: peers read this file: on that of an x86 machine ONNX Runtime crashes, and on that of a newer core than the emulator's
#: they execute instructions that it does not have
CPUINFO = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: {features}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: {part}
CPU revision\t: 1
"""
MARK = "complete"


def made(folder: Path) -> Path:
    """The sysroot in `folder`, filled if it is not there; RuntimeFailure where a registry does not have it."""
    root = folder / "sysroot"
    if not (root / MARK).is_file():
        root.mkdir(parents=True, exist_ok=True)
        _packages(folder, root)
        _wheels(folder, root / "site")
        (root / "proc").mkdir(exist_ok=True)
        (root / MARK).write_text("")
    return root


def command(root: Path, cpu: str, plugin: str) -> list[str]:
    """What starts the sysroot's Python on a core, whose facts it puts where the peers look for them."""
    part, more = PARTS.get(cpu, PARTS["cortex-a76"])
    (root / "proc/cpuinfo").write_text(CPUINFO.format(part=part, features=ARMV8 + more))
    libraries = ":".join(str(root / each) for each in ("usr/lib/aarch64-linux-gnu", "lib/aarch64-linux-gnu"))
    settings = {
        "LD_LIBRARY_PATH": libraries,
        "PYTHONHOME": str(root / "usr"),
        "PYTHONPATH": str(root / "site"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    variables = [part for name, value in settings.items() for part in ("-E", f"{name}={value}")]
    python = str(root / f"usr/bin/python{PYTHON}")
    return ["qemu-aarch64", "-cpu", cpu, "-L", str(root), *variables, "-plugin", plugin, python, "-S"]


def _packages(folder: Path, root: Path) -> None:
    apt = folder / "apt"
    for part in ("lists/partial", "cache/archives/partial", "state"):
        (apt / part).mkdir(parents=True, exist_ok=True)
    (apt / "state/status").touch()
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "Dir::State": f"{apt}/state",
        "Dir::State::Lists": f"{apt}/lists",
        "Dir::State::status": f"{apt}/state/status",
        "Dir::Cache": f"{apt}/cache",
        "APT::Sandbox::User": "root",
    }
    ask = ["apt-get", "-q", *(part for key, value in options.items() for part in ("-o", f"{key}={value}"))]
    _done([*ask, "update"], apt)
    _done([*ask, "download", *PACKAGES], apt)
    for package in sorted(apt.glob("*.deb")):
        _done(["dpkg-deb", "-x", str(package), str(root)], apt)


def _wheels(folder: Path, site: Path) -> None:
    wheels = folder / "wheels"
    where = [part for name in PLATFORMS for part in ("--platform", name)]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    _done([*pip, *where, "--python-version", PYTHON, "--dest", str(wheels), *WHEELS], folder)
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)


def _done(words: list[str], folder: Path) -> None:
    """Run a command, or say what it said."""
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise RuntimeFailure(
            f"{words[0]} is missing: the peers' Python comes as Debian packages.",
            hint="run it on Debian or Ubuntu, or count ours alone: --runtimes tsm-edge",
        ) from error
    if done.returncode:
        raise RuntimeFailure(f"{words[0]} failed.", found=(done.stderr or done.stdout).strip()[-600:])
