"""The sign of life for systemd: only when frames arrive and steps end. A stand-in for the manager times it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time

import pytest

from tsm_edge.demo.feed import Live
from tsm_edge.demo.loop import Loop
from tsm_edge.demo.report import JsonReporter
from tsm_edge.demo.sources import Frame
from tsm_edge.demo.watchdog import Watchdog
from tsm_edge.sampling import Sampler

PATIENCE_S = 0.8


class Manager:
    """What systemd is to a service: a socket, and the times at which it heard of it."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + path[1:] if path.startswith("@") else path)
        self.socket.settimeout(0.05)
        self.heard: list[tuple[float, str]] = []

    def listen(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self.heard.append((time.monotonic(), self.socket.recv(4096).decode()))
            except TimeoutError:
                continue

    def read(self) -> None:
        """What is there already."""
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self.heard.append((time.monotonic(), self.socket.recv(4096).decode()))

    @property
    def pets(self) -> list[float]:
        return [at for at, text in self.heard if "WATCHDOG=1" in text.splitlines()]

    def bites_at(self, now: float) -> float | None:
        """When it would have ended the service, if it would have by now."""
        times = [*self.pets, now]
        return next((a + PATIENCE_S for a, b in zip(times, times[1:]) if b - a > PATIENCE_S), None)


@pytest.fixture
def manager(tmp_path, monkeypatch):
    managers = []

    def start(path=None):
        path = path or str(tmp_path / "notify")
        managers.append(Manager(path))
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.setenv("WATCHDOG_USEC", str(int(PATIENCE_S * 1e6)))
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        return managers[-1]

    yield start
    for one in managers:
        one.socket.close()


class Camera:
    """Delivers 30 frames a second; ``freeze`` is a driver that hangs, as one whose cable has come loose does."""

    name, live, state, reconnects = "camera 0", True, "", 0

    def __init__(self, picture) -> None:
        self.freeze = threading.Event()
        self.closed = threading.Event()
        self._picture, self._begin, self._count = picture, time.monotonic(), 0

    def read(self):
        while self.freeze.is_set() and not self.closed.wait(0.02):
            pass
        if self.closed.is_set():
            return None
        self._count += 1
        time.sleep(1 / 30)
        return Frame(self._picture, time.monotonic() - self._begin)

    def silence(self, seconds):
        raise AssertionError("the watchdog is the first")

    def notes(self):
        return []

    def stop(self):
        self.closed.set()

    def close(self):
        self.closed.set()


@pytest.mark.parametrize("what", ["camera", "step"])
@pytest.mark.parametrize("path", [None, "@tsm-edge-test"])
def test_what_stands_still_makes_it_bite(manager, make, capsys, what, path):
    manager = manager(path and f"{path}-{os.getpid()}-{what}")
    camera = Camera(make.picture((0, 0, 255)))
    stream = make.stream()
    step, stuck = stream.step, threading.Event()

    def may_hang(frame, *, format="bgr"):
        while stuck.is_set() and not camera.closed.wait(0.02):
            pass
        return step(frame, format=format)

    stream.step = may_hang
    stop = threading.Event()
    loop = Loop(
        stream, Live(camera, Sampler(12)), make.labels, JsonReporter(),
        progress=Watchdog.from_environment(), stop=stop.is_set,
    )  # fmt: skip
    running = threading.Thread(target=loop.run)
    running.start()
    manager.listen(2 * PATIENCE_S)
    assert manager.bites_at(time.monotonic()) is None
    assert manager.heard[0][1].startswith("READY=1\nWATCHDOG=1\nSTATUS=1 frames")
    assert sum("READY=1" in text for _, text in manager.heard) == 1
    (camera.freeze if what == "camera" else stuck).set()
    frozen_at = time.monotonic()
    manager.listen(2 * PATIENCE_S)
    bite = manager.bites_at(time.monotonic())
    assert bite is not None and bite - frozen_at <= PATIENCE_S + 0.2
    stop.set()
    camera.close()
    running.join()
    loop.feed.close()


def test_programs_that_we_start_do_not_speak_for_us(manager):
    manager()
    assert Watchdog.from_environment() is not None
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)
    assert Watchdog.from_environment() is None


@pytest.mark.parametrize("variable", [("WATCHDOG_PID", "1"), ("WATCHDOG_USEC", "soon")])
def test_a_watch_over_another_process_is_not_answered(manager, monkeypatch, variable):
    manager = manager()
    monkeypatch.setenv(*variable)
    watchdog = Watchdog.from_environment()
    watchdog.tell(1, 12.0, 3.0, 0)
    manager.listen(0.1)
    assert "READY=1" in manager.heard[0][1] and not manager.pets


def test_a_manager_that_is_gone_is_no_reason_to_end(tmp_path):
    Watchdog(str(tmp_path / "nobody"), 1.0).tell(1, 12.0, 3.0, 0)


def test_what_did_not_get_through_is_said_again(tmp_path):
    """The queue of a manager that is busy holds ten messages."""
    now = [0.0]
    watchdog = Watchdog(str(tmp_path / "s"), 4.0, clock=lambda: now[0])
    watchdog.tell(1, 12.0, 3.0, 0)  # nobody is there yet
    manager = Manager(str(tmp_path / "s"))
    now[0] = 0.1
    watchdog.tell(2, 12.0, 3.0, 0)
    manager.read()
    assert manager.heard[0][1].startswith("READY=1\nWATCHDOG=1\nSTATUS=2")
    manager.socket.close()


def test_of_several_inputs_every_one_must_step(tmp_path):
    manager, now = Manager(str(tmp_path / "s")), [0.0]
    watchdog = Watchdog(str(tmp_path / "s"), 4.0, clock=lambda: now[0])
    shares = [watchdog.share(number, 3) for number in range(3)]
    for now[0] in (2.0, 4.0, 6.0):
        for share in shares[:2]:
            share.tell(1, 12.0, 3.0, 0)
        manager.read()
    assert not manager.heard
    shares[2].tell(1, 12.0, 3.0, 0)
    manager.read()
    assert len(manager.pets) == 1
    watchdog.close()
    manager.read()
    assert manager.heard[-1][1] == "STOPPING=1"
    manager.socket.close()


def test_it_says_little(tmp_path):
    """At 60 frames a second with the default patience: eight signs of life a minute, and a line every ten seconds."""
    manager, now = Manager(str(tmp_path / "s")), [0.0]
    watchdog = Watchdog(str(tmp_path / "s"), 30.0, clock=lambda: now[0])
    for number in range(3600):
        now[0] = number / 60
        watchdog.tell(number, 60.0, 3.0, 0)
        manager.read()
    assert len(manager.pets) == 8
    assert sum("STATUS=" in text for _, text in manager.heard) == 6
    manager.socket.close()
