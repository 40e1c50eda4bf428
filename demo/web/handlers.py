"""The requests that are answered. Everything needs the token, if there is one, and a Host that can be ours.

- ``GET /``: the page.
- ``GET /next?after=N``: the newest picture after number N with its state (`pictures.WithState`), as soon as there
  is one; 204 when none came for a while, 410 when the demo has ended.
- ``GET /stream.mjpg``: pictures with the panel drawn below them, for other programs.
- ``GET /events``: gestures as server-sent events (`events.Listen`).
- ``GET /metrics``: counts of the run for Prometheus (`tsm_edge.demo.sinks.metrics`).
- ``POST /reset``: the model forgets what it has seen; 204.
"""

from __future__ import annotations

import re

from tornado.web import Application

from ..sinks.metrics import CONTENT_TYPE
from .address import origin_fits
from .base import Handler, Site
from .events import Listen
from .viewer import Viewer

_BOUNDARY = "tsm-edge-picture"


def application(site: Site) -> Application:
    """Return the application; it logs no requests."""
    kinds: list[tuple[str, type[Handler]]] = [
        (r"/", Page),
        (r"/next", Next),
        (r"/stream\.mjpg", Stream),
        (r"/events", Listen),
        (r"/metrics", Counts),
        (r"/reset", Reset),
    ]
    return Application(
        [(pattern, kind, {"site": site}) for pattern, kind in kinds],
        default_handler_class=Handler,
        default_handler_args={"site": site},
        log_function=lambda handler: None,
    )


class Page(Handler):
    """The page."""

    def get(self) -> None:
        """Send it."""
        self.set_header("Content-Security-Policy", self.site.policy)
        self.finish(self.site.page)


class Next(Viewer):
    """One picture with its state."""

    async def get(self) -> None:
        """Wait for it and send it."""
        after = self.get_query_argument("after", "0")
        if not re.fullmatch(r"[0-9]{1,15}", after):
            self.refuse(400, "'after' is the number of the last picture seen")
            return
        if not self.admit():
            return
        packet = await self.site.states.next(int(after), self.site.quiet_s)
        if packet is not None:
            self.set_header("Content-Type", "application/octet-stream")
            self.set_header("Content-Length", len(packet.data))
            self.write(packet.data)
            if await self.deliver(self.flush()):  # until then it counts as a viewer
                self.finish()
        elif self.site.states.ended:
            self.set_status(410)
            self.finish({"ended": self.site.ended})
        else:
            self.set_status(204)
            self.finish()


class Stream(Viewer):
    """All pictures, in the form that browsers, VLC and OpenCV know as Motion JPEG."""

    async def get(self) -> None:
        """Send pictures as fast as the viewer takes them, until it goes or the demo ends."""
        if not self.admit():
            return
        self.set_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        if not await self.deliver(self.flush()):
            return
        number = 0
        while self._counted:
            packet = await self.site.pictures.next(number, self.site.quiet_s)
            if packet is None:
                if self.site.pictures.ended:
                    return
                continue
            number = packet.number
            self.write(
                f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(packet.data)}\r\n\r\n".encode()
            )
            self.write(packet.data + b"\r\n")
            if not await self.deliver(self.flush()):
                return


class Counts(Handler):
    """The counts of the run."""

    def get(self) -> None:
        """Send them."""
        if self.site.metrics is None:
            self.refuse(404, "nothing is counted here")
            return
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(self.site.metrics.text())


class Reset(Handler):
    """The one request that changes something."""

    def post(self) -> None:
        """Have the model forget, if the request comes from our own page or from no browser."""
        headers = self.request.headers
        if not origin_fits(headers.get("Origin"), headers.get("Sec-Fetch-Site"), self.request.host):
            self.refuse(403, "another site may not press this button")
            return
        self.site.reset()
        self.set_status(204)
        self.finish()

    def check_xsrf_cookie(self) -> None:
        """There are no cookies; `post` looks at where the request comes from."""
