"""Recordings are whole or not there."""

from __future__ import annotations

import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tsm_edge.demo.recorder import Recorder
from tsm_edge.errors import OutputError
from tsm_edge.files import atomic


def frames_of(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        good, image = capture.read()
        if not good:
            return frames, capture.get(cv2.CAP_PROP_FPS)
        frames.append(image)


def test_a_recording_plays_back_at_the_speed_it_was_seen(tmp_path, make):
    path = tmp_path / "out.mp4"
    recorder = Recorder(path, 12.0)
    for n, t_s in enumerate((0.0, 1 / 12, 2 / 12, 6 / 12)):  # three ticks without a frame
        recorder.write(make.picture((60 * n, 60 * n, 60 * n)), t_s)
    assert not path.exists()
    assert recorder.close() == path
    assert recorder.close() == path
    frames, fps = frames_of(path)
    assert fps == pytest.approx(12.0)
    assert [round(frame.mean() / 60) for frame in frames] == [0, 1, 2, 2, 2, 2, 3]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize("fps", [0.1, 7.5, 12, 30000 / 1001, 240])
def test_every_rate_the_demo_allows_is_recorded(tmp_path, make, fps):
    recorder = Recorder(tmp_path / "out.mp4", fps)
    for n in range(5):
        recorder.write(make.picture((9, 99, 199)), n / fps)
    recorder.close()
    frames, said = frames_of(tmp_path / "out.mp4")
    assert len(frames) == 5
    assert said == pytest.approx(fps, rel=1e-3)


@pytest.mark.parametrize("size", [(321, 241), (64, 48), (319, 240)])
def test_any_size_is_recorded_in_even_pixels(tmp_path, make, size):
    recorder = Recorder(tmp_path / "out.mp4", 12.0)
    recorder.write(make.picture((9, 99, 199), *size), 0.0)
    recorder.write(make.picture((9, 99, 199), 50, 50), 0.1)  # a folder of images may change its size
    recorder.close()
    frames, _ = frames_of(tmp_path / "out.mp4")
    assert [frame.shape for frame in frames] == 2 * [(size[1] // 2 * 2, size[0] // 2 * 2, 3)]


def test_nothing_recorded_leaves_the_old_recording(tmp_path):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older")
    recorder = Recorder(path, 12.0)
    assert recorder.close() is None
    assert recorder.close() is None
    assert path.read_bytes() == b"older"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"]


def test_a_recording_that_cannot_be_played_replaces_nothing(tmp_path, make, monkeypatch):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older")
    recorder = Recorder(path, 12.0)
    recorder.write(make.picture((1, 2, 3)), 0.0)
    monkeypatch.setattr(recorder._writer, "_is_whole", lambda: False)
    with pytest.raises(OutputError, match="cannot be played back"):
        recorder.close()
    assert path.read_bytes() == b"older"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"]


def test_a_picture_that_the_disk_did_not_take_is_noticed(tmp_path, make):
    recorder = Recorder(tmp_path / "out.mp4", 12.0)
    for n in range(3):
        recorder.write(make.picture((1, 2, 3)), n / 12)
    recorder._writer._written += 1
    with pytest.raises(OutputError, match="cannot be played back"):
        recorder.close()
    assert list(tmp_path.iterdir()) == []


def disk_with(monkeypatch, free):
    monkeypatch.setattr(atomic, "free_bytes", lambda folder: free[0])


def test_a_disk_that_is_full_already_is_found_at_once(tmp_path, monkeypatch):
    disk_with(monkeypatch, [1 << 20])
    with pytest.raises(OutputError, match="1.0 MiB are free") as caught:
        Recorder(tmp_path / "out.mp4", 12.0)
    assert "the disk is full" in caught.value.hint


def test_a_disk_that_fills_up_ends_the_recording_and_keeps_it(tmp_path, make, monkeypatch):
    free = [1 << 30]
    disk_with(monkeypatch, free)
    recorder = Recorder(tmp_path / "out.mp4", 12.0)
    with pytest.raises(OutputError, match="nearly full"):
        for n in range(100):
            recorder.write(make.picture((n, n, n)), n / 12)
            free[0] -= 1 << 26
    recorder.close()
    frames, _ = frames_of(tmp_path / "out.mp4")
    assert 1 <= len(frames) < 100


@pytest.mark.parametrize(
    ("name", "said"),
    [("out.avi", r"ends in \.mp4"), ("nowhere/out.mp4", "mkdir"), ("folder.mp4", "a folder of that name")],
)
def test_a_path_that_cannot_be_written_is_refused_at_once(tmp_path, name, said):
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match=said):
        Recorder(tmp_path / name, 12.0)


def test_a_folder_without_permission_is_refused_at_once(tmp_path, monkeypatch):
    def refuse(place):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(
        atomic, "_probe", refuse
    )  # root, who runs the tests in a container, may write anywhere
    with pytest.raises(OutputError, match="Permission denied") as caught:
        Recorder(tmp_path / "out.mp4", 12.0)
    assert caught.value.exit_code == 1


def test_without_an_encoder_it_says_so_and_leaves_nothing(tmp_path, make, monkeypatch):
    monkeypatch.setattr(cv2.VideoWriter, "fourcc", staticmethod(lambda *code: 0x21212121))
    recorder = Recorder(tmp_path / "out.mp4", 12.0)
    with pytest.raises(OutputError, match="no MPEG-4 encoder"):
        recorder.write(make.picture((1, 2, 3)), 0.0)
    recorder.close()
    assert list(tmp_path.iterdir()) == []


RUN = """
import sys, time, numpy as np
from pathlib import Path
from tsm_edge.demo.interrupt import stop_flag
from tsm_edge.demo.recorder import Recorder
recorder = Recorder(Path(sys.argv[1]), 30.0)
with stop_flag() as stop:
    n = 0
    while not stop.is_set():
        recorder.write(np.full((48, 64, 3), n % 256, np.uint8), n / 30)
        n += 1
        print(n, flush=True)
        time.sleep(0.005)
recorder.close()
print(n, file=sys.stderr)
"""


def started(path):
    """Start recording in a process of its own and return it when some frames are written."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", RUN, str(path)], text=True, **pipes)
    for _ in range(20):
        process.stdout.readline()
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_a_playable_file(tmp_path, number):
    path = tmp_path / "out.mp4"
    process = started(path)
    process.send_signal(number)
    written = int(process.communicate(timeout=20)[1])
    assert process.returncode == 0
    frames, _ = frames_of(path)
    assert len(frames) == written
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"]


def test_a_killed_run_leaves_the_old_recording(tmp_path):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older")
    process = started(path)
    process.kill()
    process.communicate(timeout=20)
    assert path.read_bytes() == b"older"
    recorder = Recorder(path, 12.0)
    recorder.write(np.zeros((48, 64, 3), np.uint8), 0.0)
    recorder.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"], "the next run sweeps"


def test_the_second_interrupt_is_pythons_own(tmp_path):
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it\n"
        "from tsm_edge.demo.interrupt import stop_flag\n"
        "with stop_flag() as stop:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    assert stop.wait(5)\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(5)\n"
        "    except KeyboardInterrupt:\n"
        "        print('interrupted')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout == "interrupted\n"
