"""``--mqtt mqtt[s]://[USER@]HOST[:PORT][/PREFIX]``: the broker, the topics and what is needed to be let in."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tsm_edge.errors import UsageError

DEFAULT_PREFIX = "tsm-edge"
DISCOVERY = "homeassistant"  # where Home Assistant looks unless it was told otherwise
_ALLOWED = "mqtt://[USER@]HOST[:PORT][/PREFIX], or mqtts:// for an encrypted connection"
_LONGEST_TOPIC = 200  # bytes; the protocol has 65535, but brokers and files have less
_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True)
class Broker:
    """A broker and the topics below ``prefix``; ``discovery`` is "" where nothing is to be discovered."""

    host: str
    port: int
    prefix: str
    user: str = ""
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    discovery: str = DISCOVERY

    @property
    def place(self) -> str:
        """What messages call it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def topic(self, name: str) -> str:
        """Return the topic of that name below the prefix."""
        return f"{self.prefix}/{name}"


def parse_broker(
    text: str, *, password: str | None = None, ca: Path | None = None, discovery: str | None = None
) -> Broker:
    """Return the broker that ``--mqtt`` names.

    Raises:
        UsageError: no address, a password in sight, a bad topic, or a file of certificates that cannot be read.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
        name = parts.hostname or ""
        host = name if ":" in name else name.encode("idna").decode("ascii")
        user = unquote(parts.username or "", errors="strict")
        path = unquote(parts.path, errors="strict").strip("/")
    except (ValueError, UnicodeError):
        raise _no_address(text) from None
    if parts.password is not None:
        raise UsageError(
            "The address of --mqtt has a password, which everybody sees who lists the processes.",
            found=f"{parts.scheme}://{user}:...@{host}",
            allowed=_ALLOWED,
            hint="write it into a file that only you can read, and give --mqtt-password-file FILE, or set "
            "TSM_EDGE_MQTT_PASSWORD",
        )
    if parts.scheme not in _PORTS or not host or parts.query or parts.fragment or re.search(r"[\s\x00]", host):
        raise _no_address(text)
    if password is not None and not user:
        raise UsageError(
            "A password for --mqtt needs a user.",
            found=f"no user in {text!r}",
            allowed="mqtt://USER@HOST/PREFIX, or no password file and no TSM_EDGE_MQTT_PASSWORD",
        )
    prefix = check_topic("The prefix of --mqtt", path or DEFAULT_PREFIX)
    found = DISCOVERY if discovery is None else discovery
    return Broker(
        host,
        port or _PORTS[parts.scheme],
        prefix,
        user,
        password,
        _context(ca, encrypted=parts.scheme == "mqtts"),
        check_topic("--mqtt-discovery", found) if found else "",
    )


def check_topic(what: str, topic: str) -> str:
    """Return the topic; UsageError if a broker would not take it, or would read it as a pattern."""
    good = re.fullmatch(r"[^+#$/\x00-\x1f\x7f][^+#\x00-\x1f\x7f]*", topic) and "//" not in topic
    if not good or len(topic.encode()) > _LONGEST_TOPIC or topic.endswith("/"):
        raise UsageError(
            f"{what} is no topic.",
            found=repr(topic[:_LONGEST_TOPIC]),
            allowed=f"words with / between them, at most {_LONGEST_TOPIC} bytes, without + # and a $ at the beginning",
        )
    return topic


def _context(ca: Path | None, *, encrypted: bool) -> ssl.SSLContext | None:
    if not encrypted:
        if ca is not None:
            raise UsageError(
                "--mqtt-ca is for an encrypted connection.",
                found="--mqtt-ca with mqtt://",
                allowed="mqtts://HOST/PREFIX",
            )
        return None
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except OSError as error:  # of ssl, too
        raise UsageError(
            f"The certificates of --mqtt-ca cannot be used: '{ca}'.",
            found=error.strerror or str(error),
            allowed="a file of certificates in PEM form, those of who signed the broker's",
        ) from error


def _no_address(text: str) -> UsageError:
    shown = re.sub(r"(//[^/@]*?):[^/@]*@", r"\1:...@", text)
    return UsageError("--mqtt needs the address of a broker.", found=repr(shown), allowed=_ALLOWED)
