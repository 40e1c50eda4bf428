"""``/metrics``: what a run has done so far, in the text form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tsm_edge import __version__
from tsm_edge.terminal import printable

from ..events import Event
from .outbox import Counts

CONTENT_TYPE = CONTENT_TYPE_LATEST
#: seconds; from a network in a corner of a desktop to one that a board can hardly run
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.4, 1.0)
_SINK_COUNTS = (
    ("told", "Events that a sink accepted."),
    ("failed", "Events that a sink refused or that were given up."),
    ("dropped", "Events that made room for newer ones in a sink's queue."),
    ("reconnects", "Connections and calls to a sink that were made again."),
)


class Metrics:
    """Counts of one run. `event` and what `of` gives belong to the loop's thread, `text` to the server's.

    Args:
        sinks: the counts of each sink by its name, asked when somebody reads.
    """

    def __init__(self, sinks: Callable[[], Mapping[str, Counts]] = dict) -> None:
        self._registry = CollectorRegistry()
        by, registry = ("source",), self._registry
        self._steps = Histogram(
            "tsm_edge_step_seconds", "Time of one step of the model.", by, buckets=BUCKETS, registry=registry
        )
        self._frames = Counter("tsm_edge_frames", "Frames that the model saw.", by, registry=registry)
        self._dropped = Counter(
            "tsm_edge_frames_dropped", "Frames that a newer one overtook before the model saw them.", by,
            registry=registry,
        )  # fmt: skip
        self._gaps = Counter(
            "tsm_edge_source_reconnects", "Times that the camera broke off and came back.", by, registry=registry
        )
        self._last = Gauge(
            "tsm_edge_last_frame_timestamp_seconds", "When the model saw its newest frame, since 1970.", by,
            registry=registry,
        )  # fmt: skip
        self._events = Counter(
            "tsm_edge_events", "Gestures and ends of gestures.", ("source", "kind", "label"), registry=registry
        )
        self._registry.register(_OfSinks(sinks))

    def info(self, **facts: str) -> None:
        """Tell what runs."""
        facts = {"version": __version__, **{name: printable(value) for name, value in facts.items()}}
        gauge = Gauge("tsm_edge_info", "What runs.", tuple(facts), registry=self._registry)
        gauge.labels(**facts).set(1)

    def of(self, source: str) -> OfSource:
        """Return what counts the steps of one input, all at 0."""
        name = printable(source)
        return OfSource(
            self._steps.labels(name), self._frames.labels(name), self._dropped.labels(name), self._gaps.labels(name),
            self._last.labels(name),
        )  # fmt: skip

    def event(self, event: Event) -> None:
        """Count an event under its gesture."""
        label = event.ended if event.kind == "idle" else event.label
        self._events.labels(printable(event.source), event.kind, printable(label)).inc()

    def text(self) -> bytes:
        """Return all of it."""
        return generate_latest(self._registry)


class OfSource:
    """Counts the steps of one input."""

    def __init__(self, steps: Histogram, frames: Counter, dropped: Counter, gaps: Counter, last: Gauge) -> None:
        self._steps, self._frames, self._dropped, self._gaps, self._last = steps, frames, dropped, gaps, last
        self._seen_dropped = 0

    def step(self, seconds: float, dropped: int) -> None:
        """Count a step; ``dropped`` are all frames dropped so far."""
        self._frames.inc()
        self._steps.observe(seconds)
        self._last.set_to_current_time()
        if dropped > self._seen_dropped:
            self._dropped.inc(dropped - self._seen_dropped)
            self._seen_dropped = dropped

    def gap(self) -> None:
        """Count a camera that broke off and came back."""
        self._gaps.inc()


class _OfSinks:
    """Reads the counts of the sinks when it is asked, so that telling an event costs nothing for it."""

    def __init__(self, sinks: Callable[[], Mapping[str, Counts]]) -> None:
        self._sinks = sinks

    def describe(self) -> Iterable[Metric]:
        """Say that the names are known only when it is asked."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Return the counts of all sinks."""
        counts = self._sinks()
        for name, what in _SINK_COUNTS:
            family = CounterMetricFamily(f"tsm_edge_sink_{name}", what, labels=("sink",))
            for sink, found in counts.items():
                family.add_metric((sink,), getattr(found, name))
            yield family
        queue = GaugeMetricFamily("tsm_edge_sink_queue", "Events that wait in a sink's queue.", labels=("sink",))
        for sink, found in counts.items():
            queue.add_metric((sink,), found.waiting)
        yield queue
