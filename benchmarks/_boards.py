"""The plan of a model in any precision, its modelled time on every board, and the times that others published.

For int8 every value gets one range: a plan's operations and their cost do not depend on the numbers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import _common

from tsm_edge import models, target
from tsm_edge.target import EdgeTarget

RANGE = (-6.0, 6.0)
PAPER, NCNN, EXECUTORCH = "TSM's paper", "ncnn", "ExecuTorch"
#: (runtime, precision, milliseconds of a frame at 224x224). TSM: online, TVM (ICCV paper). ncnn: its benchmark/README,
#: without a shift, 4 threads (6 on the Orin Nano). ExecuTorch with XNNPACK: learn.arm.com, executorch-on-arm, and
#: huggingface.co/Arm, without a shift, threads not stated.
PUBLISHED: dict[tuple[str, str], tuple[tuple[str, str, float], ...]] = {
    ("raspberry-pi-3", "tsm-mobilenetv2"): ((NCNN, "fp32", 111.7),),
    ("raspberry-pi-3", "tsm-resnet50"): ((NCNN, "fp32", 587.0),),
    ("raspberry-pi-zero-2w", "tsm-mobilenetv2"): ((NCNN, "fp32", 147.0),),
    ("raspberry-pi-zero-2w", "tsm-resnet50"): ((NCNN, "fp32", 783.0), (NCNN, "int8", 498.0)),
    ("raspberry-pi-4", "tsm-mobilenetv2"): ((NCNN, "fp32", 61.9),),
    ("raspberry-pi-4", "tsm-resnet50"): ((NCNN, "fp32", 263.0), (NCNN, "int8", 197.0)),
    ("raspberry-pi-5", "tsm-mobilenetv2"): (
        (EXECUTORCH, "fp32", 10.88),
        (NCNN, "fp16", 10.5),
        (EXECUTORCH, "int8", 3.98),
    ),
    ("raspberry-pi-5", "tsm-resnet50"): (
        (NCNN, "fp16", 46.2),
        (EXECUTORCH, "int8", 20.64),
        (NCNN, "int8", 40.8),
    ),
    ("raspberry-pi-5", "tsm-resnet18"): ((EXECUTORCH, "fp32", 31.6), (EXECUTORCH, "int8", 8.75)),
    ("jetson-nano-cpu", "tsm-mobilenetv2"): ((PAPER, "fp32", 47.8), (NCNN, "fp32", 33.8)),
    ("jetson-nano-cpu", "tsm-resnet50"): ((NCNN, "fp32", 204.0),),
    ("jetson-tx2-cpu", "tsm-mobilenetv2"): ((PAPER, "fp32", 36.4),),
    ("jetson-orin-nano-cpu", "tsm-mobilenetv2"): ((NCNN, "fp16", 6.5),),
    ("jetson-orin-nano-cpu", "tsm-resnet50"): ((NCNN, "fp16", 39.3), (NCNN, "int8", 29.9)),
    ("rk3588-cpu", "tsm-mobilenetv2"): ((NCNN, "fp16", 5.5),),
    ("rk3588-cpu", "tsm-resnet50"): ((NCNN, "fp16", 28.3),),
}


def network(model: str) -> Any:
    """The fused graph of a model with seeded weights."""
    from tsm_edge.compile import passes
    from tsm_edge.compile.frontend import networks

    graph = networks.zoo(models.load(model)).load()
    passes.run(graph)
    return graph


def copied(graph: Any) -> Any:
    """A graph with nodes and tables of its own."""
    tables = {name: {**getattr(graph, name)} for name in ("values", "scales", "constants", "state_outputs")}
    return replace(graph, nodes=[node.copy() for node in graph.nodes], states=[*graph.states], **tables)


def planned(fused: Any, device: EdgeTarget, precision: str) -> Any:
    """The plan of a fused graph, which is left as it was: what `tsm-edge compile` makes of it by default."""
    from tsm_edge.compile.backends import cpu
    from tsm_edge.compile.lowering import lower, mixed, planner
    from tsm_edge.compile.quantize import demands, quantise, ranges, rewrite, scheme

    graph, floats = copied(fused), precision
    if precision == "int8":
        kept = [choice.layer for choice in mixed.choose(graph, cpu, device) if choice.kept]
        values = dict.fromkeys(scheme.stored_values(graph), RANGE)
        rewrite(quantise(graph, ranges.Ranges(scheme.identity(graph), "given", 0, values), kept))
        floats = demands.floats_beside_bytes(device, kept)
    machine = cpu.machine(device, floats)
    lower.prepare(graph, cpu.SCHEDULES, machine, cpu.ALIGN)
    return planner.plan(graph, lower.lower(graph, cpu.SCHEDULES, machine), cpu.ALIGN)


def names() -> list[str]:
    """The targets that run on a processor, those with published times first."""
    known = {name for name, _ in PUBLISHED}
    found = [name for name in target.names() if name != "local" and target.load(name).family == "cpu"]
    return sorted(found, key=lambda name: (name not in known, name))


def rows(model: str) -> list[dict[str, Any]]:
    """The modelled time of a frame on every processor, in every precision that it has, beside the published ones."""
    from tsm_edge.compile.backends import cpu

    fused, found = network(model), []
    for name in names():
        device = target.load(name)
        four = min(4, device.cpu.cores)
        for precision in cpu.precisions(device):
            _common.note(f"{model} for {name} in {precision}")
            plan = planned(fused, device, precision)
            times = [cpu.modelled(plan, None, device, precision, threads) for threads in (1, four)]
            one, most = times
            assert one is not None and most is not None
            published = PUBLISHED.get((name, model), ())
            found.append(
                {
                    "model": model,
                    "target": name,
                    "precision": precision,
                    "modelled_ms_1_thread": round(one.ms, 2),
                    "modelled_ms_4_threads": round(most.ms, 2),
                    "bound": most.bound,
                    "published_ms": [[who, ms] for who, kind, ms in published if kind == precision],
                }
            )
    return found
