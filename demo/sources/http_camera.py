"""A camera that serves Motion JPEG over HTTP, as network cameras, mjpg-streamer, ESP32 boards and our own page do."""

from __future__ import annotations

import select
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPResponse

from tsm_edge.errors import StreamError

from . import jpeg
from .address import PATIENCE_S, Address, refused, silent, unreachable
from .live import Capture, Picture

_SLICE_S = 0.2
_CHUNK = 1 << 18
_PAGES = ("text/", "application/json", "application/xhtml")


def connect(address: Address, otherwise: Callable[[], Capture]) -> Capture:
    """Return a connection; ``otherwise`` makes one to what is no Motion JPEG but another kind of video.

    Raises:
        StreamError: it cannot be made, or what is there is no video.
    """
    answer = _open(address)
    kind = answer.headers.get_content_type()
    if kind.startswith("multipart/"):
        return _Parts(address, answer)
    answer.close()
    if kind.startswith("image/"):
        raise StreamError(
            f"{address.name} is a single picture, no video.",
            found=kind,
            hint="cameras that serve pictures have a stream as well: look for one that ends in .mjpg or /stream",
        )
    if kind.startswith(_PAGES):
        raise StreamError(
            f"{address.name} is no video.",
            found=kind,
            hint="this is a page; the address of the video is inside it (in a browser: open image in a new tab)",
        )
    return otherwise()


def _open(address: Address) -> HTTPResponse:
    """Return the answer to a request, whose head is read."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a camera is no business of a proxy's
    if address.user:
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, address.bare, address.user, address.password)
        opener.add_handler(urllib.request.HTTPBasicAuthHandler(passwords))
        opener.add_handler(urllib.request.HTTPDigestAuthHandler(passwords))
    request = urllib.request.Request(address.bare, headers={"User-Agent": "tsm-edge"})
    try:
        answer: HTTPResponse = opener.open(request, timeout=PATIENCE_S)
        return answer
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 401:
            raise refused(address) from None
        raise StreamError(
            f"{address.name} has no video.",
            found=f"HTTP {error.code} {error.reason}",
            hint="look at the path: http://HOST:PORT/PATH" if error.code == 404 else "see what the camera itself says",
        ) from None
    except urllib.error.URLError as error:
        reason = error.reason
        raise unreachable(address, reason if isinstance(reason, OSError) else OSError(str(reason))) from None
    except OSError as error:
        raise unreachable(address, error) from None
    except ValueError as error:  # a digest that it does not know, a redirect to nowhere
        raise _no_http(address, error) from None
    except Exception as error:  # http.client.HTTPException: not HTTP at all
        raise _no_http(address, error) from None


def _no_http(address: Address, error: Exception) -> StreamError:
    return StreamError(
        f"{address.name} gives no answer that HTTP knows.",
        found=f"{type(error).__name__}",
        hint="look at the port: is it that of rtsp:// or of https://?",
    )


class _Parts:
    """The pictures of an answer in parts. All that have come are taken off the network, and the last is decoded."""

    def __init__(self, address: Address, answer: HTTPResponse) -> None:
        self._address, self._answer = address, answer
        self._cutter = jpeg.Cutter()
        self._socket = _socket_of(answer)
        if self._socket is not None:
            self._socket.settimeout(PATIENCE_S)

    def read(self, stopped: Callable[[], bool]) -> Picture | None:
        """Wait for the next picture."""
        deadline = time.monotonic() + PATIENCE_S
        while not stopped():
            self._drain()
            picture, _ = self._cutter.newest()
            if picture is not None:
                return self._decoded(picture)
            if max(self._cutter.passed, self._cutter.waiting) > jpeg.MOST_BYTES:
                raise self._broken(f"{jpeg.MOST_BYTES >> 20} MiB without a whole JPEG picture")
            if time.monotonic() > deadline:
                raise silent(self._address.name, PATIENCE_S, f"; {self._cutter.seen} pictures before")
            if self._ready(_SLICE_S):
                self._take()
        return None

    def close(self) -> None:
        """End the connection."""
        self._answer.close()

    def _drain(self) -> None:
        while self._ready(0) and self._cutter.waiting <= jpeg.MOST_BYTES >= self._cutter.passed:
            self._take()

    def _ready(self, seconds: float) -> bool:
        if self._socket is None or self._socket.fileno() < 0 or self._buffered():
            return True
        return bool(select.select([self._socket], [], [], seconds)[0])

    def _buffered(self) -> bool:
        """Whether something has come already, into the answer's buffer, of which the socket knows nothing any more."""
        assert self._socket is not None
        self._socket.settimeout(0.0)
        try:
            there = len(self._answer.fp.peek(1))
        except OSError:  # not even a whole record of https://
            there = 0
        finally:
            self._socket.settimeout(PATIENCE_S)
        # behind a chunk stand two bytes that belong to the next one, which has not come
        return there > (2 if self._answer.chunked else 0)

    def _take(self) -> None:
        try:
            data = self._answer.read1(_CHUNK)
        except TimeoutError:
            raise silent(self._address.name, PATIENCE_S, f"; {self._cutter.seen} pictures before") from None
        except Exception as error:  # the connection is cut, or a chunk of HTTP is broken
            raise self._broken(type(error).__name__) from None
        if not data:
            raise self._broken("the end of the answer")
        self._cutter.add(data)

    def _decoded(self, picture: bytes) -> Picture:
        taken_at = time.monotonic()
        image = jpeg.decode(picture)
        if image is None:
            raise self._broken(f"a picture of {len(picture)} bytes that cannot be decoded")
        return Picture(image, taken_at)

    def _broken(self, found: str) -> StreamError:
        return StreamError(
            f"{self._address.name} broke off.",
            found=f"{found}, after {self._cutter.seen} pictures",
            hint="look whether the camera is on, and at the network between",
        )


def _socket_of(answer: HTTPResponse) -> socket.socket | None:
    """Return the socket below an answer of urllib, which is several layers down."""
    layer = getattr(answer, "fp", None)
    for name in ("fp", "raw", "_sock"):
        layer = getattr(layer, name, layer)
    return layer if isinstance(layer, socket.socket) else None
