"""RTSP from the real server of GStreamer: what cameras send, and each way in which it fails."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from stream_servers import has_rtsp_server, rtsp_server
from streams_lab import opened, refusal

from tsm_edge.demo.sources import ffmpeg_stream, live
from tsm_edge.demo.sources.address import take_apart
from tsm_edge.demo.sources.ffmpeg_stream import Lag
from tsm_edge.errors import StreamError

HAS_INSPECT = shutil.which("gst-inspect-1.0") is not None
needs_rtsp = pytest.mark.skipif(not has_rtsp_server(), reason="needs libgstrtspserver-1.0-0 and its plugins")
SOURCE = "( videotestsrc is-live=true ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 ! "
H264 = SOURCE + "openh264enc gop-size=10 ! rtph264pay name=pay0 )"
CODECS = {
    "openh264enc": H264,
    "jpegenc": SOURCE + "jpegenc ! rtpjpegpay name=pay0 )",
    "x265enc": SOURCE + "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! h265parse config-interval=-1 "
    "! rtph265pay name=pay0 )",
}


@pytest.fixture
def hasty(monkeypatch):
    """Short waits, for servers that hang."""
    for module in ("address", "ffmpeg_stream"):
        monkeypatch.setattr(f"tsm_edge.demo.sources.{module}.PATIENCE_S", 1.5)
    monkeypatch.setattr(live, "_FIRST_S", 0.2)
    monkeypatch.setattr(live, "_PAUSES_S", (0.3,))


def has_encoder(name):
    return HAS_INSPECT and subprocess.run(["gst-inspect-1.0", "--exists", name], check=False).returncode == 0


@needs_rtsp
@pytest.mark.parametrize("encoder", CODECS)
def test_what_cameras_send(encoder):
    if not has_encoder(encoder):
        pytest.skip(f"GStreamer has no {encoder} here; Debian's gstreamer1.0-plugins-good and -bad have")
    with rtsp_server(CODECS[encoder]) as (port, _):
        source = opened(f"rtsp://127.0.0.1:{port}/live")
        frames = [source.read() for _ in range(20)]
        source.close()
    assert frames[-1].image.shape == (120, 160, 3)
    bars = frames[-1].image[20, 11::22].astype(int)  # white, yellow, cyan, green, ... of videotestsrc, as BGR
    assert [tuple(bar > 120) for bar in bars[:4]] == [(1, 1, 1), (0, 1, 1), (1, 1, 0), (0, 1, 0)]
    stamps = [frame.t_s for frame in frames]
    assert stamps == sorted(set(stamps))
    assert (stamps[-1] - stamps[0]) / 19 == pytest.approx(1 / 25, rel=0.8)


@needs_rtsp
def test_a_server_that_is_killed_and_comes_back():
    with rtsp_server(H264) as (port, child):
        source = opened(f"rtsp://127.0.0.1:{port}/live")
        last = [source.read() for _ in range(10)][-1]
        assert "RTSP 404" in refusal(f"rtsp://127.0.0.1:{port}/nowhere")
        child.kill()
        child.wait()
        with rtsp_server(H264, port=port):
            while not source.reconnects:
                frame = source.read()
            assert frame.gap_s > 0.2 or frame.t_s > last.t_s
        source.close()


@needs_rtsp
def test_a_server_that_hangs_midway_and_goes_on(hasty):
    """It keeps the connection and sends nothing: seen by the clock, said, and connected again when it wakes."""
    with rtsp_server(H264) as (port, child):
        source = opened(f"rtsp://127.0.0.1:{port}/live")
        for _ in range(10):
            source.read()
        os.kill(child.pid, signal.SIGSTOP)
        states = []

        def wake():
            while not source.state:
                time.sleep(0.02)
            states.append(source.state)
            os.kill(child.pid, signal.SIGCONT)

        waker = threading.Thread(target=wake)
        waker.start()
        while not source.reconnects:
            frame = source.read()
        waker.join()
        source.close()
    assert states == [f"no picture from rtsp://127.0.0.1:{port}/live: connecting again"]
    assert frame.gap_s > 1.0


@needs_rtsp
def test_a_server_that_hangs_from_the_start(hasty):
    with rtsp_server(H264) as (port, child):
        os.kill(child.pid, signal.SIGSTOP)
        text = refusal(f"rtsp://127.0.0.1:{port}/live")
    assert "is connected, but no picture comes" in text and "nothing for 1.5 s" in text


@needs_rtsp
def test_a_password_opens_it_and_is_never_shown(tmp_path):
    """By nobody: FFmpeg and OpenCV print lines of their own to the terminal of the command."""
    with rtsp_server(H264, password="s3c@ret") as (port, _):
        source = opened(f"rtsp://me:s3c%40ret@127.0.0.1:{port}/live")
        assert source.read() is not None
        source.close()
        assert "s3c" not in source.name
        assert "asks for a user" in refusal(f"rtsp://127.0.0.1:{port}/live")
        command = [sys.executable, "-m", "tsm_edge", "record", "--headless", "--label", "wave"]
        done = subprocess.run(
            [*command, "--out", str(tmp_path), "--input", f"rtsp://me@127.0.0.1:{port}/live"],
            env={**os.environ, "TSM_EDGE_INPUT_PASSWORD": "wr0ng"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 4 and done.stdout == "" and "wr0ng" not in done.stderr
    assert done.stderr.startswith(
        f"error[stream]: rtsp://...@127.0.0.1:{port}/live does not take this user and password."
    )
    assert not list(tmp_path.iterdir())


def test_a_port_that_speaks_something_else():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            for _ in range(3):
                connection, _address = server.accept()
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        assert "no answer that RTSP knows" in refusal(f"rtsp://127.0.0.1:{server.getsockname()[1]}/live")


def test_the_lag_is_measured_against_the_promptest_picture():
    lag = Lag()
    assert lag.of(0.0, 100.0) == 0.0
    assert lag.of(1.0, 101.5) == pytest.approx(0.5, abs=1e-3)
    assert lag.of(2.0, 101.9) == pytest.approx(0.0, abs=1e-3)
    assert lag.of(3.0, 103.4) == pytest.approx(0.5, abs=1e-3)
    assert lag.of(0.0, 104.0) == 0.0  # the camera began anew
    assert [lag.of(0.0, 105.0 + n) for n in range(3)] == [0.0] * 3  # it has no stamps


def test_a_stream_that_is_slower_than_its_own_clock_is_said_to_lag(monkeypatch):
    """Each picture is 0.04 s after the last by the camera's clock and comes a second after it."""
    now, stamp = [100.0], [0.0]

    class Capture:
        def __init__(self, *_):
            self.released = 0

        def isOpened(self):
            return True

        def grab(self):
            now[0] += 1.0
            stamp[0] += 0.04
            return True

        def retrieve(self):
            return True, np.zeros((4, 4, 3), np.uint8)

        def get(self, _):
            return 1000 * stamp[0]

        def release(self):
            self.released += 1

    monkeypatch.setattr(ffmpeg_stream, "reach", lambda address: None)
    monkeypatch.setattr(ffmpeg_stream.cv2, "VideoCapture", Capture)
    monkeypatch.setattr(ffmpeg_stream, "time", SimpleNamespace(monotonic=lambda: now[0]))
    stream = ffmpeg_stream.FfmpegStream(take_apart("rtsp://camera/live"))
    lags = [-stream.read(lambda: False).taken_at + now[0] for _ in range(3)]
    assert lags == pytest.approx([0.0, 0.96, 1.92], abs=0.01)
    with pytest.raises(StreamError, match="rtsp://camera/live lags behind") as caught:
        stream.read(lambda: False)
    assert "smaller stream" in caught.value.hint
    stream.close()
