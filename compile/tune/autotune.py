"""Autotuning: the fastest of each operator's few dozen candidates on this machine, kept as records (JSON).

The cost models need no search; tuning finds what they miss. A record maps the text of an operator to a schedule with
parameters, so records serve every network that shares the shapes; names that this version does not have are ignored.
Records carry the target's name and facts and are refused on another machine.
"""

from __future__ import annotations

import ctypes
import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from tsm_edge.errors import UnsupportedTarget, UsageError
from tsm_edge.files import atomic, strict_json, temporaries
from tsm_edge.target import EdgeTarget

from ..ir.graph import Graph
from ..ir.ops import Op, text
from ..ir.plan import ALIGN
from ..link.toolchain import Compiler
from ..lowering import lower
from ..schedules import registry
from ..schedules.rule import Kernel

FORMAT = 1
MAX_BYTES = 16 << 20  # of a file of records
ROUNDS = 7  # runs of every candidate, interleaved
CLEARED = 4 << 20  # bytes written between two runs, which evict the weights from L2 as a frame does


@dataclass(frozen=True)
class Records:
    """The result of tuning. facts: of the target it ran on; choices: operator -> name of `registry.choices`."""

    target: str
    facts: Mapping[str, object]
    choices: Mapping[str, str]

    @classmethod
    def load(cls, path: Path, target: EdgeTarget) -> Records:
        """Read a file of `save`; UsageError where it is not one, or not for this target."""
        try:
            records = cls.parse(strict_json.read(path, MAX_BYTES))
        except (OSError, ValueError) as error:
            raise UsageError(
                f"'{path}' holds no tuning records.", found=error, hint="make one with --autotune FILE"
            ) from error
        if (records.target, records.facts) != (target.name, facts_of(target)):
            raise UsageError(
                f"The tuning records of '{path}' are not for this target.",
                found=f"{records.target}, {records.facts.get('llvm_cpu')}",
                allowed=f"{target.name}, {target.cpu.llvm_cpu}, with the same caches and cores",
            )
        return records

    @classmethod
    def parse(cls, document: object) -> Records:
        """Read what `save` wrote; ValueError says what is wrong with it."""
        if not isinstance(document, dict):
            raise ValueError("no JSON object")
        if document.get("format") != FORMAT:
            raise ValueError(f"format {document.get('format')}, not {FORMAT}")
        for name, kind in (("target", str), ("facts", dict), ("choices", dict)):
            if not isinstance(document.get(name), kind):
                raise ValueError(f"'{name}' is missing or of a wrong type")
        if not all(isinstance(choice, str) for choice in document["choices"].values()):
            raise ValueError("a choice that is no name")
        return cls(document["target"], document["facts"], document["choices"])

    def save(self, path: Path) -> None:
        """Write the records; an older file stays whole until the new one is complete."""
        document = {"format": FORMAT, "target": self.target, "facts": self.facts, "choices": self.choices}
        atomic.write_text(path, json.dumps(document, indent=1, sort_keys=True) + "\n")


@dataclass(frozen=True)
class Tuning:
    """Where a build reads and writes records. follow: a file to read; write: a file for those and new ones."""

    follow: Path | None = None
    write: Path | None = None
    report: Callable[[str], None] = lambda text: None

    def check(self, target: EdgeTarget) -> None:
        """Refuse an unusable file or target before minutes are spent on measuring."""
        if self.follow is not None:
            Records.load(self.follow, target)
        if self.write is None:
            return
        check_here(target)
        atomic.check_file(self.write)

    def choices(
        self, graph: Graph, target: EdgeTarget, backend: ModuleType, precision: str = "fp32"
    ) -> Mapping[str, str]:
        """Operator -> name of `registry.choices`; with `write` set, measures and writes the file."""
        known = Records.load(self.follow, target).choices if self.follow else {}
        if self.write is None:
            return known
        found = search(graph, target, backend, self.report, precision)
        records = Records(found.target, found.facts, {**known, **found.choices})
        records.save(self.write)
        return records.choices


