"""Where the ranges of a network in 8 bits come from: clips that run through it, or a file of an earlier run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from tsm_edge.errors import AccuracyError, UsageError
from tsm_edge.files import atomic, temporaries
from tsm_edge.signature import Preprocess

from ..ir.graph import Graph
from ..pipeline import Network
from ..quantize import (
    LayerLoss,
    QuantisedGraph,
    Ranges,
    calibrate,
    calibration,
    float_step,
    integer,
    layer_table,
    quantise,
)
from ..quantize.calibration import Clips
from ..quantize.demands import Kept, check_ranges

Say = Callable[[str], None]
LEAST_FRAMES = 2
TABLED = 2  # clips that the table of layers is measured on: it computes every value in both forms
SHARE = 2  # so many times the calibrated clips are judged, others where there are others


@dataclass(frozen=True)
class CalibrationOptions:
    """The options, by their names.

    max_drop: by how many points top-1 may fall. layers: a .png file for the loss of each layer. exclude: layers
    that stay in floats; mix: choose others that do.
    """

    calibrate: Path | None = None
    ranges: Path | None = None
    clips: int = 16
    max_drop: float | None = None
    layers: Path | None = None
    exclude: tuple[str, ...] = ()
    mix: bool = True

    def with_shipped(self, precision: str | None, ranges: Path | None) -> CalibrationOptions:
        """Where int8 is asked for and no source is named: the ranges that come with the model's weights."""
        return replace(self, ranges=ranges) if precision == "int8" and not self.source else self

    def check(self, precision: str | None, file: bool = False) -> None:
        """Refuse options that exclude or need each other, and a file that holds no ranges.

        file: the network is a file, which may give scales itself.
        """
        given: dict[str, object] = {"--calibrate": self.calibrate, "--ranges": self.ranges}
        given |= {"--max-drop": self.max_drop, "--layers": self.layers, "--exclude": self.exclude or None}
        named = [option for option, value in given.items() if value is not None]
        if named and precision != "int8":
            raise UsageError(f"{named[0]} is for --precision int8.", found=f"--precision {precision or 'left out'}")
        if self.calibrate is not None and self.ranges is not None:
            found = ", ".join(named)
            raise UsageError("The ranges come from clips or from a file.", found=found, allowed="one of both")
        for option, value in (("--max-drop", self.max_drop), ("--layers", self.layers)):
            if value is not None and self.calibrate is None:
                raise UsageError(f"{option} measures on the clips of --calibrate.", found="no --calibrate")
        if self.layers is not None:
            atomic.check_file(self.layers)
        if self.ranges is not None:
            Ranges.load(self.ranges)
        check_ranges(precision, self.source or file)

    def of(self, network: Network, say: Say) -> Callable[[Graph, Kept], Ranges] | None:
        """What makes the ranges of a network's fused graph; None without a source besides the network itself."""
        if not self.source:
            return None
        if network.given is not None:
            raise UsageError(
                "The file gives the scales of its values itself.",
                found="--ranges" if self.ranges else "--calibrate",
                allowed="a network in float32",
                hint="leave the option out, or calibrate the network that was quantised",
            )
        return lambda graph, kept: ranges(graph, self, network.preprocess, network.labels, say, kept)

    @property
    def source(self) -> bool:
        """Whether there is one."""
        return self.calibrate is not None or self.ranges is not None


def ranges(
    graph: Graph,
    given: CalibrationOptions,
    how: Preprocess | None,
    labels: tuple[str, ...],
    say: Say,
    kept: Kept = frozenset(),
) -> Ranges:
    """The ranges of a fused graph; the layers `kept` are judged in floats.

    Raises:
        UsageError: a file that is no ranges, or a network that takes no square RGB pictures.
        DataError: the clips cannot be read.
        AccuracyError: top-1 falls by more than `max_drop`.
    """
    if given.ranges is not None:
        say(f"ranges: {given.ranges.name}")
        return Ranges.load(given.ranges)
    assert given.calibrate is not None
    if how is None or how.color != "rgb" or how.crop[0] != how.crop[1] or how.fit == "stretch":
        raise UsageError(
            "Clips can calibrate a network of square RGB pictures only.",
            found="no pictures" if how is None else f"{how.color}, {how.crop[0]}x{how.crop[1]}, {how.fit}",
            hint="write a ranges.json with tsm_edge.compile.quantize.calibrate, and give it with --ranges",
        )
    with temporaries.scratch() as folder:
        calibrating, judged, targets = split(given, how, labels, folder, say)
        with progress("calibrate", calibration.runs() * sum(map(len, calibrating))) as done:
            found = calibrate(graph, calibrating, done=done)
        figures = ", ".join(f"{name} {value:.1f} dB" for name, value in found.decibels.items())
        say(f"ranges: {found.ranges.method} of {found.ranges.frames} frames ({figures})")
        network = quantise(graph, found.ranges, kept)
        tell_layers(layer_table(network, calibrating[:TABLED]), given.layers, say)
        judge(graph, network, judged, targets, given, say)
    return found.ranges


