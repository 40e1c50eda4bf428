"""Compiling the C runtime and linking a bundle's files, with the C cross-compiler of the `ziglang` wheel."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from tsm_edge import __version__
from tsm_edge.errors import CompileError, ExtraMissing, OutputError, ToolMissing, install_hint
from tsm_edge.files import atomic, temporaries
from tsm_edge.processes import children
from tsm_edge.target import EdgeTarget

from .code import Code

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
BLOB_S = """.section .rodata.{symbol},"a",%progbits
.balign 64
.globl {symbol}
.hidden {symbol}
{symbol}:
.incbin "{symbol}.bin"
"""
#: exported symbols of a library: the names of tsm_edge.h, and none that a code generator adds
EXPORTS = "{ global: tsm_*; local: *; };\n"
STACK_S = '.section .note.GNU-stack,"",%progbits\n'
VERSION = f'-DTSM_VERSION="{__version__}"'
MOST_COMPILERS = 4  # parallel processes; zig takes 60 to 200 MB each
#: sources that run only after the CPU check and gain from the target's own instructions
TUNED = ("image.c", "pixels.c", "resample.c")


@dataclass(frozen=True)
class Linked:
    """The native files of a bundle, by name."""

    library: str
    files: dict[str, bytes]


def link(code: Code, weights: bytes, plan_c: str, target: EdgeTarget, cc: Sequence[str] = ()) -> Linked:
    """Compile the runtime and link everything for a target, with the compiler `cc` or with `zig cc`.

    Runs in a temporary folder with relative names, so that no path of this machine reaches a file and equal inputs give
    equal bytes.
    """
    try:
        return _link(code, weights, plan_c, target, cc)
    except OSError as error:
        raise _cannot_link(error) from error


def _link(code: Code, weights: bytes, plan_c: str, target: EdgeTarget, cc: Sequence[str]) -> Linked:
    runtime = Path(str(resources.files("tsm_edge.compile"))) / "runtime"
    blobs = {"tsm_weights": weights, **code.blobs}
    with temporaries.scratch() as folder:
        library = [source for pattern in code.sources for source in sorted(runtime.glob(pattern))]
        command = [*sorted((runtime / "command").glob("*.c")), runtime / "cpu.c"]
        headers = [header for place in ("", "command/", "gpu/") for header in runtime.glob(f"{place}*.h")]
        for source in {*library, *command, *headers}:
            (folder / source.name).write_bytes(source.read_bytes())
        (folder / "plan.c").write_text(plan_c, encoding="utf-8")
        (folder / "exports.map").write_text(EXPORTS)
        (folder / "blobs.S").write_text("".join(BLOB_S.format(symbol=symbol) for symbol in blobs) + STACK_S)
        files = {f"{symbol}.bin": data for symbol, data in blobs.items()} | code.objects
        for file, data in files.items():
            (folder / file).write_bytes(data)
        compiler = Compiler(target, folder, cc)
        build = _static if target.link == "static" else _shared
        sources = [*(source.name for source in library), "plan.c", "blobs.S"]
        names = build(compiler, sources, [source.name for source in command], code)
        files = {name: (folder / name).read_bytes() for name in names}
        files |= for_programs(runtime)
    return Linked(names[0], files)


def for_programs(runtime: Path) -> dict[str, bytes]:
    """Files to build programs with: headers, package files of pkg-config and CMake, an example."""
    files = {path.name: path.read_bytes() for path in sorted((runtime / "package").iterdir()) if path.is_file()}
    for name in ("tsm_edge.pc", "tsm_edge-config.cmake"):
        files[name] = files[name].replace(b"@VERSION@", __version__.encode())
    return {"tsm_edge.h": (runtime / "tsm_edge.h").read_bytes(), **files}


def _shared(compiler: Compiler, library: list[str], command: list[str], code: Code) -> tuple[str, str]:
    objects = compiler.objects(library)
    compiler.run(
        "-shared",
        "-o",
        "libtsm.so",
        *objects,
        *code.objects,
        "-Wl,-soname,libtsm.so",
        # Calls between public functions bind to this library, also where the process has loaded another bundle before.
        "-Wl,-Bsymbolic",
        "-Wl,--version-script=exports.map",
        "-Wl,--gc-sections",
        "-Wl,--build-id=none",
        "-Wl,-z,now",
        *compiler.pages(),
        # A GPU's driver stays loaded for good, and so must the handler that waits for it at exit (gpu_process.c).
        *(["-Wl,-z,nodelete"] if "dl" in code.libraries else []),
        "-s",
        *compiler.libraries(code.libraries),
    )
    own = compiler.objects(command, VERSION)
    compiler.run(
        "-o",
        "tsm-edge-run",
        *own,
        *compiler.pages(),
        "-Wl,--gc-sections",
        "-Wl,--build-id=none",
        "-s",
        *compiler.libraries(("m", "dl", "pthread")),
    )
    return "libtsm.so", "tsm-edge-run"


def _static(compiler: Compiler, library: list[str], command: list[str], code: Code) -> tuple[str, str]:
    sources = [*library, *(source for source in command if source not in library)]
    objects = compiler.objects(sources, "-DTSM_STATIC", VERSION)
    archive = [name for source, name in zip(sources, objects, strict=True) if source in library]
    compiler.tool("ar", "rcsD", "libtsm.a", *archive, *code.objects)
    compiler.run(
        "-static",
        "-o",
        "tsm-edge-run",
        *objects,
        *code.objects,
        "-Wl,--gc-sections",
        "-Wl,--build-id=none",
        "-s",
        *compiler.libraries(code.libraries),
    )
    return "libtsm.a", "tsm-edge-run"


class Compiler:
    """The C compiler for one target in one folder: `zig cc`, or the command that the caller names."""

    def __init__(self, target: EdgeTarget, folder: Path, cc: Sequence[str] = ()) -> None:
        self.folder = folder
        self.target = target
        version = f".{target.glibc}" if target.libc == "glibc" else ""
        self.cc = list(cc) or [*zig(), "cc", "-target", f"{target.triple}{version}"]
        self._environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", **_zig_cache(folder)}

    def objects(self, sources: Sequence[str], *flags: str) -> list[str]:
        """Compile files in parallel; the objects' names in the same order."""
        with ThreadPoolExecutor(MOST_COMPILERS) as pool:
            try:
                return list(pool.map(lambda source: self.object(source, *flags), sources))
            except BaseException:  # the first failure, or Ctrl-C: the others are not needed any more
                pool.shutdown(wait=False, cancel_futures=True)
                children.end_all()
                raise

    def object(self, source: str, *flags: str) -> str:
        """Compile one file to an object and return its name."""
        name = f"{source}.o"
        tuned = [f"-mcpu={self._cpu()}"] if source in TUNED else []
        command = [*self.cc, "-c", source, "-o", name, *FLAGS, *tuned, *flags]
        # zig keeps every object in the user's cache; that of the weights would add their size there at every compile.
        self._command(command, **({"ZIG_LOCAL_CACHE_DIR": "cache"} if source == "blobs.S" else {}))
        return name

    def _cpu(self) -> str:
        """LLVM's name of the processor; zig spells it with underscores."""
        name = self.target.cpu.llvm_cpu
        return name.replace("-", "_") if "ziglang" in self.cc else name

    def libraries(self, names: Sequence[str]) -> list[str]:
        """Linker flags of libraries; Android's C library contains pthread."""
        return [f"-l{name}" for name in names if not (self.target.libc == "bionic" and name == "pthread")]

    def pages(self) -> list[str]:
        """Linker flags for the largest page: Android 15 has devices with 16 KiB."""
        return ["-Wl,-z,max-page-size=16384"] if self.target.libc == "bionic" else []

    def run(self, *arguments: str) -> None:
        """Run the C compiler."""
        self._command([*self.cc, *arguments])

    def tool(self, *arguments: str) -> None:
        """Run another of zig's tools."""
        self._command([*zig(), *arguments])

    def _command(self, command: list[str], **settings: str) -> None:
        environment = {**self._environment, **settings}
        try:
            done = children.run_text(command, cwd=self.folder, env=environment)
        except (FileNotFoundError, PermissionError) as error:
            raise ToolMissing(
                "The C compiler cannot be run.",
                found=f"{command[0]}: {error.strerror}",
                hint="look at the path given by --cc",
            ) from error
        if done.returncode:
            shown = command[1:] if command[0] == sys.executable else command
            raise CompileError(
                "The C compiler failed.",
                found=done.stderr.strip()[-1500:] or f"exit {done.returncode}",
                hint=f"command: {' '.join(shown)}",
            )


