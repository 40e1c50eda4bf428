"""The loop over a replayed file, a fake camera and a fake window, with a stream that needs no compiler."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from tsm_edge.demo.camera import Camera
from tsm_edge.demo.feed import Live, Replay
from tsm_edge.demo.files import VideoFile
from tsm_edge.demo.loop import Loop
from tsm_edge.demo.recorder import Recorder
from tsm_edge.demo.report import JsonReporter, Progress, TextReporter
from tsm_edge.demo.sampler import Sampler
from tsm_edge.errors import CameraError, RuntimeFailure

BLUE, GREEN, RED = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def clip(write_video, make):
    """Two seconds of blue, two of red, one of green, 30 frames a second."""
    colours = 60 * [BLUE] + 60 * [RED] + 30 * [GREEN]
    return write_video([make.picture(colour) for colour in colours])


def replayed(clip, make, **extra):
    reporter = extra.pop("reporter", JsonReporter())
    feed = Replay(VideoFile(clip), Sampler(12))
    return Loop(stream=make.stream(), feed=feed, labels=make.labels, reporter=reporter, **extra)


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_replay_is_the_same_every_time(clip, make, capsys):
    runs = []
    for _ in range(2):
        assert replayed(clip, make).run() is None
        runs.append([{**line, "ms": 0} for line in lines(capsys)])
    assert runs[0] == runs[1]
    assert len(runs[0]) == 60


def test_the_lines_say_what_was_seen_and_when(clip, make, capsys):
    replayed(clip, make).run()
    out = lines(capsys)
    assert list(out[0]) == ["frame", "t_s", "index", "label", "probability", "raw_label", "ms", "dropped"]
    assert [line["frame"] for line in out] == list(range(60))
    assert [line["t_s"] for line in out[:4]] == [0.0, 0.067, 0.167, 0.233]
    assert [line["raw_label"] for line in out] == 24 * ["blue"] + 24 * ["red"] + 12 * ["green"]
    assert out[0]["label"] == "blue"
    assert out[24]["label"] == "blue"  # one red frame among twelve is not yet a decision
    assert out[40]["label"] == "red"
    assert all(line["dropped"] == 0 and 0 < line["probability"] <= 1 and line["ms"] >= 0 for line in out)


def test_people_get_a_line_for_each_new_label(clip, make, capsys):
    replayed(clip, make, reporter=TextReporter()).run()
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in out] == ["blue", "red", "green"]
    assert out[0].startswith("    0.00 s  blue")


def test_channels_and_mirror_reach_the_stream(write_video, make, capsys):
    left_blue = make.picture(RED)
    left_blue[:, :32] = BLUE
    clip = write_video([left_blue] * 3, fps=12)
    loop = replayed(clip, make, channels="rgb", mirror=True)
    loop.run()
    assert set(loop.stream.formats) == {"rgb"}
    assert loop.stream.frames[0][24, 48, 0] > 200  # the blue half is on the right now
    assert loop.stream.frames[0][24, 16, 2] > 200
    assert loop.stream.frames[0].flags.c_contiguous


def test_it_stops_after_so_many_frames(clip, make, capsys):
    loop = replayed(clip, make, max_frames=7)
    loop.run()
    assert (loop.frames, loop.stopped, len(lines(capsys))) == (7, "max-frames", 7)


def test_it_stops_when_it_is_told_to(clip, make, capsys):
    asked = iter([False] * 3 + [True])
    loop = replayed(clip, make, stop=lambda: next(asked))
    loop.run()
    assert (loop.frames, loop.stopped) == (3, "interrupted")


def test_it_ends_well_when_nobody_reads_on(clip, make):
    class Closed:
        def result(self, result, changed):
            raise BrokenPipeError

    loop = replayed(clip, make, reporter=Closed())
    assert loop.run() is None
    assert loop.stopped == "output-closed"


def test_scores_that_are_not_finite_are_an_error(clip, make, capsys):
    loop = replayed(clip, make)
    loop.stream.step = lambda frame, format: np.array([1.0, np.nan, 0.0], np.float32)
    failure = loop.run()
    assert isinstance(failure, RuntimeFailure)
    assert "frame 0" in failure.what


def test_the_window_gets_every_frame_and_can_end_the_run(clip, make, capsys):
    class Screen:
        def __init__(self):
            self.shown = []

        def show(self, picture):
            self.shown.append(picture)

        def poll(self):
            return len(self.shown) < 20

    feed = Live(VideoFile(clip), Sampler(12))
    screen = Screen()
    loop = Loop(make.stream(), feed, make.labels, JsonReporter(), screen=screen)
    assert loop.run() is None
    feed.close()
    assert loop.stopped == "quit"
    assert len(screen.shown) == 20
    assert loop.frames < 20  # the frames between those of the model are shown too
    assert {picture.shape for picture in screen.shown} == {screen.shown[0].shape}
    assert screen.shown[0].shape[0] > 48  # the bar is below the picture


def test_a_camera_unplugged_midway_keeps_what_was_recorded(tmp_path, make, capsys):
    ticks = iter(n / 12 for n in range(100))
    capture = make.capture([make.picture(BLUE)] * 10)
    camera = Camera(0, open_capture=lambda number: capture, clock=lambda: next(ticks))
    recorder = Recorder(tmp_path / "out.mp4", 12.0)
    loop = Loop(make.stream(), Replay(camera, Sampler(12)), make.labels, JsonReporter(), recorder=recorder)
    failure = loop.run()
    assert isinstance(failure, CameraError)
    assert "stopped delivering" in failure.what
    assert loop.stopped == "failed"
    assert recorder.close() == tmp_path / "out.mp4"
    played = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert sum(1 for _ in iter(played.grab, False)) == 10
    assert len(lines(capsys)) == 10


def test_speed_is_measured_by_the_clock(clip, make, capsys):
    now = [0.0]

    def clock():
        now[0] += 0.05
        return now[0]

    loop = replayed(clip, make, clock=clock, max_frames=11)
    loop.run()
    assert loop.fps == pytest.approx(10.0)  # two looks at the clock a frame
    assert set(np.round(loop.times_ms, 6)) == {50.0}


def test_progress_is_told_on_stderr_now_and_then(capsys):
    now = [0.0]
    progress = Progress(every_s=10, clock=lambda: now[0])
    for second in range(25):
        now[0] = float(second)
        progress.tell(12 * second, 12.0, 4.9, 3)
    err = capsys.readouterr().err.splitlines()
    assert err == [
        "120 frames, 12.0 FPS, model 4.9 ms, dropped 3",
        "240 frames, 12.0 FPS, model 4.9 ms, dropped 3",
    ]
