"""Many small ONNX files through the compiler at once: each down to its plan, all kernels in one library, then run.

A file ends in one of three classes: "scheduled" (every kernel is of a schedule, or no kernel is needed), "generic"
(right, but with TVM's plain loops) and "refused" (an ImportFailed or CompileError with its hint). Anything else, a
wrong number or an exception of another kind, is "wrong".
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import plan_lab
from onnx.reference import ReferenceEvaluator

from tsm_edge.compile.backends import cpu
from tsm_edge.compile.frontend import networks
from tsm_edge.compile.lowering import lower
from tsm_edge.errors import CompileError, ImportFailed

Arrays = Mapping[str, np.ndarray]
#: labels of the kernels that only make a list of a map, because a step ends in a list of scores; and the operators
#: that are about nothing else
LISTING = ("reshape", "squeeze", "expand_dims", "flatten")
RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
BATCH = 64  # files whose kernels TVM compiles in one call


@dataclass(frozen=True)
class Step:
    """An ONNX file that is a step, and values to feed it.

    operator: what it is a case of. states: pairs of names. feeds: all inputs of each frame by name, states too.
    wanted: scores of the first frame that somebody has stored, or None.
    """

    name: str
    operator: str
    model: Any
    states: tuple[tuple[str, str], ...]
    feeds: tuple[Arrays, ...]
    wanted: np.ndarray | None = None


@dataclass(frozen=True)
class Verdict:
    """Where a file ended: `kind` is a class of this module; `reason` the hint, or what is wrong."""

    kind: str
    reason: str = ""


def judge(steps: Sequence[Step], folder: Path) -> dict[str, Verdict]:
    """Compile and run all steps; return the verdict on each by its name."""
    verdicts: dict[str, Verdict] = {}
    planned: dict[str, plan_lab.Planned] = {}
    for step in steps:
        found = attempt(lambda step=step: plan_of(step, folder))
        if isinstance(found, Verdict):
            verdicts[step.name] = found
        else:
            planned[step.name] = found
    objects: dict[str, bytes] = {}
    left = [step for step in steps if step.name in planned]
    symbols = {step.name: f"c{index}" for index, step in enumerate(left)}
    for start in range(0, len(left), BATCH):
        built, failed = build({symbols[s.name]: planned[s.name] for s in left[start : start + BATCH]})
        objects.update(built)
        verdicts.update({s.name: failed[symbols[s.name]] for s in left if symbols[s.name] in failed})
    library = plan_lab.link(objects, folder)
    for step in left:
        if step.name not in verdicts:
            found = attempt(lambda step=step: run(step, symbols[step.name], planned[step.name], library))
            verdicts[step.name] = found
    return verdicts


def attempt(work: Callable[[], Any]) -> Any:
    """What `work` returns, or the verdict on what it raised."""
    try:
        return work()
    except (ImportFailed, CompileError) as error:
        if not error.hint:
            what = re.sub(r"'\S*step\.onnx'", "the file", error.what)
            return Verdict("wrong", f"refused without a hint: {what}")
        return Verdict("refused", error.hint)
    except Exception as error:  # a file of a stranger must never end so
        text = str(error).strip().splitlines() or [""]
        return Verdict("wrong", f"{type(error).__name__}: {text[0][:120]}")


def plan_of(step: Step, folder: Path) -> plan_lab.Planned:
    """The file's way to a plan, as `tsm-edge compile` takes it."""
    path = folder / "step.onnx"
    onnx.save(step.model, str(path))
    network = networks.onnx_file(path, step.states)
    return plan_lab.plan_graph(lambda *values: [], network.load())


def build(parts: Mapping[str, plan_lab.Planned]) -> tuple[dict[str, bytes], dict[str, Verdict]]:
    """Kernels of many plans as one object; one by one where that fails, to know which it is."""
    functions: dict[str, Any] = {}
    failed: dict[str, Verdict] = {}
    for name, part in parts.items():
        made = attempt(lambda n=name, p=part: {f"{n}_{s}": make() for s, make in p.planned.kernels.items()})
        if isinstance(made, Verdict):
            failed[name] = made
        else:
            functions.update(made)
    if not functions:
        return {}, failed
    try:
        return {next(iter(parts)): cpu.build_object(functions, plan_lab.DEVICE)}, failed
    except Exception:
        objects: dict[str, bytes] = {}
        for name, part in parts.items():
            if name not in failed:
                made = attempt(lambda n=name, p=part: plan_lab.build(n, p))
                if isinstance(made, Verdict):
                    failed[name] = made
                else:
                    objects[name] = made
        return objects, failed


def run(step: Step, symbol: str, planned: plan_lab.Planned, library: ctypes.CDLL) -> Verdict:
    """Every frame from the given states, compared with onnxruntime and with what is stored."""
    signature = planned.graph.signature
    evaluate = evaluator(step.model)
    names = [signature.outputs[0].name, *(pair.output_name for pair in signature.states)]
    for index, feed in enumerate(step.feeds):
        memory = plan_lab.Memory(planned.planned.plan, planned.planned.weights)
        for pair, source in zip(signature.states, planned.graph.states, strict=True):
            memory.put(planned.planned.plan.tensor(source), feed[pair.input.name])
        got = plan_lab.run(symbol, planned, library, memory, feed[signature.inputs[0].name])
        for name, mine, right in zip(names, got, evaluate(names, feed)):
            if problem := difference(mine, right):
                return Verdict("wrong", f"frame {index}, {name}: {problem}")
        # some are stored with four digits only
        if index == 0 and step.wanted is not None and (problem := difference(got[0], step.wanted, 1e-3)):
            return Verdict("wrong", f"stored output: {problem}")
    return Verdict("generic" if generic_operators(step, planned) else "scheduled")


def evaluator(model: Any) -> Callable[[list[str], Arrays], list[np.ndarray]]:
    """The file run by onnxruntime, or by ONNX's own evaluator where that does not take it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # what an optimiser folds it may fold wrongly; a judge does what is written
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    except Exception:  # an operator or a version that it does not have
        slow = ReferenceEvaluator(model)
        return lambda names, feed: list(slow.run(names, dict(feed)))
    return lambda names, feed: list(session.run(names, dict(feed)))


def difference(mine: np.ndarray, right: np.ndarray, tolerance: float = 2e-5) -> str:
    """What is wrong, or nothing: equal to float32's rounding, relative to the largest finite value."""
    if mine.size != right.size:
        return f"{mine.size} values for {right.size}"
    a, b = mine.ravel().astype(np.float64), right.ravel().astype(np.float64)
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return "infinities or NaN differ"
    if not finite.any():
        return ""
    worst = np.abs(a[finite] - b[finite]).max() / max(1e-6, np.abs(b[finite]).max())
    return "" if worst <= tolerance else f"off by {worst:.1e} of the largest value"


def generic_operators(step: Step, planned: plan_lab.Planned) -> list[str]:
    """Operators that TVM's plain loops compute, without what only makes a list of scores of the result."""
    listing = () if step.operator in RESHAPES else LISTING
    generic = [s for s in planned.planned.steps if s.schedule == lower.GENERIC]
    return [s.label for s in generic if not s.label.startswith(listing)]
