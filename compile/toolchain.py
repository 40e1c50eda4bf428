"""Objects and the C runtime to the files of a bundle, with the C cross-compiler of the `ziglang` wheel."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from tsm_edge import __version__
from tsm_edge.errors import CompileError, ExtraMissing, OutputError
from tsm_edge.target import EdgeTarget

FLAGS = (
    "-std=c11",
    "-O2",
    "-g0",
    "-fPIC",
    "-fvisibility=hidden",
    "-ffunction-sections",
    "-fno-ident",
    "-D_GNU_SOURCE",
)
WEIGHTS_S = """.section .rodata.tsm_weights,"a",%progbits
.balign 64
.globl tsm_weights
.hidden tsm_weights
tsm_weights:
.incbin "weights.bin"
.section .note.GNU-stack,"",%progbits
"""
VERSION = f'-DTSM_VERSION="{__version__}"'
#: sources that run only after the CPU check and gain from the target's own instructions
TUNED = ("image.c", "resample.c")


@dataclass(frozen=True)
class Linked:
    """The native files of a bundle, by name."""

    library: str
    files: dict[str, bytes]


def link(kernels: bytes, weights: bytes, plan_c: str, target: EdgeTarget) -> Linked:
    """Compile the runtime and link everything for a target.

    Runs in a temporary folder with relative names, so that no path of this machine reaches a file and equal inputs give
    equal bytes.
    """
    try:
        return _link(kernels, weights, plan_c, target)
    except OSError as error:
        raise OutputError(
            "The bundle cannot be linked.",
            found=error.strerror or error,
            hint="look at the free space of the temporary folder, or set TMPDIR",
        ) from error


def _link(kernels: bytes, weights: bytes, plan_c: str, target: EdgeTarget) -> Linked:
    runtime = Path(str(resources.files("tsm_edge.compile"))) / "runtime"
    with tempfile.TemporaryDirectory(prefix="tsm-edge-") as name:
        folder = Path(name)
        for source in [*runtime.glob("*.[ch]"), *(runtime / "command").glob("*.[ch]")]:
            (folder / source.name).write_bytes(source.read_bytes())
        (folder / "plan.c").write_text(plan_c, encoding="utf-8")
        (folder / "weights.S").write_text(WEIGHTS_S)
        (folder / "weights.bin").write_bytes(weights)
        (folder / "kernels.o").write_bytes(kernels)
        library = [*sorted(source.name for source in runtime.glob("*.c")), "plan.c"]
        command = [*sorted(source.name for source in (runtime / "command").glob("*.c")), "cpu.c"]
        compiler = Compiler(target, folder)
        build = _static if target.link == "static" else _shared
        names = build(compiler, library, command)
        files = {name: (folder / name).read_bytes() for name in names}
        files["tsm_edge.h"] = (runtime / "tsm_edge.h").read_bytes()
    return Linked(names[0], files)


def _shared(compiler: Compiler, library: list[str], command: list[str]) -> tuple[str, str]:
    objects = [compiler.object(source) for source in [*library, "weights.S"]]
    compiler.run(
        "-shared",
        "-o",
        "libtsm.so",
        *objects,
        "kernels.o",
        "-Wl,-soname,libtsm.so",
        "-Wl,--gc-sections",
        "-Wl,--build-id=none",
        "-Wl,-z,now",
        "-s",
        "-lm",
        "-lpthread",
    )
    own = [compiler.object(source, VERSION) for source in command]
    compiler.run(
        "-o",
        "tsm-edge-run",
        *own,
        "-Wl,--gc-sections",
        "-Wl,--build-id=none",
        "-s",
        "-lm",
        "-ldl",
        "-lpthread",
    )
    return "libtsm.so", "tsm-edge-run"


def _static(compiler: Compiler, library: list[str], command: list[str]) -> tuple[str, str]:
    sources = [*library, "weights.S", *(source for source in command if source not in library)]
    objects = [compiler.object(source, "-DTSM_STATIC", VERSION) for source in sources]
    archive = [
        name
        for source, name in zip(sources, objects, strict=True)
        if source in library or source == "weights.S"
    ]
    compiler.tool("ar", "rcsD", "libtsm.a", *archive, "kernels.o")
    compiler.run(
        "-static",
        "-o",
        "tsm-edge-run",
        *objects,
        "kernels.o",
        "-Wl,--gc-sections",
        "-Wl,--build-id=none",
        "-s",
        "-lm",
        "-lpthread",
    )
    return "libtsm.a", "tsm-edge-run"


class Compiler:
    """`zig cc` for one target in one folder."""

    def __init__(self, target: EdgeTarget, folder: Path) -> None:
        if importlib.util.find_spec("ziglang") is None:
            raise ExtraMissing(
                "The C cross-compiler is not installed.",
                found="no module 'ziglang'",
                allowed="the extra 'compile'",
                hint='pip install "tsm-edge[compile]"',
            )
        self.folder = folder
        self.target = target
        version = f".{target.glibc}" if target.libc == "glibc" else ""
        self.triple = f"{target.triple}{version}"

    def object(self, source: str, *flags: str) -> str:
        """Compile one file to an object and return its name."""
        name = f"{source}.o"
        tuned = [f"-mcpu={zig_cpu(self.target)}"] if source in TUNED else []
        self.run("-c", source, "-o", name, *FLAGS, *tuned, *flags)
        return name

    def run(self, *arguments: str) -> None:
        self.tool("cc", "-target", self.triple, *arguments)

    def tool(self, *arguments: str) -> None:
        """Run one zig command; CompileError with its own message when it fails."""
        command = [sys.executable, "-m", "ziglang", *arguments]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "0"}
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, env=environment, check=False
        )
        if done.returncode:
            raise CompileError(
                "The C cross-compiler failed.",
                found=done.stderr.strip()[-1500:] or f"exit {done.returncode}",
                hint=f"command: zig {' '.join(arguments)}",
            )


def zig_cpu(target: EdgeTarget) -> str:
    """Zig spells LLVM's CPU names with underscores."""
    return target.cpu.llvm_cpu.replace("-", "_")