@contextmanager
def progress(what: str, frames: int) -> Iterator[Callable[[int], None]]:
    """A bar over the frames on a terminal; what it yields is called with the number of frames that are done since."""
    if not sys.stderr.isatty():
        yield lambda frames: None
        return
    with click.progressbar(length=frames, label=what, file=sys.stderr) as bar:
        yield bar.update


def tell_layers(rows: Sequence[LayerLoss], picture: Path | None, say: Say) -> None:
    """Print the loss of each layer, and draw it into `picture`."""
    width = max(len(row.layer) for row in rows)
    say(f"{'layer'.ljust(width)}  SQNR, dB      low     high  saturated")
    for row in rows:
        figures = f"{row.decibels:8.1f}  {row.low:7.3g}  {row.high:7.3g}  {100 * row.saturated:7.3f} %"
        say(f"{row.layer.ljust(width)}  {figures}")
    if picture is None:
        return
    from tsm_edge.bench.roofline import write
    from tsm_edge.train import picture as drawing

    numbers = list(range(len(rows)))
    losses = {"SQNR": [row.decibels for row in rows]}
    cut = {"saturated": [100 * row.saturated for row in rows]}
    parts = [
        drawing.lines("signal-to-quantisation-noise ratio, dB", "layer", numbers, losses),
        drawing.lines("numbers beyond their range, percent", "layer", numbers, cut),
    ]
    write(picture, drawing.below(parts))


def split(
    given: CalibrationOptions, how: Preprocess, labels: tuple[str, ...], folder: Path, say: Say
) -> tuple[Clips, Clips, np.ndarray]:
    """Clips to calibrate on, others to judge on, and what those show."""
    from tsm_edge.train.clip_sets import Subject, check_labels, opened

    assert given.calibrate is not None
    store = opened(given.calibrate, folder, Subject("network", labels, how), videos=None, least=LEAST_FRAMES)
    check_labels(store, labels)
    count = min(given.clips, len(store))
    every = np.linspace(0, len(store) - 1, min(len(store), (1 + SHARE) * count)).round().astype(int)
    chosen = every[np.linspace(0, len(every) - 1, count).round().astype(int)]
    others = np.setdiff1d(every, chosen)
    if not len(others):
        say("the clips that calibrate are judged as well: there are no others")
        others = chosen
    frames = [[frames_of(store.clip(int(index)), how) for index in part] for part in (chosen, others)]
    return frames[0], frames[1], store.targets[others]


def frames_of(pixels: np.ndarray, how: Preprocess) -> list[np.ndarray]:
    """The frames of a clip as the network takes them, [1, 3, H, W] each."""
    from tsm_edge.train import measure

    prepared = measure.normalised(measure.centred(pixels, how)[None], how).numpy()[0]
    return [np.ascontiguousarray(frame[None]) for frame in prepared]


def judge(
    graph: Graph, network: QuantisedGraph, clips: Clips, targets: np.ndarray, given: CalibrationOptions, say: Say
) -> None:
    """Say top-1 before and after; AccuracyError where it falls too far."""
    exact = [exact_scores(graph, clip) for clip in clips]
    found = [rounded_scores(network, clip) for clip in clips]
    before, after = top1(exact, targets), top1(found, targets)
    same = np.concatenate(exact).argmax(1) == np.concatenate(found).argmax(1)
    say(
        f"top-1 of {len(clips)} clips: {100 * before:.1f} % in float32, {100 * after:.1f} % in 8 bits; "
        f"{100 * same.mean():.1f} % of {same.size} frames have the same answer"
    )
    drop = 100 * (before - after)
    if given.max_drop is not None and drop > given.max_drop:
        raise AccuracyError(
            "In 8 bits the network recognises less than was allowed.",
            found=f"{drop:.1f} points less",
            allowed=f"{given.max_drop:g} points less",
            hint="calibrate on more clips with --clips, or compile in float32",
        )


def top1(scores: Sequence[np.ndarray], targets: np.ndarray) -> float:
    """Share of the clips whose answer is right; frames count as `tsm-edge eval` lets them count."""
    from tsm_edge.train.measure import consensus

    answers = [int((consensus(len(clip)) @ clip).argmax()) for clip in scores]
    return float(np.mean(np.array(answers) == targets))


def exact_scores(graph: Graph, clip: Sequence[np.ndarray]) -> np.ndarray:
    """Scores after each frame in float32, [T, classes]."""
    states = {name: np.zeros(graph.shape(name), np.float32) for name in graph.states}
    scores = []
    for frame in clip:
        values = float_step.float_step(graph, frame, states)
        states = {name: array.astype(np.float32) for name, array in float_step.after(graph, values).items()}
        scores.append(values[graph.output].ravel())
    return np.stack(scores)


def rounded_scores(network: QuantisedGraph, clip: Sequence[np.ndarray]) -> np.ndarray:
    """The same in 8 bits."""
    states, scores = integer.zero_states(network), []
    for frame in clip:
        score, states = integer.step(network, frame, states)
        scores.append(score.ravel())
    return np.stack(scores)
