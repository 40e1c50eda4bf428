"""How busy the inner loops of the ARM kernels keep the multiply-add pipes, modelled by llvm-mca without a board.

    python benchmarks/mca.py [--targets raspberry-pi-4,...] [--models tsm-mobilenetv2,...] [--json] [--output FILE]

Every convolution kernel of a build is disassembled with LLVM's own tool, its innermost loops with vector
multiply-adds are cut out, and llvm-mca simulates each with the scheduling model of the target's core. Two shares of
the cycles of a round are reported:

* busy: cycles that the loop's vector arithmetic needs at the core's best rate. 1 means that the pipes which multiply
  and add never wait.
* fma: the part of it that multiply-adds have. The loop of a depthwise kernel holds its epilogue (bias, clamps), so
  this has a ceiling below 1 there; the loop of a reduction holds multiply-adds and loads alone.

A loop is a reduction (its arithmetic is multiply-adds), a filter (a depthwise row with its epilogue, or a reduction's
last step with it) or a transform of Winograd's convolution, which is additions with a few factors and moves most of
its numbers through memory. The bound is on reductions and filters, where a kernel does its multiply-adds; transforms
are reported and counted beside them.

The best rate is the lower one of the model, simulated with independent multiply-adds, and of the target's facts. A
simulation leaves out caches, address translation and the front end. LLVM's model of the Cortex-A53 completes in order:
a load behind a multiply-add waits 7 cycles for it, wherever it stands. The core does not do that, so its younger
sister's model, the Cortex-A55's, stands in, at the A53's rate; the fma share by the A53's own model is reported beside
it (`own_model`). Neither counts that the A53 reads its first cache 64 bits a cycle.

Kernels are compiled in as many processes as the machine has cores, and one call of llvm-mca takes the loops of a build.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import _common

from tsm_edge import models, target
from tsm_edge.errors import RuntimeFailure
from tsm_edge.target import EdgeTarget

MODELS = ("tsm-mobilenetv2", "tsm-resnet50", "tsm-resnet18")
TARGETS = ("raspberry-pi-3", "jetson-nano-cpu", "raspberry-pi-4", "raspberry-pi-5")
PACKAGE = "llvm-19"
BOUND = 0.85
REDUCTION, FILTER, TRANSFORM = "reduction", "filter", "transform"
STAND_IN = {"cortex-a53": "cortex-a55"}  # see above
ITERATIONS = 100
FEWEST = 8  # multiply-adds of a loop worth looking at: a tail of one vector is no inner loop
_LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S.*)$")
_SYMBOL = re.compile(r"^[0-9a-f]+ <(.+)>:$")
_BRANCH = re.compile(r"^(b\.\w+|b|cbn?z|tbn?z)\s.*?0x([0-9a-f]+)")
_VECTOR = re.compile(r"^(f\w+|mov|movi|add|orr|dup|ins|ext|zip\d|trn\d)\s+v\d+\.")


@dataclass(frozen=True)
class Loop:
    """An innermost loop: its instructions without the branch's address."""

    body: tuple[str, ...]

    @property
    def fmas(self) -> int:
        """Multiply-adds of four floats."""
        return sum(line.startswith("fmla") and ".4s" in line for line in self.body)

    @property
    def vector(self) -> int:
        """Vector arithmetic, multiply-adds among it."""
        return sum(bool(_VECTOR.match(line)) for line in self.body)


def tool(name: str) -> str | None:
    """Path of an LLVM tool that knows the cores; Debian adds the version to the name."""
    return shutil.which(f"{name}-19") or shutil.which(name)


def loops(obj: Path) -> dict[str, list[Loop]]:
    """The innermost loops of every function of an object that multiply vectors."""
    objdump = tool("llvm-objdump")
    assert objdump is not None
    text = subprocess.run(
        [objdump, "-d", "--no-show-raw-insn", obj], capture_output=True, text=True, check=True
    )
    functions: dict[str, list[tuple[int, str]]] = {}
    for line in text.stdout.splitlines():
        symbol, code = _SYMBOL.match(line), _LINE.match(line)
        if symbol:
            functions[symbol[1]] = []
        elif code:
            last = next(reversed(functions))
            functions[last].append((int(code[1], 16), " ".join(code[2].split("//")[0].split())))
    return {
        name: [loop for loop in innermost(code) if loop.fmas >= FEWEST] for name, code in functions.items()
    }


