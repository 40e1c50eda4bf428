"""Where results go besides stdout and the window: a recording, another program, a page."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsm_edge.terminal import printable, say

from .on_change import OnChange, parse
from .recorder import Recorder
from .request import Request
from .web.address import choose_token, parse_address

if TYPE_CHECKING:
    from .web.server import Server

OWN_ENDS = ("end", "max-frames")  # of `loop.Loop.stopped`: nobody has asked to hurry


class Outputs:
    """The outputs of one run, opened in three steps so that each can fail as early as possible.

    ``reset`` is set when somebody presses the button of the page or the key of the window.

    Raises:
        UsageError, ToolMissing: from the constructor; a bad address, token or command.
    """

    def __init__(self, request: Request) -> None:
        self.reset = threading.Event()
        self.recorder: Recorder | None = None
        self.listener: OnChange | None = None
        self.server: Server | None = None
        self._request = request
        self._words = parse(request.on_change) if request.on_change is not None else None
        self._address = parse_address(request.serve) if request.serve is not None else None
        if self._address is not None:
            asked = request.token if request.token is not None else os.environ.get("TSM_EDGE_TOKEN") or None
            self._token = choose_token(self._address, asked)

    def begin(self) -> None:
        """See that the recording can be written, and serve the page, which waits for its first picture.

        Raises:
            OutputError: the recording cannot be written.
            ServeError: the page cannot be served.
            ImportError: tornado is not installed; the command line names the extra.
        """
        if self._request.record is not None:
            Recorder(self._request.record, 1.0).close()
        if self._address is not None:
            from .web.server import Server

            facts: dict[str, Any] = {"source": _source_name(self._request)}
            self.server = Server(self._address, self._token, self.reset.set, facts)
            say(f"live page: {self.server.url}", err=True)

    def open(self, model: str, rate: float, *, replay: bool, stopped: Callable[[], bool]) -> None:
        """Open the others, now that the model and its frames per second are known.

        ``replay``: the run has no clock and may wait; ``stopped``: whether the user wants to end.
        """
        if self.server is not None:
            self.server.facts["model"] = model
        if self._request.record is not None:
            self.recorder = Recorder(self._request.record, rate)
        if self._words is not None:
            self.listener = OnChange(self._words, wait=replay, stopped=stopped)

    def end(self, why: str) -> Path | None:
        """End all outputs and return the recording: viewers are told ``why``, the other program what still waits.

        A run that came to its own end waits for the other program, one that was stopped does not for long.

        Raises:
            OutputError: the recording could not be written.
        """
        try:
            if self.server is not None:
                self.server.close(why)
            return self.recorder.close() if self.recorder is not None else None
        finally:
            if self.listener is not None:
                self.listener.finish(patient=why in OWN_ENDS)

    def close(self) -> None:
        """Close whatever is still open, after a failure too."""
        self.end("failed")


def _source_name(request: Request) -> str:
    """Return what viewers of the page are told; folders on this machine are none of their business."""
    if request.device is not None:
        return Path(request.device.name).name
    file = request.file or request.images
    return printable(file.name) if file is not None else ""
