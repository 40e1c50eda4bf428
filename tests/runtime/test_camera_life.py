"""tsm-edge-run --camera: damaged frames, unplugging, signals, and cameras that cannot be used."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from camera_lab import CAMERA, HEIGHT, ROW, WIDTH, end, picture, running
from command_lab import refused

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(scope="module")
def tiny(tiny_camera_bundle) -> Path:
    return tiny_camera_bundle


@pytest.fixture(scope="module")
def camera_program(tiny) -> list[str | Path]:
    return [tiny / "tsm-edge-run"]


def heard(process: subprocess.Popen[bytes], what: str) -> str:
    """Read what it says until `what` is in it."""
    assert process.stderr
    said = ""
    until = time.monotonic() + 30
    while what not in said:
        assert time.monotonic() < until, said
        if select.select([process.stderr], [], [], 0.1)[0]:
            said += os.read(process.stderr.fileno(), 4096).decode()
    return said


@pytest.mark.parametrize(
    ("fault", "planar", "bytes_found"), [("damaged", 0, 3072), ("damaged", 1, 3072), ("flagged", 0, 6144)]
)
def test_damaged_frames_are_left_out_and_said_once(camera_program, world, fault, planar, bytes_found):
    code = "NM12" if planar else "YUYV"
    environment = world(f"{code} 64x48", picture(code).tobytes(), fault=fault, planar=planar, rate=100)
    with running(camera_program, environment, "--decide") as process:
        assert process.stdout  # every second frame is damaged, and one in eight is taken: some odd, some even
        lines = [json.loads(process.stdout.readline()) for _ in range(15)]
        said = end(process)
    assert all(line["label"] for line in lines)
    assert said.count(f"damaged ({bytes_found} bytes)") == 1 and "gives 64x48" in said
    assert "100 frames a second" in said


def steps_of(process: subprocess.Popen[bytes], again: int) -> list[float]:
    """The plan's counter of steps until it has begun anew `again` times."""
    assert process.stdout
    steps: list[float] = []
    while steps.count(1.0) < again + 1:
        steps.append(float(np.frombuffer(process.stdout.read(ROW), "<f4")[-1]))
    return steps


@pytest.mark.parametrize(
    "settings",
    [{"unplug": 4}, {"unplug": 4, "planar": 1}, {"fault": "broken"}],
    ids=["single", "planar", "input-output"],
)
def test_unplugged_and_plugged_in_again(camera_program, world, settings):
    """The states begin anew: the step counter of the plan is one again."""
    environment = world("YUYV 64x48", picture("YUYV").tobytes(), rate=20, **settings)
    with running(camera_program, environment, "--dump") as process:
        steps = steps_of(process, 1)
        said = end(process)
    assert len(steps) >= 3
    assert "camera /dev/video7 is gone; it is waited for" in said and "camera /dev/video7 is back" in said


def test_it_comes_back_as_another_device_under_the_same_link(camera_program, world, tmp_path):
    link = tmp_path / "usb-camera"
    link.symlink_to("/dev/video7")
    environment = world("YUYV 64x48", picture("YUYV").tobytes(), rate=20, unplug=4, moves=1)
    with running(camera_program, environment, "--dump", camera=("--camera", str(link))) as process:
        heard(process, "is gone; it is waited for")
        link.unlink()
        link.symlink_to("/dev/video9")
        steps_of(process, 1)
        said = end(process)
    assert f"camera {link} is back" in said


def test_it_comes_back_with_other_frames(camera_program, world):
    environment = world("YUYV 64x48", picture("YUYV").tobytes(), unplug=4, after="GREY 64x48")
    with running(camera_program, environment, "--decide") as process:
        assert process.wait(30) == 1
        assert process.stderr and "its frames have another form" in process.stderr.read().decode()


def test_nothing_but_damaged_frames_for_5_seconds(camera_program, world):
    environment = world("YUYV 64x48", picture("YUYV").tobytes(), fault="all-flagged", rate=30)
    with running(camera_program, environment, "--decide") as process:
        heard(process, "has given only damaged frames for 5 s; it is waited for")
        heard(process, "is back")
        end(process)


@pytest.fixture(scope="module", params=["asan", "tsan"])
def watched(request, gcc, build, command, make, stand_in) -> tuple[list[str | Path], str]:
    """A program under a sanitizer, and what must be preloaded for it."""
    kind = {"asan": "address,undefined", "tsan": "thread"}[request.param]
    flags = (f"-fsanitize={kind}", "-fno-sanitize-recover=all")
    found = subprocess.run(
        [gcc, f"-print-file-name=lib{request.param}.so"], capture_output=True, text=True, check=True
    )
    folder = make(runner=build("tsm-edge-run", command, *flags))
    return [folder / "tsm-edge-run"], f"{found.stdout.strip()} {stand_in}"


