"""The page's server: one thread with an event loop, beside the demo's own loop, which it never holds up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tornado.httpserver import HTTPServer

from ..events import Event
from ..overlay import Status
from ..sinks.metrics import Metrics
from .address import Address, listen, own_names, page_url
from .base import Site
from .handlers import application
from .latest import Latest
from .pictures import WithState, overlaid
from .view import Board, Seen

PAGE = Path(__file__).with_name("page.html")
_PARTING_S = 0.3  # for the last answers, which say that the demo has ended


class Server:
    """Serves from its construction to `close`. Until the first picture, viewers wait.

    Args:
        address: where; with port 0 the system chooses one, and ``url`` tells.
        token: what viewers must give, "" for nothing (`address.choose_token`).
        reset: called, on the server's thread, when a viewer asks the model to forget.
        sources: the names of the inputs.
        patience_s: how long a viewer may take to accept one answer before it is cut off.
        quiet_s: how long a viewer waits for a picture before it is told that there is none.
        metrics: what ``/metrics`` answers, None for nothing.

    Raises:
        ServeError: the address cannot be had.
    """

    def __init__(
        self,
        address: Address,
        token: str,
        reset: Callable[[], None],
        sources: Sequence[str],
        *,
        patience_s: float = 10.0,
        quiet_s: float = 10.0,
        metrics: Metrics | None = None,
    ) -> None:
        self._socket = listen(address)
        self.address = replace(address, port=self._socket.getsockname()[1])
        self.url = page_url(self.address, token)
        self._with_state = WithState(sources)
        self._board = Board(len(sources))
        self._site = Site(
            page=PAGE.read_text(encoding="utf-8"),
            token=token,
            names=own_names(address),
            states=Latest(self._with_state),
            pictures=Latest(overlaid),
            reset=reset,
            patience_s=patience_s,
            quiet_s=quiet_s,
            metrics=metrics,
        )
        self._ready = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="tsm-edge-server", daemon=True)
        for name in ("tornado.access", "tornado.general"):  # what strangers send is not our user's business
            logging.getLogger(name).addHandler(logging.NullHandler())
            logging.getLogger(name).propagate = False
        self._thread.start()
        self._ready.wait()

    @property
    def viewers(self) -> int:
        """How many requests wait for a picture or read the stream."""
        return self._site.viewers

    def know(self, model: str) -> None:
        """Say which model runs, now that it is known."""
        self._with_state.model = model

    def offer(self, image: np.ndarray, status: Status, number: int = 0) -> None:
        """Take the newest picture of an input (uint8 BGR, not changed any more) and its status; returns at once."""
        self._with_state.note(number, status)
        view = self._board.put(number, Seen(image, status))
        self._site.states.offer(view)
        self._site.pictures.offer(view)

    def place(self, number: int) -> Place:
        """Return where input ``number`` shows its own."""
        return Place(self, number)

    def tell(self, event: Event) -> None:
        """Hand an event to all who listen to ``/events``; returns at once. The end of a gesture is told, too."""
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody listens any more
            self._events.call_soon_threadsafe(self._site.ring.put, event)

    def close(self, why: str = "end") -> None:
        """Tell the viewers that the demo has ended, and ``why``; then stop. May be repeated."""
        if self._closed:
            return
        self._closed = True
        self._site.ended = why
        self._site.states.close()
        self._site.pictures.close()
        self._events.call_soon_threadsafe(self._site.ring.end)
        self._events.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=5.0)

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._ready.set()  # whatever happened, nobody waits for it

    async def _serve(self) -> None:
        self._events, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = HTTPServer(
            application(self._site), max_header_size=16 * 1024, max_body_size=1024,
            idle_connection_timeout=60, body_timeout=5,
        )  # fmt: skip
        server.add_socket(self._socket)
        self._ready.set()
        await self._stop.wait()
        server.stop()
        await asyncio.sleep(_PARTING_S)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(server.close_all_connections(), 2.0)


class Place:
    """The place of one input on the page."""

    def __init__(self, server: Server, number: int) -> None:
        self._server, self._number = server, number

    def offer(self, image: np.ndarray, status: Status) -> None:
        """Take the newest picture and its status; returns at once."""
        self._server.offer(image, status, self._number)