def innermost(code: list[tuple[int, str]]) -> list[Loop]:
    """Spans from a backward branch's goal to the branch that hold no other such span."""
    spans = []
    for address, line in code:
        branch = _BRANCH.match(line)
        if branch and int(branch[2], 16) < address:
            spans.append((int(branch[2], 16), address))
    inner = [a for a in spans if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in spans)]
    return [
        Loop(tuple(re.sub(r"0x[0-9a-f]+ <.*>", "0", line) for at, line in code if start <= at <= stop))
        for start, stop in inner
    ]


def simulate(bodies: Iterable[tuple[str, ...]], core: str) -> dict[tuple[str, ...], float]:
    """Cycles of one round of every loop on LLVM's model of a core; branches inside are taken as not taken."""
    mca = tool("llvm-mca")
    assert mca is not None
    different = list(dict.fromkeys(bodies))
    lines: list[str] = []
    for index, body in enumerate(different):
        code = [line for line in body if not _BRANCH.match(line + " 0x0")]
        lines += [f"# LLVM-MCA-BEGIN {index}", *code, "# LLVM-MCA-END"]
    command = [
        mca,
        "-mtriple=aarch64",
        f"-mcpu={core}",
        f"-iterations={ITERATIONS}",
        "-resource-pressure=false",
        "-instruction-info=false",
        "-",
    ]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=False)
    found = re.findall(r"Total Cycles:\s+(\d+)", done.stdout)
    if done.returncode or len(found) != len(different):
        raise RuntimeFailure("llvm-mca did not take a loop.", found=done.stderr.strip()[-600:])
    return {body: int(cycles) / ITERATIONS for body, cycles in zip(different, found, strict=True)}


@cache
def cycles_per_fma(core: str) -> float:
    """The model's best rate: 24 multiply-adds that do not wait for each other."""
    body = tuple(f"fmla v{register}.4s, v30.4s, v31.s[0]" for register in range(24))
    return round(simulate([body], core)[body] / len(body), 2)


def best_rate(device: EdgeTarget) -> float:
    """Cycles of one vector multiply-add at best: the model's or the facts' figure, whichever is slower."""
    cpu = device.cpu
    core = STAND_IN.get(cpu.llvm_cpu, cpu.llvm_cpu)
    return max(cycles_per_fma(core), 2 * cpu.simd_lanes / cpu.flops_per_cycle)


def shares(found: Sequence[Loop], device: EdgeTarget) -> list[dict[str, float]]:
    """Figures of loops of one target."""
    own = device.cpu.llvm_cpu
    core, rate = STAND_IN.get(own, own), best_rate(device)
    bodies = [loop.body for loop in found]
    simulated = simulate(bodies, core)
    by_own = simulate(bodies, own) if own in STAND_IN else {}
    rows = []
    for loop in found:
        cycles = max(simulated[loop.body], loop.vector * rate)
        figures = {
            "instructions": len(loop.body),
            "fmas": loop.fmas,
            "cycles": round(cycles, 2),
            "busy": round(loop.vector * rate / cycles, 3),
            "fma": round(loop.fmas * rate / cycles, 3),
        }
        if by_own:
            figures["own_model"] = round(loop.fmas * cycles_per_fma(own) / by_own[loop.body], 3)
        rows.append(figures)
    return rows


def kind(loop: Loop, schedule: str) -> str:
    """What a loop of a schedule does."""
    if loop.fmas >= 0.98 * loop.vector:
        return REDUCTION
    return TRANSFORM if schedule == "winograd_cpu" else FILTER


def kernels(model: str, device: EdgeTarget) -> dict[str, Any]:
    """The convolution kernels of a model's build: symbol -> step, one for each that differs."""
    from tsm_edge.compile import passes
    from tsm_edge.compile.backends import cpu
    from tsm_edge.compile.frontend import networks
    from tsm_edge.compile.ir.ops import Conv, InvertedResidual
    from tsm_edge.compile.lowering import lower

    graph = networks.zoo(models.load(model)).load()
    passes.run(graph)
    lower.prepare(graph, device.family, cpu.machine(device))
    steps = lower.lower(graph, device.family, cpu.machine(device)).steps
    unique = {step.key: step for step in steps if isinstance(step.key[1], (Conv, InvertedResidual))}
    return {f"k{index}": step for index, step in enumerate(unique.values())}


