"""A real mosquitto for tests: started on a free port, killed, started again; a subscriber; and a proxy that cuts."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from paho.mqtt.client import CallbackAPIVersion, Client

PROGRAM = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A port that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Any], what: str = "it", timeout_s: float = 20.0) -> None:
    """Wait for something that must come true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came true"
        time.sleep(0.01)


class Mosquitto:
    """A broker that keeps nothing on disk; ``lines`` are added to its configuration."""

    def __init__(self, folder: Path, *lines: str, port: int = 0) -> None:
        self.folder, self.port = folder, port or free_port()
        access = [] if any(line.startswith("allow_anonymous") for line in lines) else ["allow_anonymous true"]
        text = [f"listener {self.port} 127.0.0.1", *access, "user root", *lines]
        (folder / "mosquitto.conf").write_text("\n".join(text) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Mosquitto:
        """Start it and wait until it listens."""
        assert PROGRAM is not None
        self.process = subprocess.Popen(
            [PROGRAM, "-c", str(self.folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "mosquitto.log").open("ab"),
        )
        until(self._listens, f"mosquitto ({(self.folder / 'mosquitto.log').read_text()})")
        return self

    def kill(self) -> None:
        """End it without a word to anyone."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
            return True
        return False


class Subscriber:
    """Hears everything; comes back by itself, and the broker keeps messages for it meanwhile if it can."""

    def __init__(self, port: int, name: str = "subscriber", topic: str = "#", **login: str) -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        self.client.reconnect_delay_set(0.05, 0.05)  # type: ignore[arg-type]
        if login:
            self.client.username_pw_set(**login)
        self.subscribed = 0
        self.client.on_connect = lambda *_: self.client.subscribe(topic, qos=2)
        self.client.on_subscribe = self._count
        self.client.on_message = lambda _c, _d, m: self.heard.append((m.topic, m.payload, m.retain))
        self.client.connect("127.0.0.1", port, keepalive=10)
        self.client.loop_start()
        until(lambda: self.subscribed)

    def _count(self, *_: Any) -> None:
        self.subscribed += 1

    def frames(self, topic: str) -> list[int]:
        """The frame numbers of the records told at a topic while we listened, in order."""
        return [json.loads(body)["frame"] for name, body, retained in self.heard if name == topic and not retained]

    def last(self, topic: str) -> bytes | None:
        """The newest message of a topic."""
        return next((body for name, body, _ in reversed(self.heard) if name == topic), None)

    def close(self) -> None:
        """Leave."""
        self.client.disconnect()
        self.client.loop_stop()


class Cutter:
    """A proxy before a broker that cuts a connection right after, or instead of, a packet of some type.

    ``cuts`` are triples of a direction ("up" to the broker, "down" to us), a packet type and ``passes``; each is used
    once. The packet at which it cuts is still passed on if ``passes``; ``skip`` such packets go by before.
    """

    def __init__(self, port: int, cuts: list[tuple[str, int, bool]]) -> None:
        self.cuts, self.target, self.seen, self.skip = list(cuts), port, 0, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    near.close()
                    continue
                for way, source, sink in (("up", near, far), ("down", far, near)):
                    threading.Thread(target=self._pass, args=(way, source, sink), daemon=True).start()

    def _pass(self, way: str, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for packet in _packets(source):
                fits = bool(self.cuts) and self.cuts[0][:2] == (way, packet[0] >> 4)
                if fits and self.skip:
                    self.skip -= 1
                elif fits:
                    if self.cuts.pop(0)[2]:
                        sink.sendall(packet)
                        time.sleep(0.1)  # the broker acts on it
                    self.seen += 1
                    break
                sink.sendall(packet)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Accept nobody any more."""
        self._listener.close()


def _packets(source: socket.socket) -> Iterator[bytes]:
    """The packets of the protocol: a byte of type and flags, a length of one to four bytes, the rest."""
    stream = source.makefile("rb")
    while head := stream.read(1):
        length, shift = 0, 0
        while True:
            digit = stream.read(1)
            head += digit
            length |= (digit[0] & 0x7F) << shift
            shift += 7
            if digit[0] < 0x80:
                break
        yield head + stream.read(length)