NO_TUNING = Tuning()


def facts_of(target: EdgeTarget) -> dict[str, object]:
    """The facts of a target as JSON would give them back."""
    facts: dict[str, object] = json.loads(json.dumps(asdict(target.cpu)))
    return facts


def check_here(target: EdgeTarget) -> None:
    """UnsupportedTarget where a target is not this machine."""
    if target.name != "local":
        raise UnsupportedTarget(
            "--autotune measures on this machine.", found=f"target '{target.name}'", allowed="target 'local'"
        )


def search(
    graph: Graph,
    target: EdgeTarget,
    backend: ModuleType,
    report: Callable[[str], None] = lambda text: None,
    precision: str = "fp32",
) -> Records:
    """Time the candidates of every operator of a prepared graph, alone, on one thread.

    report: called with a line for each operator. UnsupportedTarget where this machine is not the target.
    """
    check_here(target)
    machine = backend.machine(target, precision)
    chosen: dict[str, str] = {}
    for node, op in lower.operators(graph):
        if op is None or text(op) in chosen:
            continue
        names = registry.choices(lower.schedules_of(target.family, op), op, machine)
        if len(names) < 2:
            continue
        weights = node.weights
        kernels = [selection.kernel(op, machine, *weights) for selection in names.values()]
        times = measure(kernels, target, backend)
        best = min(range(len(times)), key=times.__getitem__)
        chosen[text(op)] = list(names)[best]
        report(describe(op, kernels, times, best))
    return Records(target.name, facts_of(target), chosen)


def describe(op: Op, kernels: list[Kernel], times: list[float], best: int) -> str:
    """One operator's result as a line of text; candidate 0 is the cost model's choice."""
    ratio = times[best] / times[0]
    return (
        f"{op.label}: {kernels[best].rule} {kernels[best].note}, {times[best] * 1e6:.0f} us, "
        f"{ratio:.2f} of the model's choice, {len(times)} tried"
    )


def measure(kernels: list[Kernel], target: EdgeTarget, backend: ModuleType) -> list[float]:
    """Median seconds of each kernel, runs interleaved, the L2 cache cleared before each."""
    functions = {f"k{index}": kernel.build() for index, kernel in enumerate(kernels)}
    with temporaries.scratch() as folder:
        (folder / "kernels.o").write_bytes(backend.build_object(functions, target))
        Compiler(target, folder).run("-shared", "-o", "kernels.so", "kernels.o", "-lm")
        library = ctypes.CDLL(str(folder / "kernels.so"))
        calls = [_call(library[f"k{index}"], kernel) for index, kernel in enumerate(kernels)]
        dirt = np.zeros(CLEARED, np.uint8)
        seconds: list[list[float]] = [[] for _ in kernels]
        for _ in range(ROUNDS):
            for own, call in zip(seconds, calls, strict=True):
                dirt += 1
                start = time.perf_counter()
                call()
                own.append(time.perf_counter() - start)
    return [statistics.median(own) for own in seconds]


def _call(function: ctypes._NamedFuncPointer, kernel: Kernel) -> Callable[[], None]:
    """A call of the compiled kernel over all its items, on aligned random arguments of its own."""
    rng = np.random.default_rng(0)
    arrays = []
    for name, pointer in kernel.pointers.items():
        space = np.zeros(pointer.bytes + ALIGN, np.uint8)
        array = space[-space.ctypes.data % ALIGN :][: pointer.bytes].view(pointer.dtype.numpy)
        array[:] = (
            kernel.constants[name] if name in kernel.constants else rng.random(pointer.size, np.float32)
        )
        arrays.append(array)
    function.restype = None
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]

    def call(_keep: list[np.ndarray] = arrays) -> None:
        function(*pointers, ctypes.c_int32(0), ctypes.c_int32(kernel.items))

    return call
