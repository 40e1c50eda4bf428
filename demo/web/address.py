"""Where the page is served, and who may see it: the address, the token, and what a request must say of itself."""

from __future__ import annotations

import errno
import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from tsm_edge.errors import ServeError, UsageError

_ALLOWED = (
    "HOST:PORT, for example 127.0.0.1:8080 (this machine) or 0.0.0.0:8080 (everybody who has the token)"
)
_LAST_PORT = 65535
_TOKEN = re.compile(r"[A-Za-z0-9_-]{12,128}")
_SEND_BYTES = 128 * 1024  # per viewer: about two pictures, so that a slow viewer sees few old ones
_GIVE_UP_MS = 20_000  # how long a viewer's machine may acknowledge nothing before its connection is cut


@dataclass(frozen=True)
class Address:
    """A host name or IP address (IPv6 without brackets) and a port; port 0 lets the system choose one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only programs on this machine can connect; any other name is taken for reachable."""
        address = _ip(self.host)
        return self.host.lower() == "localhost" if address is None else address.is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return the address that ``text`` names; UsageError if it names none."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/@]+)):([0-9]+)", text)
    if match is None or (match[1] and _ip(match[1]) is None):
        raise UsageError("--serve needs an address.", found=repr(text), allowed=_ALLOWED, hint=_meant(text))
    if len(match[3]) > 5 or int(match[3]) > _LAST_PORT:
        raise UsageError(
            "The port of --serve is out of range.",
            found=match[3],
            allowed=f"0 to {_LAST_PORT}; 0 lets the system choose one",
        )
    return Address(match[1] or match[2], int(match[3]))


def _meant(text: str) -> str | None:
    """Return what was meant by a port, a host or an IPv6 address alone, or by the address of a page."""
    bare = re.sub(r"/+$", "", re.sub(r"^https?://", "", text))
    if re.fullmatch(r":?[0-9]{1,5}", bare):
        return f"--serve 127.0.0.1:{bare.removeprefix(':')}"
    ip, port = bare.rpartition(":")[::2]
    if isinstance(_ip(ip), ipaddress.IPv6Address) and port.isdigit():
        return f"--serve [{ip}]:{port}"
    whole = f"[{bare}]" if isinstance(_ip(bare), ipaddress.IPv6Address) else bare
    if re.fullmatch(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+", whole):
        return f"--serve {whole}:8080"
    return f"--serve {bare}" if bare != text else None


def choose_token(address: Address, asked: str | None) -> str:
    """Return the token that viewers need, "" for none: on loopback only if asked for, else always.

    Raises:
        UsageError: the token asked for is too short to keep anybody out, or does not fit into a URL.
    """
    if asked is None:
        return "" if address.loopback else secrets.token_urlsafe(16)
    if not _TOKEN.fullmatch(asked):
        raise UsageError(
            "--token is no good token.",
            found=f"{len(asked)} characters"
            + ("" if re.fullmatch(r"[A-Za-z0-9_-]*", asked) else ", not all allowed"),
            allowed="12 to 128 of A-Z a-z 0-9 - _",
            hint="leave --token out: a good one is made up and printed",
        )
    return asked


def listen(address: Address) -> socket.socket:
    """Return a socket that listens there; ServeError says why it cannot."""
    try:
        infos = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, where = infos[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ServeError(
            f"'{address.host}' is no address of this machine.",
            found=error.strerror or str(error),
            allowed=_ALLOWED,
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit both from the listening socket.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GIVE_UP_MS)
        listener.bind(where)
        listener.listen(64)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise _cannot_listen(address, error) from error
    return listener


def page_url(address: Address, token: str) -> str:
    """Return what to type into a browser; for "all addresses" the one that other machines reach."""
    host = address.host
    ip = _ip(host)
    if ip is not None and ip.is_unspecified:
        host = _outward(ip.version) or socket.gethostname()
    return f"http://{Address(host, address.port)}/" + (f"?token={token}" if token else "")


def token_fits(given: str, token: str) -> bool:
    """Return whether ``given`` is the token, in a time that tells nothing about how much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def host_fits(header: str, names: Iterable[str]) -> bool:
    """Return whether the Host a request names is an IP address, localhost or one of ``names``.

    A page of another site can make its own name resolve to our address and would then count as our own page
    (DNS rebinding). It cannot make the browser call it by another name than its own.
    """
    host = (urlsplit(f"//{header}").hostname or "") if _plain(header) else ""
    own = {"localhost", *(name.lower() for name in names)}
    return _ip(host) is not None or host.lower().rstrip(".") in own


def origin_fits(origin: str | None, fetch_site: str | None, host: str) -> bool:
    """Return whether a request that changes something comes from our own page or from no browser at all.

    Browsers send Origin with every POST, and newer ones Sec-Fetch-Site.
    """
    if fetch_site is not None and fetch_site not in ("same-origin", "none"):
        return False
    return origin is None or origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())


def own_names(address: Address) -> list[str]:
    """Return the names under which other machines may know this one."""
    name = socket.gethostname()
    return [address.host, name, f"{name}.local", socket.getfqdn()]


def _cannot_listen(address: Address, error: OSError) -> ServeError:
    hint = None
    if error.errno == errno.EADDRINUSE:
        hint = f"take another port, or see who has this one: ss -ltnp 'sport = :{address.port}'"
    elif error.errno == errno.EACCES:
        hint = "ports below 1024 belong to root: take one above, for example 8080"
    elif error.errno == errno.EADDRNOTAVAIL:
        hint = "see this machine's own addresses with: ip address; 0.0.0.0 stands for all of them"
    return ServeError(
        f"The page cannot be served at {address}.", found=error.strerror or str(error), hint=hint
    )


def _outward(version: int) -> str | None:
    """Return the address from which this machine would reach others; nothing is sent."""
    family, far = (socket.AF_INET6, "2001:db8::1") if version == 6 else (socket.AF_INET, "192.0.2.1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def _plain(header: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9._-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?", header) is not None


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
