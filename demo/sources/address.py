"""The address of a network stream taken apart: host, port, and the password, which is told to nobody else."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, unquote, urlsplit

from tsm_edge.errors import StreamError, UsageError

from ..secret import find_secret
from .redact import without_secrets

PASSWORD = "TSM_EDGE_INPUT_PASSWORD"  # of an address that has a user and no password; arguments are seen by all
INPUT_PASSWORD = "tsm-edge.input-password"  # and the credential by which systemd hands it to a service
PATIENCE_S = 5.0  # for a connection, and for its next bytes
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}


@dataclass(frozen=True)
class Address:
    """An address. ``name`` can be shown, ``user`` and ``password`` never."""

    name: str
    scheme: str
    host: str
    port: int
    bare: str = field(repr=False)  # without user and password
    user: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def whole(self) -> str:
        """With user and password, as FFmpeg wants it."""
        if not self.user:
            return self.bare
        scheme, _, rest = self.bare.partition("://")
        return f"{scheme}://{quote(self.user, safe='')}:{quote(self.password, safe='')}@{rest}"


def take_apart(text: str) -> Address:
    """Return the parts of an address.

    Raises:
        UsageError: it is none.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _no_address(text, "its host or port") from error
    if not host or not text.isprintable() or " " in text:
        raise _no_address(text, "its host" if not host else "blanks or control characters in it")
    scheme = parts.scheme.lower()
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if user and parts.password is None:
        password = find_secret("the password of --input", None, INPUT_PASSWORD, PASSWORD) or ""
    there = f"[{host}]" if ":" in host else host
    netloc = there if port is None else f"{there}:{port}"
    bare = SplitResult(scheme, netloc, parts.path, parts.query, "").geturl()
    return Address(without_secrets(text), scheme, host, port or _PORTS[scheme], bare, user, password)


def reach(address: Address) -> None:
    """Raise StreamError when nobody listens there; the receivers themselves do not say why they fail."""
    try:
        socket.create_connection((address.host, address.port), timeout=PATIENCE_S).close()
    except OSError as error:
        raise unreachable(address, error) from error


def unreachable(address: Address, error: OSError) -> StreamError:
    """Return the error for a connection that cannot be made."""
    where = f"{address.host}, port {address.port}"
    if isinstance(error, socket.gaierror):
        return StreamError(
            f"There is no host '{address.host}'.",
            found=f"{address.name}: {error.strerror}",
            hint="look at the spelling, or give its number: rtsp://192.168.1.20/...",
        )
    if isinstance(error, ConnectionRefusedError):
        return StreamError(
            f"{address.name} refuses the connection.",
            found=f"nobody listens at {where}",
            hint="look at the port, and whether the camera's stream is switched on",
        )
    if isinstance(error, TimeoutError):
        return StreamError(
            f"{address.name} does not answer.",
            found=f"nothing from {where} in {PATIENCE_S:g} s",
            hint="look whether the camera is on, and whether this machine is in its network: ping " + address.host,
        )
    return StreamError(
        f"{address.name} cannot be reached.",
        found=f"{where}: {error.strerror or error}",
        hint="look at the network between: ping " + address.host,
    )


def refused(address: Address) -> StreamError:
    """Return the error for an answer that asks for a user and a password, or does not take those given."""
    given = bool(address.user)
    return StreamError(
        f"{address.name} " + ("does not take this user and password." if given else "asks for a user and a password."),
        found="401 Unauthorized",
        hint=("look at both; " if given else "")
        + f"write {address.scheme}://USER@HOST/... and put the password into ${PASSWORD}",
    )


def silent(name: str, seconds: float, before: str = "") -> StreamError:
    """Return the error for a connection through which nothing comes."""
    return StreamError(
        f"{name} is connected, but no picture comes.",
        found=f"nothing for {seconds:g} s{before}",
        hint="look whether the camera is too busy: many serve only one or two viewers, and a slow network wants a "
        "smaller stream",
    )


def _no_address(text: str, what: str) -> UsageError:
    return UsageError(
        "That address cannot be read.",
        found=f"{without_secrets(text)!r}: {what}",
        allowed="rtsp://HOST:PORT/PATH or http://HOST:PORT/PATH",
        hint="in user and password, write %40 for @, %3A for : and %2F for /",
    )
