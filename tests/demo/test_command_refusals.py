"""What ``tsm-edge demo`` refuses before it opens a model, and what it says."""

from __future__ import annotations

import builtins
import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tsm_edge import errors
from tsm_edge.demo import REAL_CLIP
from tsm_edge.demo.command import demo, require_opencv


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        (["--camera", "0", "--video", "x.mp4"], errors.UsageError, "--camera and --video"),
        (["--video", "x.mp4", "--images", "y"], errors.UsageError, "one of --input SOURCE"),
        (["--video", "x.mp4", "--record", "./x.mp4"], errors.UsageError, "would replace the video"),
        (["--video", "nowhere.mp4", "--headless"], errors.VideoError, "no such file"),
        (["--images", "nowhere", "--headless"], errors.VideoError, "no such folder"),
        (["--camera", "987", "--headless"], errors.CameraError, "no camera 987"),
        (["--camera", "-1"], errors.UsageError, "--camera needs a camera"),
        (["--video", "/dev/v4l/by-id/usb-X", "--headless"], errors.CameraError, "camera '/dev/v4l/by-id/usb-X'"),
        (["--video", "rtsp://127.0.0.1:9/live", "--headless"], errors.StreamError, "refuses the connection"),
        (["--video", "/dev/video9", "--loop"], errors.UsageError, "without a video file"),
        (["--input", "csi:0"], errors.UsageError, "--input csi://0"),
        (["--input", "rtsp:me:secret@host/x"], errors.UsageError, "half an address"),
        (["--input", "-", "--format", "nv12", "--headless"], errors.UsageError, "nv12 without --size"),
        (
            ["--video", REAL_CLIP, "--headless", "--record", "no/where.mp4"],
            errors.OutputError,
            "no folder 'no'",
        ),
        (["--video", REAL_CLIP, "--headless", "--record", "out.gif"], errors.OutputError, ".mp4"),
        (["--camera", "987", "--serve", "127.0.0.1:99999"], errors.UsageError, "0 to 65535"),
        (["--camera", "987", "--serve", "8080"], errors.UsageError, "--serve 127.0.0.1:8080"),
        (["--video", REAL_CLIP, "--serve", "192.0.2.1:8080"], errors.ServeError, "cannot be served at"),
        (
            ["--camera", "987", "--serve", "127.0.0.1:0", "--token", "x"],
            errors.UsageError,
            "no good token",
        ),
        (["--video", REAL_CLIP, "--token", "a-token_of-12"], errors.UsageError, "--token without --serve"),
        (["--on-change-idle", "--headless"], errors.UsageError, "--on-change-idle without --on-change"),
        (["--min-confidence", "0.9"], errors.UsageError, "--min-confidence without a sink"),
        (["--loop"], errors.UsageError, "without a video file"),
        (["--loop", "--video", REAL_CLIP, "--headless"], errors.UsageError, "--loop --headless"),
        (["--video", REAL_CLIP, "--headless", "--on-change", "'"], errors.UsageError, "--on-change"),
        (
            ["--video", REAL_CLIP, "--headless", "--on-change", "no-such-program x"],
            errors.ToolMissing,
            "'no-such-program'",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_the_model_is_opened(run, options, kind, said):
    ran = run(*options)
    assert isinstance(ran.error, kind)
    assert said in str(ran.error) + str(ran.error.hint)
    assert "secret" not in str(ran.error) + str(ran.error.hint)
    assert ran.opened == []


def test_no_display_is_refused_before_the_model_is_opened(run, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    ran = run("--video", REAL_CLIP)
    assert isinstance(ran.error, errors.DisplayError)
    assert ran.opened == []


def test_a_port_in_use_is_refused_before_the_model_is_opened(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = run("--video", REAL_CLIP, "--serve", f"127.0.0.1:{taken.getsockname()[1]}")
    assert isinstance(ran.error, errors.ServeError)
    assert ran.opened == []


def test_without_tornado_the_extra_is_named():
    code = "import sys; sys.modules['tornado'] = None; from tsm_edge.cli import main; main()"
    command = [sys.executable, "-c", code, "demo", "--video", str(REAL_CLIP), "--serve", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5
    assert '".[serve]"' in done.stderr


def test_a_network_without_pictures_cannot_be_shown(run):
    ran = run("--video", REAL_CLIP, "--headless", takes_pictures=False)
    assert isinstance(ran.error, errors.ModelError)
    assert "takes no pictures" in str(ran.error)


@pytest.mark.parametrize("option", ["--video", "--images", "--bundle", "--record"])
def test_a_name_that_an_unset_variable_left_empty_is_not_this_folder(run, option):
    ran = run(option, "")
    assert ran.result.exit_code == 2 or isinstance(ran.error, errors.UsageError)
    assert "variable of the shell" in ran.result.output + str(ran.error)


@pytest.mark.parametrize(
    "option",
    [
        ["--fps", "nan"],
        ["--fps", "inf"],
        ["--min-confidence", "nan"],
        ["--min-confidence", "1.1"],
        ["--fps", "0"],
        ["--max-frames", "0"],
        ["--threads", "65"],
    ],
)
def test_numbers_out_of_range_are_usage_errors(run, option):
    assert run(*option).result.exit_code == 2


def test_without_opencv_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(errors.ExtraMissing, match=r"libGL\.so\.1") as caught:
        require_opencv()
    assert "opencv-python-headless" in caught.value.hint


def test_help_shows_every_option():
    text = CliRunner().invoke(demo, ["--help"]).output
    for option in demo.params:
        assert option.opts[0] in text


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--webhook", "example.org"], "example.org"),
        (["--webhook-secret-file", "key"], "--webhook-secret-file without --webhook"),
        (["--webhook", "http://h/", "--webhook-secret-file", "no-such-file"], "No such file"),
    ],
)
def test_a_sink_that_makes_no_sense_is_refused_before_anything_is_opened(run, options, found):
    ran = run("--headless", *options)
    assert isinstance(ran.error, errors.UsageError) and found in str(ran.error.found)
    assert not ran.opened
