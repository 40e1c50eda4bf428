"""What all requests have in common: what they share, who is let in, and how long an answer may take."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler

from .address import host_fits, token_fits
from .latest import Latest
from .ring import Ring

if TYPE_CHECKING:
    from ..sinks.metrics import Metrics


@dataclass
class Site:
    """What the handlers share; see `server.Server` for what each part is."""

    page: str
    token: str
    names: list[str]
    states: Latest
    pictures: Latest
    reset: Callable[[], None]
    patience_s: float
    quiet_s: float
    viewers: int = 0
    ended: str = ""
    ring: Ring = field(default_factory=Ring)
    metrics: Metrics | None = None
    policy: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.policy = _content_policy(self.page)


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

    def write_error(self, status_code: int, **kwargs: object) -> None:
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
