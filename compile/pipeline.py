"""The compiler's table of contents: a network and a target in, a bundle out, in named phases."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tsm_edge import __version__, bundle
from tsm_edge.bundle.manifest import FLOAT_LAYERS, Manifest, ModelInfo, PlanInfo, TargetInfo
from tsm_edge.bundle.scales import NAME as SCALES
from tsm_edge.decision import DecisionRule
from tsm_edge.errors import CompileError, EdgeError
from tsm_edge.files import atomic
from tsm_edge.runtime import abi
from tsm_edge.signature import Preprocess
from tsm_edge.target import EdgeTarget

from . import backends, passes
from .ir.dtype import PRECISIONS
from .ir.graph import Graph
from .link import toolchain
from .link.code import Code, PlanContext
from .lowering import lower, mixed, planner
from .lowering.latency_cpu import FrameTime
from .lowering.latency_gpu import Modelled
from .lowering.mixed import with_threads
from .lowering.planner import Planned
from .precision import CHOICE, Choice, chosen, precision_of
from .quantize import Ranges, check_layers, quantise, rewrite, settled
from .quantize.demands import Kept, check_clip, check_exclude, check_ranges, floats_beside_bytes
from .tune.autotune import NO_TUNING, Tuning

if TYPE_CHECKING:
    from tvm import tirx

RangesOf = Callable[[Graph, Kept], Ranges]
Progress = Callable[[str, float], None]  # (phase, seconds) after each phase


@dataclass(frozen=True)
class Network:
    """What is compiled: how to import it, and what the manifest says of it."""

    info: ModelInfo
    load: Callable[[], Graph]
    labels: tuple[str, ...]
    preprocess: Preprocess | None
    scores: str = "logits"  # one of tsm_edge.decision.SCORES
    notes: tuple[str, ...] = ()  # what was assumed, a line each, to be said before anything is compiled
    chosen: DecisionRule | None = None  # the decision over time that was chosen for these weights
    given: RangesOf | None = None  # ranges that a quantised file gives, of the fused graph

    def with_float_layers(self, layers: Sequence[str], dtype: str) -> Network:
        """The network with a note of the layers that compute in floats beside 8 bits."""
        noted = {**self.info.parameters, FLOAT_LAYERS: f"{dtype}: {', '.join(dict.fromkeys(layers))}"}
        return replace(self, info=replace(self.info, parameters=noted)) if layers else self

    @property
    def decision(self) -> DecisionRule:
        """How its scores are decided on over time; a rule is in frames, and a window answers once a stride."""
        rule, stride = self.chosen or DecisionRule.for_labels(self.labels), self.info.window_stride
        return replace(rule, window=-(-rule.window // stride), agree=-(-rule.agree // stride))

    def about(self, graph: Graph, target: EdgeTarget) -> PlanContext:
        """What a plan says of itself besides its operations."""
        info, signature = self.info, graph.signature
        return PlanContext(
            info.name,
            info.weights.note,
            self.labels,
            signature,
            self.preprocess,
            self.scores,
            self.decision,
            target,
            info.window_stride,
        )


@dataclass(frozen=True)
class Compiled:
    """The bundle that was written and what its summary shows."""

    folder: Path
    manifest: Manifest
    planned: Planned
    code: Code
    modelled: Modelled | FrameTime | None  # None where a machine hides its clock
    seconds: dict[str, float]

    def generic_layers(self) -> list[str]:
        """Operations that no schedule claimed."""
        return [op.layer for op in self.planned.plan.ops if op.schedule.startswith(lower.GENERIC)]


@dataclass
class Phases:
    """Times each phase, reports it, and dumps what it left when a folder is given."""

    progress: Progress
    dump: Path | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time one phase."""
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        self.progress(name, self.seconds[name])

    def save(self, name: str, text: Callable[[], str]) -> None:
        """Write `name` into the dump folder, numbered in order."""
        if self.dump is not None:
            try:
                self.dump.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise atomic.cannot_write(self.dump, error) from error
            atomic.write_text(self.dump / f"{len(self.seconds)}-{name}", text())


COMPILERS = ("apache-tvm", "torch", "onnx", "ziglang")  # a family may name more
PHASES = ("import", "passes", "schedule", "plan", "kernels", "link", "bundle")


