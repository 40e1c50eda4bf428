"""What `tsm-edge compare` says of a network: facts of its description, of its bundle, and the time of a decision."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tsm_edge import models
from tsm_edge.bundle.manifest import Manifest
from tsm_edge.errors import UsageError
from tsm_edge.files import strict_json
from tsm_edge.models import clips
from tsm_edge.target import EdgeTarget

from .. import pipeline
from ..frontend import networks

MEASURED, MODELLED = "measured", "modelled"
#: top-1 accuracy in % of networks of the zoo on Something-Something V1's validation set, and where that is written
ZOO = {
    "tsm-resnet50": clips.Published(46.3, "arXiv:1811.08383, online TSM", 8),
}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One network. Times in ms, sizes in bytes; None where nobody knows.

    frames: that a decision takes in. wait_frames: before the first decision. source: of `decision_ms`, measured on this
    machine or modelled. peak_bytes: weights, arena, states and scratch of one stream.
    """

    model: str
    size: int
    frames: int
    parameters: int
    macs: int
    decision_ms: float | None
    source: str | None
    wait_frames: int
    peak_bytes: int
    bundle_bytes: int
    published: float | None = None
    published_source: str | None = None
    gestures: float | None = None

    def document(self) -> dict[str, object]:
        """The row as data."""
        return asdict(self)


@dataclass(frozen=True)
class Asked:
    """How networks are compared. size: of their input, None for each one's own."""

    target: EdgeTarget
    size: int | None
    threads: int
    steps: int
    gestures: Gestures


@dataclass(frozen=True)
class Gestures:
    """Top-1 accuracies in % on rendered gestures, by model. what: how they were trained and measured, a sentence."""

    top1: Mapping[str, float]
    what: str = ""


def row(name: str, asked: Asked, folder: Path, say: Say) -> Row:
    """Compile a network into `folder`, or take the bundle that is there, and say what it costs."""
    model = models.named(name, asked.size)
    compiled = pipeline.compile(networks.zoo(model), asked.target, folder / name, threads=asked.threads)
    manifest = compiled.manifest
    if asked.target.name == "local":
        say(f"{name}: timing {asked.steps} decisions")
        milliseconds: float | None = measured(compiled.folder, asked)
        source: str | None = MEASURED
    else:
        milliseconds = None if compiled.modelled is None else modelled_ms(compiled.modelled.document())
        source = None if milliseconds is None else MODELLED
    best = published(model, manifest.model.clip_frames)
    return Row(
        name,
        model.size,
        manifest.model.clip_frames,
        model.parameters_count,
        model.macs,
        milliseconds,
        source,
        manifest.model.delay_frames,
        peak(manifest, asked.threads),
        sum(entry.bytes for entry in manifest.files.values()),
        best and best.accuracy,
        best and f"{best.source}, {best.frames} frames",
        asked.gestures.top1.get(name),
    )


def measured(bundle: Path, asked: Asked) -> float:
    """Median time of a decision in ms."""
    from tsm_edge.bench import session, stop

    rule = stop.StopRule(asked.steps, 0.0, 60.0)
    results = session.measure(bundle, rule, threads=asked.threads)
    return statistics.median(results.timed[0].times_ns) / 1e6


def modelled_ms(document: Mapping[str, object]) -> float | None:
    """The total of a latency model's document."""
    value = next((value for key, value in document.items() if key.endswith("ms")), None)
    return float(value) if isinstance(value, (int, float)) else None


def peak(manifest: Manifest, threads: int) -> int:
    """Bytes that a stream needs: weights, arena, both copies of the states and every thread's scratch."""
    plan = manifest.plan
    return plan.weights_bytes + plan.arena_bytes + 2 * plan.state_bytes + threads * plan.scratch_bytes


def published(model: models.Model | clips.ClipModel, frames: int) -> clips.Published | None:
    """The published accuracy at that number of frames, else the first."""
    found = (
        model.published if isinstance(model, clips.ClipModel) else tuple(filter(None, [ZOO.get(model.name)]))
    )
    return next((each for each in found if each.frames == frames), found[0] if found else None)


def read_gestures(path: Path | None) -> Gestures:
    """Accuracies of a file: {"model": %}, or what `benchmarks/family_accuracy.py` writes."""
    if path is None:
        return Gestures({})
    try:
        document = strict_json.read(path)
        if not isinstance(document, dict):
            raise TypeError("no object")
        top1, what = document.get("top1", document), document.get("what", f"accuracies of {path}")
        if not isinstance(top1, dict):
            raise TypeError("top1 is no object")
        return Gestures({name: float(value) for name, value in top1.items()}, str(what))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"'{path}' holds no accuracies.", found=error, allowed='{"model": accuracy in %, …}'
        ) from error
