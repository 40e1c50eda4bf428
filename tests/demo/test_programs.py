"""Camera modules by programs of boards, for which others stand in: what they are asked, and however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from streams_lab import checked as opened

from tsm_edge.demo.sources import csi, gst
from tsm_edge.demo.sources.uri import parse_input
from tsm_edge.demo.sources.wanted import Wanted
from tsm_edge.errors import StreamError, ToolMissing, UsageError

#: what rpicam-vid does, as far as it is asked here: planar frames on standard output at their rate
CAMERA = """
given = dict(zip(sys.argv[1:], sys.argv[2:]))
open(os.path.join(os.path.dirname(__file__), "given"), "w").write(" ".join(sys.argv[1:]))
open(os.path.join(os.path.dirname(__file__), "pid"), "w").write(str(os.getpid()))
width, height = int(given["--width"]), int(given["--height"])
for number in range(int(os.environ.get("FRAMES", "100000"))):
    level = bytes([16 + number % 200])
    sys.stdout.buffer.write(level * (width * height) + bytes([128]) * (width * height // 2))
    sys.stdout.buffer.flush()
    time.sleep(1 / float(given["--framerate"]))
"""


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def gone(pid, within_s=5.0):
    deadline = time.monotonic() + within_s
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


@pytest.mark.parametrize("name", csi.PROGRAMS)
def test_a_camera_module_by_a_program(programs, name):
    path = programs(name, CAMERA)
    source = opened("csi://1", Wanted((64, 48), 40.0))
    frames = [source.read() for _ in range(5)]
    pid = int((path.parent / "pid").read_text())
    assert alive(pid)
    source.close()
    assert gone(pid)
    assert source.name == "csi://1" and source.live
    assert frames[0].image.shape == (48, 64, 3)
    levels = [int(frame.image[0, 0, 0]) for frame in frames]
    assert levels == sorted(set(levels))
    given = (path.parent / "given").read_text()
    assert "--camera 1 --timeout 0 --nopreview" in given
    assert "--width 64 --height 48 --framerate 40 --codec yuv420 --output -" in given


def test_the_newer_program_is_preferred(programs):
    programs("libcamera-vid", "sys.exit('not this one')")
    programs("rpicam-vid", CAMERA)
    source = opened("csi://0", Wanted((64, 48), 40.0))
    assert source.read() is not None
    source.close()


def test_without_a_route_the_commands_that_install_one_are_named(programs):
    with pytest.raises(ToolMissing, match="can read a camera module") as caught:
        opened("csi://0")
    assert caught.value.exit_code == 5
    assert "sudo apt install python3-picamera2" in caught.value.hint
    assert "sudo apt install rpicam-apps-lite" in caught.value.hint


@pytest.mark.parametrize(
    "words",
    [
        "ERROR: *** no cameras available ***",
        "ERROR: *** failed to acquire camera /base/soc/i2c0mux/i2c@1/imx219@10 ***",  # another program has it
    ],
)
def test_a_module_that_cannot_be_had_ends_with_the_programs_own_words(programs, quick, words):
    programs("rpicam-vid", f"sys.exit({words!r})")
    with pytest.raises(StreamError, match="rpicam-vid has ended, which reads csi://0") as caught:
        opened("csi://0").read()
    assert words in caught.value.found and "status 1, after 0 frames" in caught.value.found
    assert "ribbon cable" in caught.value.hint and "other programs" in caught.value.hint
    assert caught.value.exit_code == 4


def test_a_module_that_gives_nothing(programs, quick):
    note = "open(os.path.dirname(__file__) + '/pid', 'a').write(f'{os.getpid()} ')"
    path = programs("rpicam-vid", note + "\ntime.sleep(60)")
    source = opened("csi://0")
    with pytest.raises(StreamError, match="gives no frame"):
        source.read()
    source.close()
    assert all(gone(int(pid)) for pid in (path.parent / "pid").read_text().split())


def test_a_program_that_dies_is_started_again(programs, quick, monkeypatch):
    path = programs("rpicam-vid", CAMERA)
    source = opened("csi://0", Wanted((64, 48), 40.0))
    source.read()
    os.kill(int((path.parent / "pid").read_text()), signal.SIGKILL)
    while not source.reconnects:
        assert source.read() is not None
    source.close()
    assert gone(int((path.parent / "pid").read_text()))


def test_a_program_that_hangs_midway_is_started_again_until_it_is_given_up(programs, quick):
    path = programs("rpicam-vid", CAMERA.replace("time.sleep(", "time.sleep(60 if number == 3 else "))
    source = opened("csi://0", Wanted((64, 48), 40.0), give_up_s=0.2)
    for _ in range(3):
        source.read()
    first = int((path.parent / "pid").read_text())
    programs("rpicam-vid", "sys.exit('ERROR: *** no cameras available ***')")
    with pytest.raises(StreamError, match="rpicam-vid") as caught:
        while True:
            source.read()
    source.close()
    assert "s of video, then none for" in caught.value.found
    assert gone(first)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_however_we_end_the_program_ends(programs, how, tmp_path):
    """As a process of its own, which is killed while its camera's program runs."""
    path = programs("rpicam-vid", CAMERA)
    code = (
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background has none
        "from tsm_edge.demo.sources.opening import open_input\n"
        "from tsm_edge.demo.sources.uri import parse_input\n"
        "from tsm_edge.demo.sources.wanted import Wanted\n"
        "source = open_input(parse_input('csi://0'), Wanted((64, 48), 40.0), rate=12.0)\n"
        "source.read()\nprint('reads', flush=True)\n"
        "while True: source.read()\n"
    )
    ours = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert ours.stdout.readline() == b"reads\n"
    pid = int((path.parent / "pid").read_text())
    assert alive(pid)
    ours.send_signal(how)
    ours.wait(timeout=30)
    ours.stdout.close()
    assert gone(pid)


def test_odd_sizes_of_a_module(programs):
    programs("rpicam-vid", CAMERA)
    with pytest.raises(UsageError, match="even sides"):
        opened("csi://0", Wanted((65, 48)))
    with pytest.raises(UsageError, match="--format is not for this source"):
        opened("csi://0", Wanted(format="nv12"))


def test_the_module_of_a_jetson_is_a_pipeline(programs, monkeypatch):
    """nvarguscamerasrc by a gst-launch-1.0 that stands in: what it is asked for, and its frames."""
    path = programs(
        gst.LAUNCH,
        """
here = os.path.dirname(__file__)
open(here + "/given", "w").write(" ".join(sys.argv[1:]))
frames = int([word for word in sys.argv if word.startswith("fd=")][0][3:])
print("/GstPipeline:pipeline0/GstCapsFilter:x.GstPad:sink: caps = video/x-raw, width=(int)1, height=(int)1", flush=True)
print("/GstPipeline:pipeline0/GstFdSink:frames.GstPad:sink: caps = video/x-raw, format=(string)BGR, "
      "width=(int)64, height=(int)48, framerate=(fraction)30/1", flush=True)
for number in range(1000):
    os.write(frames, bytes([number % 256]) * (64 * 48 * 3))
    time.sleep(0.02)
""",
    )
    programs("gst-inspect-1.0", "sys.exit(0 if sys.argv[1:] == ['--exists', 'nvarguscamerasrc'] else 1)")
    monkeypatch.setattr(csi, "has_l4t", lambda: True)
    source = opened("csi://1", Wanted((64, 48), 30.0))
    levels = [int(source.read().image[0, 0, 0]) for _ in range(4)]
    source.close()
    assert levels == sorted(set(levels)) and source.name == "csi://1"
    given = (path.parent / "given").read_text()
    assert "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),framerate=30/1 ! nvvidconv !" in given
    programs("gst-inspect-1.0", "sys.exit(1)")
    with pytest.raises(ToolMissing, match="can read a camera module") as caught:
        opened("csi://1")
    assert "nvidia-l4t-gstreamer" in caught.value.hint


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sys.exit('ERROR: from element nvarguscamerasrc0: No cameras available')", "No cameras available"),
        ("sys.exit('Error generated. (Argus) Error Timeout: Failed to create CaptureSession')", "CaptureSession"),
        ("time.sleep(60)", "no frame in 0.8 s"),
    ],
    ids=("absent", "busy", "silent"),
)
def test_a_module_of_a_jetson_that_cannot_be_had(programs, quick, monkeypatch, code, said):
    programs(gst.LAUNCH, code)
    programs("gst-inspect-1.0", "sys.exit(0)")
    monkeypatch.setattr(csi, "has_l4t", lambda: True)
    source = opened("csi://0")
    with pytest.raises(StreamError) as caught:
        source.read()
    source.close()
    assert said in caught.value.found and "csi://0" in caught.value.what and caught.value.exit_code == 4
    assert "ribbon cable" in caught.value.hint and "nvargus-daemon" in caught.value.hint


def test_numbers_of_modules():
    assert parse_input("csi://0").name == "csi://0"
    for text in ("csi://", "csi://x", "csi://-1", "csi://0/1"):
        with pytest.raises(UsageError, match="by its number"):
            parse_input(text)