def compile(
    network: Network,
    target: EdgeTarget,
    output: Path,
    *,
    precision: str | None = None,
    threads: int | None = None,
    cc: Sequence[str] = (),
    dump: Path | None = None,
    tuning: Tuning = NO_TUNING,
    ranges: RangesOf | None = None,
    exclude: Sequence[str] = (),
    mix: bool = True,
    progress: Progress = lambda phase, seconds: None,
) -> Compiled:
    """Compile a network for a target and write the bundle folder `output`.

    precision: one of the target's; by default its first, or half where its cores compute in it and that costs little.
    threads: of a stream whose user names none, 1 to 64; by default one a core, 4 at most. cc: the C compiler's command
    where zig's will not do. tuning: records of a search by measurement to follow, or a file for those of a new one.
    ranges: for int8, of values, given the layers in floats: exclude and, with mix, those that are faster in float16.

    Raises EdgeError of the cause: UsageError, UnsupportedTarget, ImportFailed, CompileError, OutputError, ToolMissing.
    """
    backend = backends.of(target)
    shared = None if threads is None else abi.check_threads(threads)
    precision, ranges, mix, by_file = settled(precision, ranges, mix, network.given, backend.precisions(target))
    check_ranges(precision_of(target, precision), ranges is not None)
    check_exclude(precision, exclude)
    threads = min(target.cpu.cores, 4) if shared is None else shared
    check_clip(network.info, precision)
    toolchain.check_compiler(target, cc)
    bundle.check_output(output)
    tuning.check(target)
    phases = Phases(progress, dump)
    graph = imported(network, phases)
    choice = Choice("int8", "the file is quantised") if by_file else chosen(graph, target, precision, phases.phase)
    added, floats = dict[str, bytes | Path](), choice.precision
    if ranges is not None:
        kept = layers_in_floats(graph, backend, target, exclude, shared, phases) if mix else frozenset(exclude)
        (graph, added), floats = quantised(graph, ranges, kept, phases), floats_beside_bytes(target, kept)
        network = network.with_float_layers(mixed.in_order(graph, kept), PRECISIONS[floats].value)
    with phases.phase("schedule"):
        lowered = scheduled(graph, backend, target, floats, tuning, shared)
    save_claims(graph, lowered, phases)
    require_schedules(lowered, network.info)
    with phases.phase("plan"):
        planned = planner.plan(graph, lowered, backend.ALIGN)
    phases.save("plan.txt", planned.plan.text)
    code = kernels_of(planned, backend, target, choice.precision, phases)
    with phases.phase("link"):
        plan_c = backend.plan_c(planned, code, network.about(graph, target))
        linked = toolchain.link(code, planned.weights, plan_c, target, cc)
    phases.save("plan.c", lambda: plan_c)
    with phases.phase("bundle"):
        manifest = describe(network, graph, planned, target, threads, choice, code)
        files: dict[str, bytes | Path] = {**linked.files, "plan.txt": planned.plan.text().encode(), **added}
        written = bundle.write(output, manifest, files, executable={"tsm-edge-run"})
    modelled = backend.modelled(planned, code, target, choice.precision, manifest.threads)
    return Compiled(output, written, planned, code, modelled, phases.seconds)


def imported(network: Network, phases: Phases) -> Graph:
    """The network after the passes that every target shares."""
    with phases.phase("import"):
        graph = network.load()
    phases.save("imported.txt", graph.text)
    with phases.phase("passes"):
        passes.run(graph)
    phases.save("fused.txt", graph.text)
    return graph


def save_claims(graph: Graph, lowered: lower.Lowered, phases: Phases) -> None:
    """Dump the prepared graph, and who takes what."""
    phases.save("scheduled.txt", graph.text)
    phases.save("claims.txt", lambda: "".join(f"{step.claim}\n" for step in lowered.steps))


def layers_in_floats(
    graph: Graph, backend: ModuleType, target: EdgeTarget, exclude: Sequence[str], threads: int | None, phases: Phases
) -> Kept:
    """The layers of an int8 network that are excluded, and those that are modelled faster in float16."""
    choices = mixed.choose(graph, backend, target if threads is None else with_threads(target, threads), exclude)
    phases.save("precision.txt", lambda: "".join(f"{choice.text}\n" for choice in choices))
    return frozenset([*exclude, *(choice.layer for choice in choices if choice.kept)])