@pytest.mark.parametrize(
    ("code", "settings"),
    [
        ("NM12", {"planar": 1, "unplug": 5}),
        ("YM12", {"planar": 1, "pad": 16, "offset": 8}),
        ("YUYV", {"fault": "damaged"}),
        ("MJPG", {}),
    ],
)
def test_under_sanitizers(watched, world, code, settings):
    program, preload = watched
    frame = bytes((HEIGHT + HEIGHT // 2) * (WIDTH + 16)) if code == "YM12" else picture(code).tobytes()
    environment = world(f"{code} 64x48", frame, rate=50, **settings)
    environment["LD_PRELOAD"] = preload
    environment["ASAN_OPTIONS"] = "detect_leaks=0:verify_asan_link_order=0"
    with running(program, environment, "--events", "-") as process:
        said = heard(
            process, {"NM12": "is back", "YUYV": "is damaged", "MJPG": "is damaged"}.get(code, "gives 64x48")
        )
        time.sleep(0.2)
        process.terminate()
        assert process.stderr
        said += process.stderr.read().decode()
        assert process.wait(60) == 128 + signal.SIGTERM and "Sanitizer" not in said, said


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("state", ["streaming", "first frame", "unplugged", "reader that hangs"])
def test_signals_end_it_in_every_state(camera_program, world, number, state):
    settings = {"first frame": {"fault": "silent"}, "unplugged": {"unplug": 2, "moves": 1}}.get(
        state, {"rate": 1000}
    )
    environment = world("YUYV 64x48", picture("YUYV").tobytes(), **settings)
    with running(
        camera_program, environment, "--dump" if state == "reader that hangs" else "--decide"
    ) as process:
        assert process.stdout and process.stderr
        heard(process, "it is waited for" if state == "unplugged" else "gives 64x48")
        if state == "streaming":
            assert json.loads(process.stdout.readline())["frame"] >= 0
        if state == "reader that hangs":
            time.sleep(1.5)  # the pipe, 64 KiB, is full after 14 steps of the 12 a second
        process.send_signal(number)
        assert process.wait(30) == 128 + number


@pytest.mark.parametrize(
    ("settings", "arguments", "says"),
    [
        ({"fault": "fixed-rate"}, ("--fps", "60"), "64x48 yuyv, 30 frames a second instead of 60\n"),
        ({"fault": "no-rate"}, ("--fps", "60"), "64x48 yuyv\n"),
        ({"rate": 15}, ("--fps", "15"), "64x48 yuyv, 15 frames a second\n"),
        ({"rate": 15, "planar": 1}, (), "64x48 yuyv, 15 frames a second\n"),
    ],
)
def test_rates_that_cannot_be_set(camera_program, world, settings, arguments, says):
    environment = world("YUYV 64x48", picture("YUYV").tobytes(), **settings)
    with running(camera_program, environment, "--decide", *arguments) as process:
        assert process.stdout and process.stdout.readline()
        assert says in end(process)


@pytest.mark.parametrize(
    ("formats", "settings", "arguments", "code", "says"),
    [
        ("YUYV 64x48", {"fault": "not-a-camera"}, (), 4, "is not a camera"),
        ("YUYV 64x48", {"fault": "metadata"}, (), 4, "no capture of video"),
        ("YUYV 64x48", {"fault": "busy"}, (), 4, "is busy: another program"),
        ("YUYV 64x48", {"fault": "busy-at-once"}, (), 4, "is busy: another program"),
        ("YUYV 64x48", {"fault": "denied"}, (), 4, "usermod -aG video"),
        ("YUYV 64x48", {"fault": "no-buffers"}, (), 4, "cannot stream"),
        ("YUYV 64x48", {"fault": "short-rows"}, (), 1, "rows of 32 bytes for 64 pixels"),
        ("pRAA 64x48;pBAA 8x8", {}, (), 4, "rpicam-vid -t 0 --codec yuv420"),
        ("YUYV 64x48 32x24;MJPG 1280x720", {}, ("--size", "800x600"), 2, "YUYV 64x48 32x24; MJPG 1280x720"),
        ("NM12 64x48", {"planar": 1}, ("--size", "800x600"), 2, "found: NM12 64x48"),
        ("NM12 64x48", {"planar": 1, "fault": "short-rows"}, (), 1, "rows of 32 bytes for 64 pixels"),
    ],
)
def test_cameras_that_cannot_be_used(tiny, world, formats, settings, arguments, code, says):
    environment = world(formats, b"", **settings)
    refused(tiny, code, says, "/dev/video7", arguments=(*CAMERA, *arguments), environment=environment)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--camera", "/dev/video99"), 4, "there is no camera /dev/video99"),
        (("--camera", "98"), 4, "there is no camera /dev/video98"),
        (("--camera", "/dev/null"), 4, "/dev/null is not a camera"),
        (("--camera",), 2, "bad value for --camera"),
        (("--camera", "x" * 300), 2, "300 characters"),
        (("--camera", "/dev/\x1b[31m"), 4, "there is no camera"),
        (("--tensor", "--size", "4x4"), 2, "--size does not go"),
    ],
)
def test_names_that_are_none(tiny, arguments, code, says):
    refused(tiny, code, says, arguments=arguments)
