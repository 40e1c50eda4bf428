"""The requests that are answered. Everything needs the token, if there is one, and a Host that can be ours.

- ``GET /``: the page.
- ``GET /next?after=N``: the newest picture after number N with its state (`pictures.WithState`), as soon as there
  is one; 204 when none came for a while, 410 when the demo has ended.
- ``GET /stream.mjpg``: pictures with the panel drawn below them, for other programs.
- ``POST /reset``: the model forgets what it has seen; 204.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import Application, RequestHandler

from .address import host_fits, origin_fits, token_fits
from .latest import Latest

MAX_VIEWERS = 32
_BOUNDARY = "tsm-edge-picture"


@dataclass
class Site:
    """What the handlers share. ``patience_s``: how long a viewer may take to accept one answer."""

    page: str
    token: str
    names: list[str]
    states: Latest
    pictures: Latest
    reset: Callable[[], None]
    patience_s: float = 10.0
    quiet_s: float = 10.0
    viewers: int = 0
    ended: str = ""
    policy: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.policy = _content_policy(self.page)


def application(site: Site) -> Application:
    """Return the application; it logs no requests."""
    kinds: list[tuple[str, type[Handler]]] = [
        (r"/", Page),
        (r"/next", Next),
        (r"/stream\.mjpg", Stream),
        (r"/reset", Reset),
    ]
    return Application(
        [(pattern, kind, {"site": site}) for pattern, kind in kinds],
        default_handler_class=Handler,
        default_handler_args={"site": site},
        log_function=lambda handler: None,
    )


class Handler(RequestHandler):
    """The checks that come before everything, and errors in plain words. On its own it answers 404."""

    site: Site

    def initialize(self, site: Site) -> None:
        """Take what the handlers share."""
        self.site = site

    def set_default_headers(self) -> None:
        """Nothing is kept, guessed, embedded elsewhere or told to other sites."""
        self.clear_header("Server")
        for name, value in (
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ):
            self.set_header(name, value)

    def prepare(self) -> Awaitable[None] | None:
        """Refuse whoever comes by a foreign name, without the token, or to a place that does not exist."""
        if not host_fits(self.request.host, self.site.names):
            self.refuse(403, "this machine is not known by that name; use its IP address")
        elif self.site.token and not token_fits(self._given_token(), self.site.token):
            self.refuse(403, "the token is missing or wrong; open the address that tsm-edge demo printed")
        elif type(self) is Handler:
            self.refuse(404, "there is nothing here; the page is at /")
        return None

    def compute_etag(self) -> None:
        """No sum over pictures that are never asked for twice."""

    def refuse(self, status: int, why: str) -> None:
        """End the request with one line of text."""
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status}: {why}\n")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer what tornado itself refuses, such as a method that does not exist."""
        self.refuse(status_code, self._reason.lower())

    async def deliver(self, sent: Awaitable[None]) -> bool:
        """Wait until what was written is on its way; cut off a viewer that does not take it."""
        try:
            await asyncio.wait_for(sent, self.site.patience_s)
        except StreamClosedError:
            return False
        except asyncio.TimeoutError:
            self.request.connection.stream.close()  # type: ignore[union-attr]  # of HTTP1Connection
            return False
        return True

    def _given_token(self) -> str:
        scheme, _, value = self.request.headers.get("Authorization", "").partition(" ")
        return value.strip() if scheme.lower() == "bearer" else self.get_query_argument("token", "")


class Page(Handler):
    """The page."""

    def get(self) -> None:
        """Send it."""
        self.set_header("Content-Security-Policy", self.site.policy)
        self.finish(self.site.page)


class Viewer(Handler):
    """A request that waits for pictures and counts as a viewer until it is answered."""

    _counted = False

    def admit(self) -> bool:
        """Count this viewer; refuse it if there are too many."""
        if self.site.viewers >= MAX_VIEWERS:
            self.refuse(503, f"{MAX_VIEWERS} viewers are looking on already")
            return False
        self.site.viewers += 1
        self._counted = True
        return True

    def on_finish(self) -> None:
        """Count it no longer."""
        self._leave()

    def on_connection_close(self) -> None:
        """Count it no longer."""
        self._leave()

    def _leave(self) -> None:
        self.site.viewers -= self._counted
        self._counted = False


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


def _content_policy(page: str) -> str:
    """Return a policy that lets the page's own script and style run and nothing else, by their sums."""

    def sums(tag: str) -> str:
        parts = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in parts]
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {sums('script')}; style-src {sums('style')}; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
