"""One run of the demo: put source, model and outputs together, loop, and say what came of it.

Whatever can fail without the model (options, output path, display, files, the camera's device) is tried
before the model is opened, because the first run compiles it. Everything opened is closed in reverse order,
whatever happens.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import numpy as np

from tsm_edge.errors import EdgeError, ModelError
from tsm_edge.report import shell
from tsm_edge.sampling import Sampler
from tsm_edge.terminal import say

from .default_bundle import default_bundle
from .events import Events
from .feed import Feed, Live, Replay
from .interrupt import stop_flag
from .loop import Loop
from .outputs import Outputs, Told, source_name
from .report import JsonReporter, Progress, Reporter, Summary, TextReporter
from .request import Request
from .screen import Window, check_display
from .sources import Source
from .sources.opening import camera_hint, check_input, open_input
from .web.turns import short_turns

if TYPE_CHECKING:
    from tsm_edge.runtime import Model

UNTRAINED = "untrained weights: predictions mean nothing yet"


def play(request: Request) -> None:
    """Do what ``request`` asks for; an EdgeError says what went wrong. What was recorded is kept."""
    if not request.headless and request.serve is None:
        check_display()
    with ExitStack() as stack:
        outputs = Outputs(request)
        stack.callback(outputs.close)
        check_input(request.source, request.wanted, camera_hint())
        outputs.begin()
        folder = request.bundle or default_bundle()
        model = _open_bundle(folder, request.threads, stack)
        rate = request.fps or _rate(model)
        stop = stack.enter_context(stop_flag())
        replay = request.headless and request.source.kind in ("file", "folder")
        told = Told(model.manifest.model.name, model.manifest.target.name, _gestures(model))
        outputs.open(told, rate, replay=replay, stopped=stop.is_set)
        source = open_input(  # closed by its feed, which knows when nobody reads it
            request.source,
            request.wanted,
            rate=rate,
            loop=request.loop,
            give_up_s=request.give_up,
            stopped=stop.is_set,
        )
        _run(request, model, folder, source, Sampler(rate), outputs, stop, stack)


def _open_bundle(folder: Path, threads: int | None, stack: ExitStack) -> Model:
    from tsm_edge import runtime

    model = runtime.open(folder, threads=threads)
    stack.callback(model.close)
    if _untrained(model):
        say(
            "note: the weights of this bundle are random numbers, nobody trained them: "
            "what the demo predicts means nothing yet",
            err=True,
        )
    return model


def _untrained(model: Model) -> bool:
    return model.manifest.model.weights.source == "seeded"


def _next_command(model: Model, folder: Path) -> str:
    if _untrained(model):
        manifest = model.manifest
        return shell(
            "tsm-edge compile {} --target {} --weights FILE", manifest.model.name, manifest.target.name
        )
    return shell("tsm-edge inspect {}", folder)


def _rate(model: Model) -> float:
    preprocess = model.manifest.preprocess
    if preprocess is None:
        raise ModelError(
            "This bundle's network takes no pictures, so the demo cannot feed it.",
            hint="drive it from Python: tsm_edge.open(BUNDLE).stream().step_tensor(array)",
        )
    return preprocess.rate_fps


def _labels(model: Model) -> tuple[str, ...]:
    classes = int(np.prod(model.manifest.signature.outputs[0].shape))
    return tuple(model.manifest.labels) or tuple(f"class {index}" for index in range(classes))


def _gestures(model: Model) -> tuple[str, ...]:
    """Return the labels that can be events."""
    idle = model.smoother().rule.idle
    return tuple(label for index, label in enumerate(_labels(model)) if index not in idle)


def _run(
    request: Request,
    model: Model,
    folder: Path,
    source: Source,
    sampler: Sampler,
    outputs: Outputs,
    stop: Event,
    stack: ExitStack,
) -> None:
    replay = request.headless and not source.live
    feed: Feed = Replay(source, sampler) if replay else Live(source, sampler)
    stack.callback(feed.close)
    window = None if request.headless or outputs.server is not None else Window(outputs.reset.set)
    if window is not None:
        stack.callback(window.close)
    reporter: Reporter = JsonReporter() if request.json else TextReporter(_next_command(model, folder))
    if outputs.server is not None:
        stack.enter_context(short_turns())
    loop = Loop(
        stream=stack.enter_context(model.stream()),
        feed=feed,
        labels=_labels(model),
        smoother=model.smoother(),
        reporter=reporter,
        screen=window,
        recorder=outputs.recorder,
        viewers=outputs.server,
        listener=outputs,
        counters=outputs.metrics,
        events=Events(
            min_confidence=request.min_confidence or 0.0,
            source=source_name(request),
            model=model.manifest.model.name,
        ),
        reset=outputs.reset,
        progress=Progress() if window is None else None,
        note=UNTRAINED if _untrained(model) else "",
        channels="rgb" if request.bgr else "bgr",
        mirror=request.mirror,
        max_frames=request.max_frames or 0,
        stop=stop.is_set,
    )
    say(f"{source.name} at {sampler.rate:g} frames per second on {folder}; Ctrl-C ends", err=True)
    failure = loop.run()
    feed.close()  # before anyone asks the source: until then it belongs to the reader's thread
    if window is not None:
        window.close()  # it would stand still while commands are waited for
    _finish(loop, reporter, source, model, sampler, outputs)
    if failure is not None:
        raise failure


def _finish(
    loop: Loop, reporter: Reporter, source: Source, model: Model, sampler: Sampler, outputs: Outputs
) -> None:
    """End the outputs and report the run, unless it failed before its first frame."""
    broken: EdgeError | None = None
    recorded: Path | None = None
    try:
        recorded = outputs.end(loop.stopped)
    except EdgeError as error:
        broken = error
    for note in source.notes():
        say(f"note: {note}", err=True)
    times = np.array(loop.times_ms or [0.0])
    summary = Summary(
        frames=loop.frames,
        dropped=loop.feed.dropped,
        empty_ticks=sampler.missed,
        median_ms=float(np.median(times)),
        p95_ms=float(np.percentile(times, 95)),
        fps=loop.fps,
        stopped=loop.stopped,
        source=source.name,
        model=model.manifest.model.name,
        target=model.manifest.target.name,
        weights=model.manifest.model.weights.source,
        recorded=recorded,
        on_change=outputs.listener.told if outputs.listener is not None else None,
        sinks={sink.name: sink.counts for sink in outputs.sinks},
        reconnects=source.reconnects,
        delay_ms=float(np.median(loop.delays_ms)) if loop.delays_ms else None,
    )
    if loop.stopped == "output-closed":
        raise BrokenPipeError  # only the command line knows what to do about its own output
    if loop.frames or loop.stopped != "failed":
        reporter.summary(summary)
    if broken is not None:
        raise broken
