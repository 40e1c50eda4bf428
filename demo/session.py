"""One run of the demo: put source, model and outputs together, loop, and say what came of it.

Whatever can fail without the model (options, output path, display, files, the camera's device) is tried
before the model is opened, because the first run compiles it. Everything opened is closed in reverse order,
whatever happens.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import numpy as np

from tsm_edge.errors import EdgeError, ModelError
from tsm_edge.report import shell
from tsm_edge.sampling import Sampler
from tsm_edge.terminal import say

from . import several
from .default_bundle import default_bundle
from .events import Events
from .feed import Feed, Live, Replay
from .interfaces import Pulse
from .interrupt import stop_flag
from .loop import Loop
from .outputs import OWN_ENDS, Outputs, Told, source_names
from .report import JsonReporter, Progress, Reporter, Summary, TextReporter
from .request import Request
from .screen import TITLE, Window, check_display
from .sources import Source
from .sources.opening import camera_hint, check_input, open_input
from .watchdog import Watchdog
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
        for one in request.sources:
            check_input(one, request.wanted, camera_hint())
        outputs.begin()
        folder = request.bundle or default_bundle()
        model = _open_bundle(folder, request.threads, stack)
        rate = request.fps or _rate(model)
        stop = stack.enter_context(stop_flag())
        replay = request.headless and all(one.kind in ("file", "folder") for one in request.sources)
        told = Told(model.manifest.model.name, model.manifest.target.name, _gestures(model))
        outputs.open(told, rate, replay=replay, stopped=stop.is_set)
        channels = _open_channels(request, model, folder, outputs, rate, stop, stack)
        _run(channels, model, folder, outputs)


@dataclass
class _Channel:
    """One input on its way through the run."""

    name: str  # for consumers
    source: Source
    sampler: Sampler
    feed: Feed
    reporter: Reporter
    window: Window | None
    loop: Loop


def _open_sources(request: Request, rate: float, stop: Event, stack: ExitStack) -> list[tuple[Source, Sampler, Feed]]:
    """Open all inputs and begin to read them; each is closed by its feed, which knows when nobody reads it."""
    opened = []
    for one in request.sources:
        source = open_input(
            one, request.wanted, rate=rate, loop=request.loop, give_up_s=request.give_up, stopped=stop.is_set
        )
        sampler = Sampler(rate)
        replay = request.headless and not source.live
        feed: Feed = Replay(source, sampler) if replay else Live(source, sampler)
        stack.callback(feed.close)
        opened.append((source, sampler, feed))
    return opened


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
    late = late_note(model)
    if late:
        say(f"note: {late}", err=True)
    return model


def late_note(model: Model) -> str:
    """How far the answers of a network that needs later frames are behind; nothing of one that does not."""
    info, rate = model.manifest.model, _rate(model)
    if info.form == "stream":
        return ""
    seconds = f"{info.delay_frames / rate:.1f} s at {rate:g} frames a second"
    if info.form == "lagged":
        return f"the network looks into the future: answers are {info.delay_frames} frames behind, {seconds}"
    return (
        f"the network looks at {info.clip_frames} frames at once: the first answer comes after as many, {seconds}, "
        f"then one every {info.window_stride} frames"
    )


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


def _open_channels(
    request: Request,
    model: Model,
    folder: Path,
    outputs: Outputs,
    rate: float,
    stop: Event,
    stack: ExitStack,
) -> list[_Channel]:
    opened = _open_sources(request, rate, stop, stack)
    count, names = len(opened), source_names(request)
    if outputs.server is not None:
        stack.enter_context(short_turns())
    watchdog = Watchdog.from_environment()
    if watchdog is not None:
        stack.callback(watchdog.close)
    channels = []
    for number, ((source, sampler, feed), name) in enumerate(zip(opened, names)):
        shown = name if count > 1 else ""
        window = None
        if not request.headless and outputs.server is None:
            window = Window(outputs.reset.set, **({"title": f"{TITLE}: {name}"} if shown else {}))
            stack.callback(window.close)
        next_command = _next_command(model, folder) if number == count - 1 else ""
        loop = Loop(
            stream=stack.enter_context(model.stream()),
            feed=feed,
            labels=_labels(model),
            smoother=model.smoother(),
            delay=model.manifest.model.delay_frames,
            stride=model.manifest.model.window_stride,
            reporter=JsonReporter(shown) if request.json else TextReporter(next_command, shown),
            screen=window,
            recorder=outputs.recorders[number] if outputs.recorders else None,
            viewers=outputs.server.place(number) if outputs.server is not None else None,
            listener=outputs,
            counters=outputs.metrics.of(name) if outputs.metrics is not None else None,
            events=Events(
                min_confidence=request.min_confidence or 0.0, source=name, model=model.manifest.model.name
            ),
            reset=Event() if shown else outputs.reset,
            progress=_pulse(watchdog, number, count) or (Progress(source=shown) if window is None else None),
            note=UNTRAINED if _untrained(model) else "",
            channels="rgb" if request.bgr else "bgr",
            mirror=request.mirror,
            max_frames=request.max_frames or 0,
            stop=stop.is_set,
        )
        channels.append(_Channel(name, source, sampler, feed, loop.reporter, window, loop))
    return channels


def _pulse(watchdog: Watchdog | None, number: int, count: int) -> Pulse | None:
    return watchdog.share(number, count) if watchdog is not None else None


def _run(channels: list[_Channel], model: Model, folder: Path, outputs: Outputs) -> None:
    for channel in channels:
        rate = channel.sampler.rate
        say(f"{channel.source.name} at {rate:g} frames per second on {folder}; Ctrl-C ends", err=True)
    if len(channels) == 1:
        channels[0].loop.run()
    else:
        several.run([channel.loop for channel in channels], [channel.name for channel in channels], outputs.reset)
    for channel in channels:
        channel.feed.close()  # before anyone asks the source: until then it belongs to the reader's thread
        if channel.window is not None:
            channel.window.close()  # it would stand still while commands are waited for
    _finish(channels, model, outputs)
    for channel in channels:
        if channel.loop.failure is not None:
            raise channel.loop.failure


def _finish(channels: list[_Channel], model: Model, outputs: Outputs) -> None:
    """End the outputs and report the run, unless it failed before its first frame."""
    broken: EdgeError | None = None
    recorded: list[Path | None] = []
    ends = [channel.loop.stopped for channel in channels]
    try:
        recorded = outputs.end(next((why for why in ends if why not in OWN_ENDS), ends[0]))
    except EdgeError as error:
        broken = error
    for channel in channels:
        for note in channel.source.notes():
            say(f"note: {note}", err=True)
    if "output-closed" in ends:
        raise BrokenPipeError  # only the command line knows what to do about its own output
    for number, channel in enumerate(channels):
        if channel.loop.frames or channel.loop.stopped != "failed":
            channel.reporter.summary(_summary(channel, model, outputs, recorded[number] if recorded else None))
    if broken is not None:
        raise broken


def _summary(channel: _Channel, model: Model, outputs: Outputs, recorded: Path | None) -> Summary:
    loop, source = channel.loop, channel.source
    times = np.array(loop.times_ms or [0.0])
    return Summary(
        frames=loop.frames,
        dropped=loop.feed.dropped,
        empty_ticks=channel.sampler.missed,
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
