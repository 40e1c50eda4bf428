"""What is asked of a source, whether it was done, and what is shown while a source gives nothing."""

from __future__ import annotations

import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tsm_edge import cli
from tsm_edge.demo.feed import Live
from tsm_edge.demo.loop import Loop
from tsm_edge.demo.report import TextReporter
from tsm_edge.demo.sources import Frame
from tsm_edge.demo.sources.camera import Camera
from tsm_edge.demo.sources.files import ImageFolder
from tsm_edge.demo.sources.turned import Turned
from tsm_edge.demo.sources.uri import numbered, parse_input
from tsm_edge.demo.sources.wanted import Wanted
from tsm_edge.errors import CameraError, UsageError
from tsm_edge.sampling import Sampler


class Driver:
    """A V4L2 camera as OpenCV shows it: it delivers 640x480 or 1280x720 as YUYV or MJPG, at most 30 a second."""

    def __init__(self, picture, stamped=True):
        self.settings = {cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"YUYV"), cv2.CAP_PROP_FPS: 30.0}
        self.picture, self.stamped, self.released = picture, stamped, 0

    def isOpened(self):
        return True

    def set(self, prop, value):
        if prop == cv2.CAP_PROP_FRAME_WIDTH:
            value = 1280 if value > 960 else 640
        if prop == cv2.CAP_PROP_FRAME_HEIGHT:
            value = 720 if value > 600 else 480
        if prop == cv2.CAP_PROP_FPS:
            value = min(value, 30.0)
        if prop == cv2.CAP_PROP_FOURCC and value not in [cv2.VideoWriter.fourcc(*f) for f in ("YUYV", "MJPG")]:
            return False
        self.settings[prop] = value
        return True

    def get(self, prop):
        if prop == cv2.CAP_PROP_POS_MSEC:
            return 1000 * (time.monotonic() - 0.05) if self.stamped else 0.0
        return self.settings.get(prop, 0.0)

    def grab(self):
        return True

    def retrieve(self):
        return True, self.picture

    def release(self):
        self.released += 1


def test_a_camera_is_asked_for_what_is_wanted(make):
    driver = Driver(make.picture((1, 2, 3)))
    Camera(numbered(0), Wanted((1280, 720), 15.0, "mjpeg"), open_capture=lambda device: driver)
    assert driver.settings[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert (driver.settings[cv2.CAP_PROP_FRAME_WIDTH], driver.settings[cv2.CAP_PROP_FPS]) == (1280, 15.0)
    assert driver.settings[cv2.CAP_PROP_BUFFERSIZE] == 1


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted((9999, 9999)), "1280x720 for --size 9999x9999"),
        (Wanted(rate=120.0), "30 a second for --rate 120"),
        (Wanted(format="nv12"), "YUYV for --format nv12"),
    ],
)
def test_a_camera_that_makes_something_else_of_it_is_an_error(make, wanted, found):
    driver = Driver(make.picture((1, 2, 3)))
    with pytest.raises(CameraError, match="does not deliver what was asked for") as caught:
        Camera(numbered(0), wanted, open_capture=lambda device: driver)
    assert caught.value.found == found and caught.value.exit_code == 4
    assert "tsm-edge cameras" in caught.value.hint and driver.released == 1


def test_the_delay_begins_with_the_drivers_stamp(make):
    for stamped, least in ((True, 0.04), (False, 0.0)):
        camera = Camera(numbered(0), open_capture=lambda device, s=stamped: Driver(make.picture((1, 2, 3)), s))
        taken_at = camera.read().taken_at
        late = time.monotonic() - taken_at
        assert least <= late < least + 1.0


@pytest.mark.parametrize(("degrees", "corner"), [(90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_pictures_are_turned_clockwise(tmp_path, degrees, corner):
    """The corner on the upper left goes to the upper right, the lower right, the lower left."""
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[0, 0] = 255
    cv2.imwrite(str(tmp_path / "1.png"), picture)
    source = Turned(ImageFolder(tmp_path, 12.0), degrees)
    image = source.read().image
    assert image.shape[:2] == ((6, 4) if degrees != 180 else (4, 6))
    assert image[corner].min() == 255 and int(image.sum()) == 3 * 255
    assert source.read() is None and not source.live and source.state == ""


@pytest.mark.parametrize(
    ("source", "wanted", "option"),
    [
        ("rtsp://c/x", Wanted((640, 480)), "--size"),
        ("http://c/x", Wanted(rate=5.0), "--rate"),
        ("a.mp4", Wanted(format="mjpeg"), "--format"),
        ("csi://0", Wanted(format="nv12"), "--format"),
        ("gst:a ! b", Wanted(format="nv12"), "--format"),
    ],
)
def test_what_a_source_cannot_be_told_is_refused(source, wanted, option):
    with pytest.raises(UsageError, match=f"{option} is not for this source"):
        wanted.check(parse_input(source))


def test_the_command_line_refuses_what_is_no_value():
    for words in (["--rotate", "45"], ["--rate", "nan"], ["--format", "jpeg2000"], ["--give-up", "-1"]):
        result = CliRunner().invoke(cli.cli, ["demo", "--input", "0", *words])
        assert result.exit_code == 2 and words[0] in result.stderr


class Broken:
    """A source that gives a picture, looks for its camera, and gives another."""

    name, live, reconnects = "cam", True, 0

    def __init__(self, picture):
        self.picture, self.count, self.state = picture, 0, ""

    def read(self):
        self.count += 1
        if self.count == 2:
            self.state = "no picture from cam: connecting again"
            time.sleep(0.5)
            self.state = ""
        return Frame(self.picture, self.count / 12, 0.5 if self.count == 2 else 0.0) if self.count < 4 else None

    def notes(self):
        return []

    def stop(self):
        pass

    def close(self):
        pass


def test_a_source_that_looks_for_its_camera_is_said_and_shown_to_do_so(make, capsys):
    shown = []
    viewers = SimpleNamespace(offer=lambda image, status: shown.append(status.note))
    stream = make.stream()
    loop = Loop(
        stream, Live(Broken(make.picture((255, 0, 0))), Sampler(12)), make.labels, TextReporter(), viewers=viewers
    )
    assert loop.run() is None
    assert "note: no picture from cam: connecting again" in capsys.readouterr().err
    assert "no picture from cam: connecting again" in shown and shown[-1] == ""
    assert stream.resets
