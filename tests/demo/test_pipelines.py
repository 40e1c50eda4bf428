"""Pipelines by the real gst-launch-1.0 where it is installed, and by an OpenCV that was built with GStreamer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import click
import pytest
from streams_lab import checked as opened

import tsm_edge
from tsm_edge.demo.sources import gst
from tsm_edge.demo.sources.wanted import Wanted
from tsm_edge.errors import StreamError, ToolMissing, UsageError

needs_gst = pytest.mark.skipif(shutil.which(gst.LAUNCH) is None, reason="needs gst-launch-1.0")


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


# -- OpenCV with GStreamer, where there is no gst-launch-1.0 -----------------------------------------------------------

SYSTEM = "/usr/bin/python3"  # Debian's OpenCV is built with GStreamer, that of PyPI is not
CHILD = """
import sys
from tsm_edge.demo.sources import gst, live, threaded
from tsm_edge.demo.sources.opening import check_input, open_input
from tsm_edge.demo.sources.uri import parse_input
from tsm_edge.demo.sources.wanted import Wanted
from tsm_edge.errors import EdgeError
threaded.PATIENCE_S, live._FIRST_S = 2.0, 0.1
source, wanted = parse_input(sys.argv[1]), Wanted((64, 48), 20.0)
try:
    check_input(source, wanted)
    opened = open_input(source, wanted, rate=12.0, give_up_s=0)
    frames = [opened.read() for _ in range(6)]
    opened.close()
    print(frames[0].image.shape, frames[0].image[5, [32, 50, 60]].argmax(axis=1), frames[-1].t_s < 1.5)
except EdgeError as error:
    print(error.report())
"""


@pytest.fixture(scope="module")
def system_python(tmp_path_factory):
    """Run code in the Python of the system, with our package and click, and without gst-launch-1.0."""
    look = "import cv2; print(cv2.getBuildInformation())"
    if not os.path.exists(SYSTEM) or not re.search(
        r"GStreamer:\s+YES", subprocess.run([SYSTEM, "-c", look], capture_output=True, text=True, check=False).stdout
    ):
        pytest.skip("no OpenCV with GStreamer in the Python of the system; Debian's package is python3-opencv")
    folder = tmp_path_factory.mktemp("site")
    (folder / "click").symlink_to(Path(click.__file__).parent)
    package = Path(tsm_edge.__file__).parent
    ours = package.parent
    if (package / "demo").is_dir():  # installed, beside packages for another Python
        (folder / "tsm_edge").symlink_to(package)
        ours = folder
    environment = {"PATH": str(folder), "PYTHONPATH": f"{ours}:{folder}", "OPENCV_LOG_LEVEL": "SILENT"}
    base = {name: value for name, value in os.environ.items() if name in ("HOME", "XDG_CACHE_HOME")}

    def run(pipeline):
        done = subprocess.run(
            [SYSTEM, "-c", CHILD, f"gst:{pipeline}"], env=base | environment, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        return done.stdout or done.stderr

    return run


def test_a_pipeline_in_opencv(system_python):
    """Its size and rate, and where green, red and blue stand in the test picture."""
    assert system_python("videotestsrc is-live=true").startswith("(48, 64, 3) [1 2 0] True")


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        ("no_such_element ! x", "does not start"),  # for ever, in OpenCV 4.6
        ("videotestsrc num-buffers=0", "has ended"),
        ("filesrc location=/no/such/file ! decodebin", "cannot be started"),
    ],
)
def test_pipelines_in_opencv_that_fail(system_python, pipeline, said):
    text = system_python(pipeline)
    assert text.startswith("error[stream]: gst:") and said in text and "hint: " in text
