"""Where results go besides stdout and the window: a recording, another program, a page."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tsm_edge.errors import OutputError
from tsm_edge.terminal import printable, say

from .background import BackgroundRecorder
from .events import Event
from .on_change import OnChange, parse
from .recorder import Recorder
from .request import Request
from .secret import find_secret
from .sinks.open import check_packages, open_sinks
from .sinks.options import wanted
from .sinks.outbox import Counts
from .sinks.sink import Sink
from .web.address import choose_token, parse_address

if TYPE_CHECKING:
    from .sinks.metrics import Metrics
    from .web.server import Server

OWN_ENDS = ("end", "max-frames")  # of `loop.Loop.stopped`: nobody has asked to hurry


class Told(NamedTuple):
    """What consumers are told of the model."""

    model: str
    target: str
    gestures: tuple[str, ...]


class Outputs:
    """The outputs of one run, opened in three steps so that each can fail as early as possible.

    ``reset`` is set when somebody presses the button of the page or the key of the window.

    Raises:
        UsageError, ToolMissing: from the constructor; a bad address, token or command.
    """

    def __init__(self, request: Request) -> None:
        self.reset = threading.Event()
        self.recorders: list[BackgroundRecorder] = []
        self.listener: OnChange | None = None
        self.server: Server | None = None
        self.metrics: Metrics | None = None
        self.sinks: list[Sink] = []
        self._stopped: Callable[[], bool] = lambda: False
        self._request = request
        self._wanted = wanted(request)
        self._words = parse(request.on_change) if request.on_change is not None else None
        self._address = parse_address(request.serve) if request.serve is not None else None
        if self._address is not None:
            asked = request.token or find_secret(
                "the token", request.token_file, "tsm-edge.token", "TSM_EDGE_TOKEN"
            )
            self._token = choose_token(self._address, asked)

    def begin(self) -> None:
        """See that the recording can be written, and serve the page, which waits for its first picture.

        Raises:
            OutputError: the recording cannot be written.
            ServeError: the page cannot be served.
            ImportError: a package of an extra is not installed; the command line names it.
        """
        check_packages(self._wanted)
        for path in self._request.recordings:
            Recorder(path, 1.0).close()
        if self._address is not None:
            from .sinks.metrics import Metrics
            from .web.server import Server

            self.metrics = Metrics(self.counts)
            names = source_names(self._request)
            self.server = Server(self._address, self._token, self.reset.set, names, metrics=self.metrics)
            say(f"live page: {self.server.url}", err=True)

    def open(self, told: Told, rate: float, *, replay: bool, stopped: Callable[[], bool]) -> None:
        """Open the others, now that the model and its frames per second are known.

        ``told``: what consumers are told of it; ``replay``: the run has no clock and may wait; ``stopped``: whether
        the user wants to end.
        """
        self._stopped = stopped
        if self.server is not None:
            self.server.know(told.model)
        if self.metrics is not None:
            self.metrics.info(model=told.model, target=told.target)
        self.recorders = [BackgroundRecorder(Recorder(path, rate), wait=replay) for path in self._request.recordings]
        if self._words is not None:
            tell_idle = self._request.on_change_idle
            self.listener = OnChange(self._words, tell_idle=tell_idle, wait=replay, stopped=stopped)
        self.sinks = open_sinks(self._wanted, told.model, told.gestures)

    def tell(self, event: Event) -> None:
        """Hand an event to all who are told; a live run never waits for any of them."""
        if self.metrics is not None:
            self.metrics.event(event)
        if self.server is not None:
            self.server.tell(event)
        for sink in self.sinks:
            sink.tell(event)
        if self.listener is not None:
            self.listener.tell(event)

    def counts(self) -> dict[str, Counts]:
        """Return what became of the events of every sink by its name; from any thread."""
        counts = {sink.name: sink.counts for sink in self.sinks}
        if self.listener is not None:
            counts["on-change"] = self.listener.counts
        return counts

    def end(self, why: str) -> list[Path | None]:
        """End all outputs and return the recordings: viewers are told ``why``, the other program what still waits.

        A run that came to its own end waits for the other program, one that was stopped does not for long.

        Raises:
            OutputError: the recording could not be written.
        """
        try:
            if self.server is not None:
                self.server.close(why)
            return self._close_recordings()
        finally:
            patient = why in OWN_ENDS
            try:
                for sink in self.sinks:
                    sink.finish(patient=patient, stopped=self._stopped)
            finally:
                if self.listener is not None:
                    self.listener.finish(patient=patient)

    def _close_recordings(self) -> list[Path | None]:
        """Finish each, whatever becomes of the others; then raise what went wrong first."""
        recorded: list[Path | None] = []
        broken: OutputError | None = None
        for recorder in self.recorders:
            try:
                recorded.append(recorder.close())
            except OutputError as error:
                recorded.append(None)
                broken = broken or error
        if broken is not None:
            raise broken
        return recorded

    def close(self) -> None:
        """Close whatever is still open, after a failure too."""
        self.end("failed")


def source_names(request: Request) -> list[str]:
    """Return what viewers and consumers are told of each source; folders on this machine are none of their business.

    No two have the same name.
    """
    names: list[str] = []
    for source in request.sources:
        own = source.kind in ("device", "file", "folder")
        name = plain = printable(Path(source.name).name if own else source.name)
        count = 1
        while name in names:
            count += 1
            name = f"{plain} ({count})"
        names.append(name)
    return names