def quantised(graph: Graph, ranges: RangesOf, kept: Kept, phases: Phases) -> tuple[Graph, dict[str, bytes | Path]]:
    """A fused graph with 8-bit operators but for the layers `kept`, and the bundle's files of ranges and scales."""
    with phases.phase("quantise"):
        check_layers(graph, kept)
        found = ranges(graph, kept)
        network = quantise(graph, found, kept)
        scales = network.by_layer()
        rewrite(network)
    phases.save("quantised.txt", network.graph.text)
    return network.graph, {"ranges.json": found.text().encode(), SCALES: scales.text().encode()}


def scheduled(
    graph: Graph,
    backend: ModuleType,
    target: EdgeTarget,
    precision: str,
    tuning: Tuning,
    threads: int | None = None,
) -> lower.Lowered:
    """The steps of a graph as a machine runs them; what was tuned is chosen by its records, the rest by the model.

    threads: that share the memory; None: one for each core.
    """
    machine = backend.machine(target if threads is None else with_threads(target, threads), precision)
    lower.prepare(graph, backend.SCHEDULES, machine, backend.ALIGN)
    return lower.lower(graph, backend.SCHEDULES, machine, tuning.choices(graph, target, backend, precision))


def kernels_of(planned: Planned, backend: ModuleType, target: EdgeTarget, precision: str, phases: Phases) -> Code:
    """The code of the kernels, dumped."""
    with phases.phase("kernels"):
        functions, code = generated(planned, backend, target, precision)
    phases.save("kernels.py", lambda: "\n\n".join(f"# {name}\n{f.script()}" for name, f in functions.items()))
    if code.text is not None:
        name, text = code.text
        phases.save(name, lambda: text)
    return code


def generated(
    planned: Planned, backend: ModuleType, target: EdgeTarget, precision: str
) -> tuple[dict[str, tirx.PrimFunc], Code]:
    """The kernels as TIR and the code of all; CompileError names the layers in plain loops, which may be at fault."""
    try:
        functions = {symbol: build() for symbol, build in planned.kernels.items()}
        return functions, backend.build(planned, functions, target, precision)
    except EdgeError:
        raise
    except Exception as error:  # TVM raises anything from InternalError to AssertionError
        plain = [step.layer for step in planned.steps if step.schedule == lower.GENERIC]
        lines = str(error).strip().splitlines() or [""]
        raise CompileError(
            "TVM cannot generate code for a kernel.",
            found=f"{type(error).__name__}: {lines[0]}"[:300],
            allowed="operators in docs/onnx.md",
            hint=f"replace one of the layers without a schedule: {', '.join(plain[:8]) or 'none'}",
        ) from error


def require_schedules(lowered: lower.Lowered, info: ModelInfo) -> None:
    """No layer of a shipped model is left to generic loops; CompileError names those that are."""
    missed = [step.label for step in lowered.steps if step.schedule == lower.GENERIC]
    if missed and info.source == "zoo":
        raise CompileError("No schedule takes a layer of a shipped model.", found=", ".join(missed))


def describe(
    network: Network,
    graph: Graph,
    planned: Planned,
    target: EdgeTarget,
    threads: int,
    choice: Choice,
    code: Code,
) -> Manifest:
    """The manifest without its files."""
    plan = planned.plan
    return Manifest(
        model=network.info,
        labels=network.labels,
        preprocess=network.preprocess,
        scores=network.scores,
        decision=network.decision,
        signature=graph.signature,
        target=TargetInfo.of(target),
        backend=target.family,
        precision=PRECISIONS[choice.precision].value,
        threads=threads,
        plan=PlanInfo(
            len(plan.ops),
            plan.arena_bytes,
            plan.state_bytes,
            plan.weights_bytes,
            plan.scratch_bytes,
            plan.macs,
        ),
        compiler={
            **versions((*COMPILERS, *backends.load(target.family).COMPILERS)),
            CHOICE: f"{choice.precision}: {choice.reason}",
        },
        device=code.device,
    )


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Installed versions of what decides the bytes of a bundle."""
    found = {"tsm-edge": __version__}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
