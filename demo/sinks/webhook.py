"""``--webhook URL``: every event as an HTTP POST of its record, signed, in order, repeated until it is accepted.

The signature is that of Standard Webhooks (https://www.standardwebhooks.com), for which receivers have libraries: the
headers ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``, an HMAC with SHA-256 over
``ID.TIMESTAMP.BODY``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import random
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from tsm_edge import __version__
from tsm_edge.errors import UsageError

from ..events import Event
from ..secret import find_secret, handed_over
from .outbox import ROOM
from .sink import BackOff, Sink, in_words

ANSWER_S = 10.0  # how long the receiver may take for each part of its answer
KEEP_S = 3600.0  # an event that was not accepted for so long is given up: acting on it now would surprise
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
_PASSING = frozenset({408, 425, 429, *range(500, 600)})  # statuses that may be others later
_ALLOWED = "http://HOST[:PORT]/PATH or https://..., or @FILE, which holds the address"
_LEAST_SECRET = 16


@dataclass(frozen=True)
class Address:
    """Where to post, taken apart. Only ``place`` is ever printed: paths and users of webhooks are often secret."""

    tls: bool
    host: str
    port: int
    target: str = field(repr=False)
    authorization: str = field(default="", repr=False)

    @property
    def place(self) -> str:
        """Scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls else ''}://{host}:{self.port}"


def parse_webhook(text: str) -> Address:
    """Return the address that ``--webhook`` names; a file (``@FILE``) may hold one with a user and a password.

    Raises:
        UsageError: no address, or one with a password in sight of everybody who lists processes.
    """
    filed = text.startswith("@")
    if filed:
        text = find_secret("the address of --webhook", handed_over(Path(text[1:])), "", "") or ""
    try:
        parts = urlsplit(text)
        port = parts.port
        name = parts.hostname or ""
        host = name if ":" in name else name.encode("idna").decode("ascii")
    except (ValueError, UnicodeError):
        raise _no_address(text, filed) from None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[^\x21-\x7e]", text.replace(name, "")):
        raise _no_address(text, filed)
    if "@" in parts.netloc and not filed:
        raise UsageError(
            "The address of --webhook has a user or password, which everybody sees who lists the processes.",
            found=f"{parts.scheme}://...@{host}",
            allowed=_ALLOWED,
            hint="write the address into a file that only you can read, and give --webhook @FILE",
        )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    credentials = ""
    if "@" in parts.netloc:
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        credentials = f"Basic {base64.b64encode(pair.encode()).decode()}"
    tls = parts.scheme == "https"
    return Address(tls, host, port or (443 if tls else 80), target, credentials)


def _no_address(text: str, filed: bool) -> UsageError:
    """A file's content is not quoted: it may be a secret in the wrong place."""
    return UsageError(
        "--webhook needs an address.", found="what the file holds" if filed else repr(text), allowed=_ALLOWED
    )


def parse_key(secret: str | None) -> bytes | None:
    """Return the key of the signature; one that begins with ``whsec_`` is base64, as receivers' libraries have it.

    Raises:
        UsageError: too short to keep anybody from guessing it, or no base64.
    """
    if secret is None:
        return None
    key = secret.encode()
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            raise UsageError(
                "The secret of --webhook begins with whsec_, but is no base64.", allowed="whsec_ and base64"
            ) from None
    if len(key) < _LEAST_SECRET:
        raise UsageError(
            "The secret of --webhook is too short to keep anybody from guessing it.",
            found=f"{len(key)} bytes",
            allowed=f"{_LEAST_SECRET} bytes and more, or whsec_ and their base64",
            hint='make one: echo "whsec_$(head -c 32 /dev/urandom | base64)"',
        )
    return key


def signature(key: bytes, identifier: str, timestamp: int, body: bytes) -> str:
    """Return the value of the header ``webhook-signature``."""
    signed = f"{identifier}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


class Answer(NamedTuple):
    """What came of a request: its status and reason, or 0 and why there is none; how long to wait if it says so."""

    status: int
    words: str
    after_s: float = 0.0


Post = Callable[[Address, bytes, dict[str, str]], Answer]


def post(address: Address, body: bytes, headers: dict[str, str]) -> Answer:
    """Make one request. Redirections are not followed: the receiver is who was named, and it alone."""
    connection: http.client.HTTPConnection
    if address.tls:
        connection = http.client.HTTPSConnection(
            address.host, address.port, timeout=ANSWER_S, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=ANSWER_S)
    try:
        connection.request("POST", address.target, body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.reason, _retry_after(answer.getheader("Retry-After")))
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, in_words(error))
    finally:
        connection.close()


def _retry_after(value: str | None) -> float:
    """Seconds of the header, which are a number or a date; 0 without it or if it makes no sense."""
    if value is None:
        return 0.0
    if re.fullmatch(r"[0-9]{1,6}", value.strip()):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


class Webhook(Sink):
    """Posts events one after the other.

    An event that is refused for good (a status of 3xx or 4xx) has failed; one that meets no answer, a busy receiver or
    a fault of its own (408, 425, 429, 5xx) is posted again with growing pauses, for an hour. Each may arrive
    twice if an answer is lost; ``webhook-id`` tells.

    Args:
        address, key: as of `parse_webhook` and `parse_key`.
        send: makes one request, for tests.
        room, clock: as of the queue.
    """

    def __init__(
        self,
        address: Address,
        key: bytes | None = None,
        *,
        send: Post = post,
        room: int = ROOM,
        clock: Callable[[], float] = time.monotonic,
        first_pause_s: float = FIRST_PAUSE_S,
        parting_s: float | None = None,
    ) -> None:
        super().__init__("webhook", f"the webhook at {address.place}", room=room, clock=clock, parting_s=parting_s)
        self._address, self._key, self._send = address, key, send
        self._back_off = BackOff(first_pause_s, LONGEST_PAUSE_S, random.random)
        self.start()

    def _work(self) -> None:
        while not self.stopping.is_set():
            event = self.outbox.next(0.5)
            if event is not None:
                told = self._deliver(event)
                if told is None:
                    return
                self.outbox.settle(told=told)

    def _deliver(self, event: Event) -> bool | None:
        """Return whether the event was accepted at last; None if the demo ends before that is known."""
        body = json.dumps(event.record()).encode()
        first = self._clock()
        self._back_off.reset()
        while not self.stopping.is_set():
            answer = self._send(self._address, body, self._headers(event.id, body))
            if 200 <= answer.status < 300:
                self.recovered()
                return True
            said = f"{answer.status} {answer.words}" if answer.status else answer.words
            if answer.status and answer.status not in _PASSING:
                self.complain(f"an event was refused with status {said}")
                return False
            self.complain(f"an event was not accepted: {said}")
            if self._clock() - first >= KEEP_S:
                return False
            self.outbox.reconnects += 1
            self.stopping.wait(max(self._back_off.pause(), min(answer.after_s, LONGEST_PAUSE_S)))
        return None

    def _headers(self, identifier: str, body: bytes) -> dict[str, str]:
        now = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"tsm-edge/{__version__}",
            "webhook-id": identifier,
            "webhook-timestamp": str(now),
        }
        if self._key is not None:
            headers["webhook-signature"] = signature(self._key, identifier, now, body)
        if self._address.authorization:
            headers["Authorization"] = self._address.authorization
        return headers