def build(model: str, name: str, obj: Path) -> list[dict[str, Any]]:
    """Compile the convolution kernels of a model for a target and simulate their loops."""
    from tsm_edge.compile.backends import cpu

    _common.note(f"{model} for {name}")
    device = target.load(name)
    steps = kernels(model, device)
    obj.write_bytes(cpu.build_object({symbol: step.build() for symbol, step in steps.items()}, device))
    found = loops(obj)
    inner = [(step, loop) for symbol, step in steps.items() for loop in found[symbol]]
    figures = shares([loop for _, loop in inner], device)
    return [
        {
            "target": name,
            "model": model,
            "kernel": step.label,
            "schedule": step.schedule,
            "kind": kind(loop, step.schedule),
            **share,
        }
        for (step, loop), share in zip(inner, figures, strict=True)
    ]


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compile the kernels of every build and simulate their loops."""
    missing = [name for name in ("llvm-mca", "llvm-objdump") if tool(name) is None]
    if missing:
        return {"skipped": f"{missing[0]} is not installed: apt install {PACKAGE}"}
    names = options.targets.split(",")
    jobs = [
        (model, name, folder / f"{model}-{name}.o") for name in names for model in options.models.split(",")
    ]
    # A fresh process for each: TVM's and PyTorch's threads do not survive a fork.
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        rows = [row for part in pool.map(build, *zip(*jobs, strict=True)) for row in part]
    devices = [target.load(name) for name in options.targets.split(",")]
    return {
        "tool": first_line(tool("llvm-mca")),
        "cores": [
            {
                "target": device.name,
                "cpu": device.cpu.llvm_cpu,
                "model": STAND_IN.get(device.cpu.llvm_cpu, device.cpu.llvm_cpu),
                "cycles_per_fma": best_rate(device),
                **summary([row for row in rows if row["target"] == device.name]),
            }
            for device in devices
        ],
        "bound": BOUND,
        "below_bound": sum(row["busy"] < BOUND for row in rows if row["kind"] != TRANSFORM),
        "loops": tally(rows),
    }


def tally(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that differ, each with how often it is there."""
    counts = Counter(tuple(row.items()) for row in rows)
    return [{**dict(row), "count": count} for row, count in counts.items()]


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Of the loops of one core: how many of each kind, the least shares, and how many are below the bound."""
    inner = [row for row in rows if row["kind"] != TRANSFORM]
    transforms = [row for row in rows if row["kind"] == TRANSFORM]
    return {
        "loops": len(inner),
        "least_busy": min(row["busy"] for row in inner),
        "least_fma_of_a_reduction": min(row["fma"] for row in inner if row["kind"] == REDUCTION),
        "loops_below_bound": sum(row["busy"] < BOUND for row in inner),
        "transforms": len(transforms),
        "transforms_below_bound": sum(row["busy"] < BOUND for row in transforms),
    }


def first_line(program: str | None) -> str:
    """The version that a program gives."""
    done = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    return next(line.strip() for line in done.stdout.splitlines() if "version" in line)


def show(document: dict[str, Any]) -> None:
    """Print one line per loop, the worst first."""
    header = ("target", "model", "kernel", "schedule", "kind", "count", "fmas", "cycles", "busy", "fma")
    rows = sorted(document["loops"], key=lambda row: row["busy"])
    _common.rows(header, [[row[name] for name in header] for row in rows])
    for core in document["cores"]:
        print(
            f"{core['cpu']}: {core['loops_below_bound']} of {core['loops']} loops below {BOUND:.0%}, "
            f"and {core['transforms_below_bound']} of {core['transforms']} transforms"
        )
    print(document["tool"])


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--targets", default=",".join(TARGETS), metavar="A,B")
    parser.add_argument("--models", default=",".join(MODELS), metavar="A,B")
    _common.main(parser.parse_args(), measure, show)
