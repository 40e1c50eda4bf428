"""The loop: a frame from the feed, one step of the stream, the smoothed decision, and out to all who want it.

It takes everything it works with as a parameter, so it runs the same over a camera, a file or a test.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from tsm_edge.errors import EdgeError, RuntimeFailure
from tsm_edge.smoothing import Decision, Smoother
from tsm_edge.terminal import say

from .events import Event, Events, Shown
from .feed import Feed, Item
from .history import History
from .interfaces import Counters, Listener, Pulse, Recording, Screen, Stream, Viewers
from .overlay import TOP, Score, Status, render
from .report import Reporter, Result
from .sources import Frame

WAIT_S = 0.03  # how long the loop sleeps without a frame before it looks at the keys and the stop flag again
_FPS_WINDOW_S = 2.0
_TIMES_KEPT = 100_000  # two hours at 12 frames per second; a camera may run for months


@dataclass
class Loop:
    """One run over a feed.

    Args:
        channels: the order in which ``stream`` is told the frame's channels are. Frames are BGR, so "bgr" gives
            the model what it was trained on; "rgb" feeds it blue as red, as the demo of 2019 did.
        smoother: the decision over time; None for that of networks with logits and these labels.
        mirror: flip each frame left to right before anything else, for cameras that deliver a mirror image.
        max_frames: stop after so many processed frames; 0 for no limit.
        stride: frames from one answer of the model to the next; those between are shown under the last one.
        delay: frames by which the model's answers are behind: those to the first so many frames are of a time before
            the stream, and nothing is decided on them.
        stop: asked between two frames; True ends the run.
        reset: set from any thread, it makes the model and all that is shown forget the past before the next frame.
    """

    stream: Stream
    feed: Feed
    labels: tuple[str, ...]
    reporter: Reporter
    screen: Screen | None = None
    recorder: Recording | None = None
    viewers: Viewers | None = None
    listener: Listener | None = None
    counters: Counters | None = None
    events: Events = field(default_factory=Events)
    progress: Pulse | None = None
    smoother: Smoother | None = None
    note: str = ""
    channels: str = "bgr"
    mirror: bool = False
    max_frames: int = 0
    delay: int = 0
    stride: int = 1
    stop: Callable[[], bool] = lambda: False
    reset: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], float] = time.perf_counter

    frames: int = 0
    stopped: str = "end"
    failure: EdgeError | None = None
    times_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_TIMES_KEPT))
    delays_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_TIMES_KEPT))
    _smoother: Smoother = field(init=False)
    _history: History = field(default_factory=History)
    _done_at: deque[float] = field(default_factory=deque)
    _began: float = 0.0
    _ended: float = 0.0
    _status: Status | None = None
    _label: str = ""
    _image: np.ndarray | None = None  # the last shown
    _state: str = ""  # of the source, as it was told last
    _waiting: int = field(init=False)

    def __post_init__(self) -> None:
        self._waiting = self.delay
        self._smoother = self.smoother or Smoother(labels=self.labels)

    def run(self) -> EdgeError | None:
        """Run until the source, the user or a limit ends it; return the error that ended it, if one did.

        The error is returned and not raised, because what was processed and recorded before it still counts.
        """
        while self.advance(WAIT_S):
            pass
        return self.failure

    def advance(self, wait_s: float) -> bool:
        """Do what one frame needs, or wait for one for so long; return whether to go on. `failure` says why not."""
        try:
            return self._turn(wait_s)
        except BrokenPipeError:
            self.stopped = "output-closed"
        except EdgeError as error:
            self.stopped, self.failure = "failed", error
        return False

    @property
    def fps(self) -> float:
        """Processed frames per second over the whole run so far; 0 before the second."""
        elapsed = self._ended - self._began
        return (self.frames - 1) / elapsed if self.frames > 1 and elapsed > 0 else 0.0

    def _turn(self, wait_s: float) -> bool:
        if self.stop():
            self.stopped = "interrupted"
            return False
        if self.reset.is_set():
            self.reset.clear()
            self._forget()
        item = self.feed.take(wait_s)
        self._tell_state(item is not None)
        if item is not None:
            self._take(item)
        elif self.feed.finished:
            return False
        if self.screen is not None and not self.screen.poll():
            self.stopped = "quit"
            return False
        if self.max_frames and self.frames >= self.max_frames:
            self.stopped = "max-frames"
            return False
        return True

    def _take(self, item: Item) -> None:
        if item.steps == 0:
            self._preview(item.frame)
            return
        if item.gap_s:
            say(f"note: no frame came for {item.gap_s:.1f} s; the model begins anew", err=True)
            if self.counters is not None:
                self.counters.gap()
            self._forget()
        for _ in range(min(item.steps, self.max_frames - self.frames) if self.max_frames else item.steps):
            self._process(item.frame)

    def _tell_state(self, has_frame: bool) -> None:
        """Say it, and show it on the last picture, when the source begins to look for its camera again."""
        state = "" if has_frame else self.feed.state
        if state == self._state:
            return
        self._state = state
        if state:
            say(f"note: {state}", err=True)
            self.show_end(state)

    def show_end(self, why: str) -> None:
        """Show on the last picture why no other comes."""
        if self._status is not None and self._image is not None:
            self._show(self._image, replace(self._status, note=why))

    def _process(self, frame: Frame) -> None:
        image = self._upright(frame)
        before = self.clock()
        logits = self.stream.step(image, format=self.channels)
        now = self.clock()
        if not np.isfinite(logits).all():
            raise RuntimeFailure(
                f"The model's scores for frame {self.frames} are not finite.",
                hint="check the bundle: tsm-edge verify BUNDLE",
            )
        self._count(before, now)
        # two clocks: a camera's driver stamps by the monotonic one
        delay_ms = None if frame.taken_at is None else 1000 * max(0.0, time.monotonic() - frame.taken_at)
        if delay_ms is not None:
            self.delays_ms.append(delay_ms)
        self._waiting -= 1
        if self._waiting >= 0:
            self._preview(frame)
            return
        self._waiting = self.stride - 1
        decision = self._smoother.push(logits)
        label = self.labels[decision.index]
        probability = None if decision.idle else float(decision.probability)
        top = self._top()
        event = self._event(decision, label, frame.t_s)
        result = Result(
            frame=self.frames - 1,
            t_s=frame.t_s,
            index=decision.index,
            label=label,
            idle=decision.idle,
            probability=probability,
            changed=decision.changed,
            raw_label=self.labels[decision.raw_index],
            top=top,
            ms=self.times_ms[-1],
            dropped=self.feed.dropped,
            event=event,
            delay_ms=delay_ms,
        )
        if self.counters is not None:
            self.counters.step(result.ms / 1000, result.dropped)
        self.reporter.result(result)
        if event is not None and self.listener is not None:
            self.listener.tell(event)
        fps = self._recent_fps()
        if self.progress is not None:
            self.progress.tell(self.frames, fps, result.ms, result.dropped)
        self._history.add(decision.index, label, frame.t_s, idle=decision.idle)
        if decision.changed or not decision.idle:
            self._label = label  # between idle classes it stays: to whoever looks on they are one state
        self._status = Status(
            self._label, probability, result.ms, fps, result.dropped, self.note, top, self._history.spans(), delay_ms
        )
        self._show(image, self._status)
        if self.recorder is not None:
            self.recorder.write(render(image, self._status), frame.t_s)

    def _event(self, decision: Decision, label: str, t_s: float) -> Event | None:
        return self.events.take(
            Shown(
                decision.index,
                label,
                decision.probability,
                decision.idle,
                decision.changed,
                t_s,
                self.frames - 1,
            )
        )

    def _preview(self, frame: Frame) -> None:
        """Show a frame the model does not see under the last result, to move as the camera's picture does."""
        if self._status is not None:
            self._show(self._upright(frame), self._status)

    def _show(self, image: np.ndarray, status: Status) -> None:
        self._image = image
        if self.screen is not None:
            self.screen.show(render(image, status))
        if self.viewers is not None:
            self.viewers.offer(image, status)

    def _forget(self) -> None:
        self.stream.reset()
        self._waiting = self.delay
        self._smoother.reset()
        self.events.forget()
        self._history.clear()

    def _top(self) -> tuple[Score, ...]:
        """Return the likeliest classes of the smoothed probabilities, the first the likeliest."""
        means = self._smoother.probabilities
        best = np.argsort(-means, kind="stable")[:TOP]
        idle = self._smoother.rule.idle
        return tuple(Score(int(i), self.labels[i], float(means[i]), int(i) in idle) for i in best)

    def _upright(self, frame: Frame) -> np.ndarray:
        return np.ascontiguousarray(frame.image[:, ::-1]) if self.mirror else frame.image

    def _count(self, before: float, now: float) -> None:
        if self.frames == 0:
            self._began = now
        self._ended = now
        self.frames += 1
        self.times_ms.append(1000 * (now - before))
        self._done_at.append(now)
        while now - self._done_at[0] > _FPS_WINDOW_S:
            self._done_at.popleft()

    def _recent_fps(self) -> float:
        elapsed = self._done_at[-1] - self._done_at[0]
        return (len(self._done_at) - 1) / elapsed if elapsed > 0 else 0.0