def _zig_cache(folder: Path) -> dict[str, str]:
    """Environment of zig's cache: the user's, or `folder` where that cannot be written."""
    if os.environ.get("ZIG_GLOBAL_CACHE_DIR"):
        return {}
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ.get("HOME", ""), ".cache")
    try:
        if os.path.isabs(base):
            atomic.check_folder(os.path.join(base, "zig"))
            return {}
    except OutputError:
        pass  # no home folder, as of a service, or one on a full or read-only disk
    return {"ZIG_GLOBAL_CACHE_DIR": str(folder / "zig-cache")}


def try_compiler(target: EdgeTarget, cc: Sequence[str] = ()) -> None:
    """Compile one line of C, so that a broken compiler, folder or cache fails before the minute of work."""
    try:
        with temporaries.scratch() as folder:
            (folder / "try.c").write_text("int tsm_try(void) { return 0; }\n", encoding="utf-8")
            Compiler(target, folder, cc).run("-c", "try.c", "-o", "try.o")
    except OSError as error:
        raise _cannot_link(error) from error


def _cannot_link(error: OSError) -> OutputError:
    return OutputError.of(
        "The bundle cannot be linked.", error, hint="the folder for temporary files is named by TMPDIR"
    )


def zig() -> list[str]:
    """The command of the `ziglang` wheel; ExtraMissing without it."""
    if importlib.util.find_spec("ziglang") is None:
        raise ExtraMissing(
            "The C cross-compiler is not installed.",
            found="no module 'ziglang'",
            allowed="the extra 'compile'",
            hint=install_hint("compile"),
        )
    return [sys.executable, "-m", "ziglang"]


def check_compiler(target: EdgeTarget, cc: Sequence[str]) -> None:
    """Refuse a compiler that is not there, and a target that `zig cc` has no C library for without one."""
    if cc and shutil.which(cc[0]) is None:
        raise ToolMissing(
            "The C compiler cannot be run.",
            found=f"{cc[0]}: no such program",
            hint="look at the path given by --cc",
        )
    if target.libc == "bionic" and not cc:
        raise ToolMissing(
            f"Target '{target.name}' is linked with the compiler of an Android NDK.",
            found="no --cc",
            allowed="the path of a compiler for aarch64-linux-android24 or newer, with its options",
            hint='--cc "$NDK/toolchains/llvm/prebuilt/linux-x86_64/bin/aarch64-linux-android24-clang"',
        )
