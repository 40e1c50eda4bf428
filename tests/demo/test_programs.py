"""Camera modules and pipelines: the real gst-launch-1.0 where it is installed, stand-ins for programs of boards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
from stream_servers import clock_picture, read_clock

from tsm_edge.demo.sources import child, csi, gst, live
from tsm_edge.demo.sources.opening import check_input, open_input
from tsm_edge.demo.sources.uri import parse_input
from tsm_edge.demo.sources.wanted import Wanted
from tsm_edge.errors import CameraError, StreamError, ToolMissing, UsageError

needs_gst = pytest.mark.skipif(shutil.which(gst.LAUNCH) is None, reason="needs gst-launch-1.0")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(child, "PATIENCE_S", 0.8)
    monkeypatch.setattr(gst, "PATIENCE_S", 0.8)
    monkeypatch.setattr(live, "_FIRST_S", 0.1)
    monkeypatch.setattr(live, "_PAUSES_S", (0.05,))


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Return a function that puts a program on $PATH, of which nothing else is there but Python's own folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(csi, "has_l4t", lambda: False)

    def write(name, code):
        path = folder / name
        path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{code}\n")
        path.chmod(0o755)
        return path

    return write


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


def opened(text, wanted=None, **options):
    wanted = wanted or Wanted()
    check_input(parse_input(text), wanted)
    return open_input(parse_input(text), wanted, rate=12.0, **options)


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


# -- Camera modules ----------------------------------------------------------------------------------------------------


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


def test_a_module_that_is_not_plugged_in_ends_with_the_programs_own_words(programs, quick):
    programs("rpicam-vid", "sys.exit('ERROR: *** no cameras available ***')")
    with pytest.raises(StreamError, match="rpicam-vid has ended, which reads csi://0") as caught:
        opened("csi://0").read()
    assert "no cameras available" in caught.value.found and "status 1, after 0 frames" in caught.value.found
    assert "ribbon cable" in caught.value.hint and caught.value.exit_code == 4


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


class Picamera2:
    """What the module of this name has, as far as it is used."""

    made: list = []
    fails = ""

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
        self.state = "started"

    def capture_array(self, stream):
        assert stream == "main"
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


# -- Pipelines ---------------------------------------------------------------------------------------------------------


@needs_gst
@pytest.mark.parametrize(
    ("pipeline", "shape"),
    [
        ("videotestsrc is-live=true ! video/x-raw,width=66,height=50,framerate=50/1", (50, 66, 3)),
        ("videotestsrc is-live=true ! video/x-raw,width=66,height=50,framerate=50/1 ! appsink drop=true", (50, 66, 3)),
    ],
)
def test_a_pipeline(pipeline, shape):
    """A width of which rows are padded; the colours of the test picture stand where they belong."""
    source = opened(f"gst:{pipeline}")
    frames = [source.read() for _ in range(5)]
    source.close()
    assert frames[0].image.shape == shape
    assert [a.t_s < b.t_s for a, b in zip(frames, frames[1:])] == [True] * 4
    top = frames[-1].image[5, [3, 14, 24, 33, 42, 52, 62]].astype(int)  # white yellow cyan green magenta red blue
    assert (top[0] > 150).all() and top[5].argmax() == 2 and top[6].argmax() == 0 and top[3].argmax() == 1


@needs_gst
def test_size_and_rate_are_made_by_the_pipeline():
    source = opened("gst:videotestsrc is-live=true", Wanted((64, 48), 20.0))
    frames = [source.read() for _ in range(8)]
    source.close()
    assert frames[0].image.shape == (48, 64, 3)
    assert 0.1 < frames[-1].t_s < 1.5


@needs_gst
def test_a_reader_that_is_slow_gets_the_newest_frame_of_a_pipeline():
    """The picture counts; after a second without reading, few old ones are left between."""
    source = opened("gst:videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=60/1")
    source.read()
    time.sleep(1.0)
    began, count = time.monotonic(), 0
    while time.monotonic() - began < 0.02:
        source.read()
        count += 1
    source.close()
    assert count <= 6, "60 would have waited"


@needs_gst
@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        ("no_such_element ! fakesrc", "no element"),
        ("videotestsrc num-buffers=0", "after 0 frames"),
        ("filesrc location=/no/such/file ! decodebin", "after 0 frames"),
        ("rtspsrc location=rtsp://me:s3cret@127.0.0.1:9/x ! decodebin", "after 0 frames"),
    ],
)
def test_pipelines_that_fail_say_gstreamers_own_words(pipeline, said, quick):
    with pytest.raises(StreamError, match="gst-launch-1.0") as caught:
        opened(f"gst:{pipeline}").read()
    assert said in caught.value.found
    assert "s3cret" not in str(caught.value)


def test_pipelines_that_are_refused(programs):
    programs(gst.LAUNCH, "time.sleep(1)")
    for text, said in (
        ("gst:", "has no pipeline"),
        ("gst:videotestsrc ! name='x", "taken apart"),
        ("gst:videotestsrc ! autovideosink", "sink of its own"),
        ("gst:videotestsrc ! fdsink fd=1", "sink of its own"),
    ):
        with pytest.raises(UsageError, match=said):
            opened(text)
    with pytest.raises(UsageError, match="needs to know that this is a pipeline") as caught:
        opened("v4l2src ! videoconvert")
    assert '--input "gst:v4l2src ! videoconvert"' in caught.value.hint


def test_without_gstreamer_the_command_that_installs_it_is_named(programs):
    with pytest.raises(ToolMissing, match="A pipeline needs GStreamer") as caught:
        opened("gst:videotestsrc")
    assert "sudo apt install gstreamer1.0-tools" in caught.value.hint


def test_no_shell_reads_a_pipeline(programs, quick):
    """Words reach the program as they are."""
    note = "open(os.path.dirname(__file__) + '/given', 'w').write(repr(sys.argv[1:]))"
    path = programs(gst.LAUNCH, note + "\nsys.exit(1)")
    with pytest.raises(StreamError):
        opened("gst:videotestsrc name=$(touch${IFS}x) ; rm 'a b' ! identity", give_up_s=0).read()
    given = (path.parent / "given").read_text()
    assert "'name=$(touch${IFS}x)', ';', 'rm', 'a b', '!', 'identity', '!'" in given


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


def test_padded_rows_are_cut(programs):
    programs(
        gst.LAUNCH,
        """
frames = int([word for word in sys.argv if word.startswith("fd=")][0][3:])
print("GstFdSink:frames.GstPad:sink: caps = video/x-raw, format=(string)BGR, width=(int)3, height=(int)2", flush=True)
os.write(frames, bytes(range(9)) + b"xxx" + bytes(range(9, 18)) + b"xxx")
time.sleep(5)
""",
    )
    source = opened("gst:a ! b")
    assert source.read().image.ravel().tolist() == list(range(18))
    source.close()


def test_frames_that_are_too_large(programs, quick):
    programs(
        gst.LAUNCH,
        'print("GstFdSink:frames.GstPad:sink: caps = video/x-raw, width=(int)99999, height=(int)99999", flush=True)\n'
        "time.sleep(5)",
    )
    with pytest.raises(StreamError, match="too large"):
        opened("gst:a ! b").read()


def test_numbers_of_modules():
    assert parse_input("csi://0").name == "csi://0"
    for text in ("csi://", "csi://x", "csi://-1", "csi://0/1"):
        with pytest.raises(UsageError, match="by its number"):
            parse_input(text)
