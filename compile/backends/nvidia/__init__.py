"""NVIDIA's compilers from their wheels: CUDA C to PTX (NVRTC) and PTX to registers (`ptxas`).

Neither needs a GPU, a driver or a toolkit. The wheels are those of CUDA 12.6: the last line of releases that serves
compute capability 5.3 to 7.2, and old enough that nothing newer than a board's driver slips into the PTX.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NoReturn

from tsm_edge.errors import CompileError, ExtraMissing, install_hint
from tsm_edge.files import temporaries
from tsm_edge.processes import children

from ...ir.plan import Resources

NVRTC_WHEEL, NVCC_WHEEL = "nvidia-cuda-nvrtc-cu12", "nvidia-cuda-nvcc-cu12"


def wheel_file(wheel: str, name: str) -> Path:
    """The file called `name` of an installed wheel; ExtraMissing without it."""
    try:
        files = distribution(wheel).files or []
    except PackageNotFoundError:
        _missing(wheel)
    for file in files:
        if file.name == name:
            path = Path(str(file.locate()))
            if path.is_file():
                return path
    _missing(f"{name} of {wheel}")


def _missing(what: str) -> NoReturn:
    raise ExtraMissing(
        "NVIDIA's compiler is not installed.",
        found=f"no {what}",
        allowed="the extra 'cuda'",
        hint=install_hint("cuda"),
    )


ADDR_NO_RANDOMIZE = 0x0040000  # of <sys/personality.h>


def to_ptx(source: str, compute_capability: int) -> str:
    """Compile CUDA C for a compute capability (53 is 5.3); CompileError with the compiler's log."""
    libraries = [wheel_file(NVRTC_WHEEL, name) for name in ("libnvrtc.so.12", "libnvrtc-builtins.so.12.6")]
    program = Path(__file__).with_name("_nvrtc.py")
    with temporaries.scratch() as folder:
        done = children.run(
            [sys.executable, "-I", str(program), *map(str, libraries), str(compute_capability)],
            cwd=folder,
            env={},
            input=source.encode(),
            preexec_fn=_fixed_addresses,
        )
    if done.returncode:
        log = done.stderr.decode(errors="replace").strip()[-1500:]
        raise CompileError("The CUDA compiler failed.", found=log or f"exit {done.returncode}")
    return str(done.stdout, "utf-8")


def _fixed_addresses() -> None:
    """Load the next program where it was loaded the last time; a container that forbids it changes nothing else."""
    ctypes.CDLL(None).personality(ctypes.c_ulong(ADDR_NO_RANDOMIZE))


def lowered_isa(ptx: str, version: str) -> str:
    """PTX with its ISA header set to `version`; the assembler then refuses anything newer than that.

    The one newer thing our kernels meet is a hint about unused bytes of a vector load (ISA 8.3), which is dropped.
    """
    ptx = re.sub(r'^\s*\.pragma "used_bytes_mask[^"]*";\n', "", ptx, flags=re.MULTILINE)
    text, count = re.subn(r"^\.version \d+\.\d+$", f".version {version}", ptx, count=1, flags=re.MULTILINE)
    if not count:
        raise CompileError("The CUDA compiler wrote PTX without a version.", found=ptx[:80])
    return text


BODY = re.compile(r"^\{$.*?^\}$", re.MULTILINE | re.DOTALL)
DECLARED = re.compile(r"^(\s*\.reg \.\w+\s+%)([a-z]+)<\d+>;$", re.MULTILINE)


def renumbered(ptx: str) -> str:
    """PTX whose virtual registers are numbered in the order of their first use.

    NVRTC's own numbers wander by a few that it never uses where its addresses do, and a bundle's bytes must not.
    """

    def body(match: re.Match[str]) -> str:
        text = match[0]
        numbers: dict[str, dict[str, int]] = {prefix: {} for _, prefix in DECLARED.findall(text)}
        if not numbers:
            return text

        def number(register: re.Match[str]) -> str:
            seen = numbers[register[1]]
            return f"%{register[1]}{seen.setdefault(register[2], len(seen) + 1)}"

        text = re.sub(rf"%({'|'.join(sorted(numbers))})(\d+)\b", number, text)
        return DECLARED.sub(lambda found: f"{found[1]}{found[2]}<{len(numbers[found[2]]) + 1}>;", text)

    return BODY.sub(body, ptx)


def assemble(ptx: str, compute_capability: int) -> dict[str, Resources]:
    """Assemble PTX with `ptxas` and return what each kernel takes; CompileError with its message when it refuses."""
    program = wheel_file(NVCC_WHEEL, "ptxas")
    if not os.access(program, os.X_OK):
        _missing(f"executable {program.name}")
    with temporaries.scratch() as folder:
        (folder / "kernels.ptx").write_text(ptx)
        command = [str(program), f"-arch=sm_{compute_capability}", "-v", "kernels.ptx", "-o", "kernels.cubin"]
        done = children.run_text(command, cwd=folder)
    if done.returncode:
        raise CompileError("The PTX assembler failed.", found=(done.stderr or done.stdout).strip()[-1500:])
    return parse_report(done.stderr + done.stdout)


REPORT = re.compile(
    r"Compiling entry function '(?P<kernel>\w+)' for '\w+'\n"
    r".*?Function properties for \w+\n"
    r"\s*(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads\n"
    r".*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)


def parse_report(text: str) -> dict[str, Resources]:
    """What `ptxas -v` printed, by kernel."""
    found = {}
    for match in REPORT.finditer(text):
        shared = re.search(r"(\d+) bytes smem", match["rest"])
        found[match["kernel"]] = Resources(
            int(match["registers"]),
            int(shared[1]) if shared else 0,
            int(match["stores"]),
            int(match["loads"]),
            int(match["stack"]),
        )
    return found
