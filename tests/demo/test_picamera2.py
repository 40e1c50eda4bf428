"""Camera modules by picamera2, for which a module stands in: absent, busy, failing midway, hanging."""

from __future__ import annotations

import sys
import threading
import time
import types

import pytest
from stream_servers import clock_picture, read_clock
from streams_lab import checked as opened

from tsm_edge.demo.sources import csi, threaded
from tsm_edge.demo.sources.wanted import Wanted
from tsm_edge.errors import CameraError, StreamError


class Picamera2:
    """What the module of this name has, as far as it is used."""

    made: list = []
    fails = ""
    busy = hangs = False

    def __init__(self, number):
        if number > 1:
            raise IndexError("list index out of range")
        self.number, self.state, self.count = number, "opened", 0
        Picamera2.made.append(self)

    def create_video_configuration(self, main, controls, buffer_count, queue):
        assert main["format"] == "RGB888" and not queue
        return {"size": main["size"], "controls": controls}

    def configure(self, configuration):
        self.configuration = configuration

    def start(self):
        if Picamera2.busy:
            raise RuntimeError("Failed to acquire camera: Device or resource busy")
        self.state = "started"

    def capture_array(self, stream):
        assert stream == "main"
        while Picamera2.hangs:
            time.sleep(0.02)
        time.sleep(self.configuration["controls"]["FrameDurationLimits"][0] / 1e6)
        if Picamera2.fails:
            raise RuntimeError(Picamera2.fails)
        self.count += 1
        width, height = self.configuration["size"]
        return clock_picture(self.count, width, height)

    def stop(self):
        self.state = "stopped"

    def close(self):
        self.state = "closed"


@pytest.fixture
def picamera2(monkeypatch):
    module = types.ModuleType("picamera2")
    module.__spec__ = types.SimpleNamespace(name="picamera2", loader=None)
    module.Picamera2 = Picamera2
    monkeypatch.setitem(sys.modules, "picamera2", module)
    monkeypatch.setattr(csi, "has_l4t", lambda: False)
    monkeypatch.setattr(Picamera2, "made", [])
    monkeypatch.setattr(Picamera2, "fails", "")
    monkeypatch.setattr(Picamera2, "busy", False)
    monkeypatch.setattr(Picamera2, "hangs", False)
    return Picamera2


def test_a_camera_module_by_picamera2(picamera2, monkeypatch):
    source = opened("csi://1", Wanted((64, 48), 50.0))
    shown = [read_clock(source.read().image) for _ in range(4)]
    assert shown == sorted(set(shown))
    time.sleep(0.3)
    newest = read_clock(source.read().image)
    assert newest - shown[-1] >= 5, "the newest, not the one that waited longest"
    source.close()
    (made,) = picamera2.made
    assert (made.number, made.state) == (1, "closed")
    assert made.configuration["controls"] == {"FrameDurationLimits": (20000, 20000)}


def test_a_module_that_picamera2_does_not_have(picamera2):
    with pytest.raises(CameraError, match="cannot be opened by picamera2") as caught:
        opened("csi://7")
    assert "IndexError" in caught.value.found


def test_picamera2_that_fails_midway(picamera2, quick, monkeypatch):
    source = opened("csi://0", Wanted((64, 48), 50.0), give_up_s=0.3)
    source.read()
    picamera2.fails = "Camera frontend has timed out!"
    with pytest.raises(StreamError, match="gives no frame") as caught:
        while True:
            source.read()
    assert "frontend has timed out" in caught.value.found
    assert picamera2.made[0].state == "closed"


def test_a_module_that_another_program_has(picamera2):
    picamera2.busy = True
    with pytest.raises(CameraError, match="cannot be opened by picamera2") as caught:
        opened("csi://0")
    assert "resource busy" in caught.value.found and "other programs" in caught.value.hint
    assert picamera2.made[0].state == "closed"


def test_picamera2_that_hangs_is_opened_again(picamera2, quick, monkeypatch):
    monkeypatch.setattr(threaded, "PATIENCE_S", 0.4)
    monkeypatch.setattr(threaded, "_PARTING_S", 0.1)
    source = opened("csi://0", Wanted((64, 48), 50.0), give_up_s=10)
    source.read()
    picamera2.hangs = picamera2.busy = True  # the thread that hangs has the camera

    def later():
        while "connecting again" not in source.state:
            time.sleep(0.02)
        picamera2.hangs = picamera2.busy = False

    waker = threading.Thread(target=later)
    waker.start()
    while not source.reconnects:
        assert source.read() is not None
    waker.join()
    source.close()
    assert {one.state for one in picamera2.made} == {"closed"}


def test_picamera2_of_which_half_is_installed(picamera2, monkeypatch):
    monkeypatch.delattr(sys.modules["picamera2"], "Picamera2")
    with pytest.raises(CameraError, match="cannot be opened by picamera2") as caught:
        opened("csi://0")
    assert "ImportError" in caught.value.found
