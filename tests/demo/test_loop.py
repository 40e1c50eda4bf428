"""The loop over a replayed file, a fake camera and a fake window, with a stream that needs no compiler."""

from __future__ import annotations

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from tsm_edge.demo.events import Events
from tsm_edge.demo.feed import Live, Replay
from tsm_edge.demo.loop import Loop
from tsm_edge.demo.recorder import Recorder
from tsm_edge.demo.report import JsonReporter, Progress, TextReporter
from tsm_edge.demo.sources.files import VideoFile
from tsm_edge.errors import CameraError, RuntimeFailure
from tsm_edge.sampling import Sampler

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
        assert replayed(clip, make, events=Events(run="a", clock=lambda: 0.0)).run() is None
        runs.append([{**line, "ms": 0} for line in lines(capsys)])
    assert runs[0] == runs[1]
    assert len(runs[0]) == 60


def test_the_lines_say_what_was_seen_and_when(clip, make, capsys):
    replayed(clip, make).run()
    out = lines(capsys)
    assert list(out[0]) == [
        "frame", "t_s", "index", "label", "idle", "probability", "changed", "raw_label", "top", "ms", "dropped",
        "event", "delay_ms",
    ]  # fmt: skip
    assert [line["frame"] for line in out] == list(range(60))
    assert [line["t_s"] for line in out[:4]] == [0.0, 0.067, 0.167, 0.233]
    assert [line["raw_label"] for line in out] == 24 * ["blue"] + 24 * ["red"] + 12 * ["green"]
    assert out[0]["label"] == "blue"
    assert out[24]["label"] == "blue"  # one red frame among twelve is not yet a decision
    assert out[40]["label"] == "red"
    assert [line["label"] for line in out if line["changed"]] == ["blue", "red", "green"]
    assert [name for name, _ in out[40]["top"]] == ["red", "blue", "green"]
    assert out[40]["top"][0][1] == out[40]["probability"]
    assert sum(share for _, share in out[40]["top"]) == pytest.approx(1, abs=1e-3)
    assert all(line["dropped"] == 0 and 0 < line["probability"] <= 1 and line["ms"] >= 0 for line in out)


def test_a_window_answers_after_each_stride(clip, make, capsys):
    """Seven frames have none yet; then every fourth frame has a new one, and the others are shown under it."""
    shown = []
    viewers = SimpleNamespace(offer=lambda image, status: shown.append(status.fps))
    replayed(clip, make, delay=7, stride=4, viewers=viewers).run()
    assert [line["frame"] for line in lines(capsys)] == list(range(7, 60, 4))
    assert len(shown) == 60 - 7


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


def test_a_mirrored_picture_is_what_the_model_sees_and_what_is_shown(write_video, make, capsys, tmp_path):
    left_blue = make.picture(RED)
    left_blue[:, :32] = BLUE
    clip = write_video([left_blue] * 6, fps=12)
    recorder, viewers = Recorder(tmp_path / "out.mp4", 12.0), Onlooker()
    loop = replayed(clip, make, mirror=True, recorder=recorder, viewers=viewers)
    loop.run()
    recorder.close()
    recorded = cv2.VideoCapture(str(tmp_path / "out.mp4")).read()[1]
    for picture in (viewers.seen[0][0], recorded, loop.stream.frames[0]):
        assert picture[24, 48].argmax() == 0  # the blue half is on the right
        assert picture[24, 16].argmax() == 2


class Onlooker:
    """Keeps what a page's viewers are offered."""

    def __init__(self):
        self.seen = []

    def offer(self, image, status):
        self.seen.append((image, status))


class Ear:
    """Keeps what another program is told."""

    def __init__(self):
        self.heard = []

    def tell(self, event):
        self.heard.append(event)


def test_viewers_are_offered_every_frame_with_all_there_is_to_tell(clip, make, capsys):
    viewers = Onlooker()
    replayed(clip, make, viewers=viewers, note="a note").run()
    assert len(viewers.seen) == 60
    image, status = viewers.seen[40]
    assert image.shape == (48, 64, 3)
    assert (status.label, status.note, status.dropped) == ("red", "a note", 0)
    assert [score.label for score in status.top] == ["red", "blue", "green"]
    assert [span.label for span in status.spans] == ["blue", "red"]
    assert status.spans[-1].end_s == pytest.approx(40 / 12, abs=0.05)


def test_another_program_hears_of_changes_only(clip, make, capsys):
    ear = Ear()
    replayed(clip, make, listener=ear).run()
    out = lines(capsys)
    assert [event.label for event in ear.heard] == ["blue", "red", "green"]
    assert [event.frame for event in ear.heard] == [line["frame"] for line in out if line["changed"]]
    for event in ear.heard:
        line = out[event.frame]
        assert event.probability == pytest.approx(line["probability"], abs=1e-4)
        assert event.t_s == pytest.approx(line["t_s"], abs=1e-3)
        assert line["event"] == event.record()
    assert sum(line["event"] is not None for line in out) == 3


def test_nothing_recognised_has_no_number(clip, make, capsys):
    """Red is a gesture, blue and green are idle: with a number of its own, idle would contradict the bars."""
    ear, viewers = Ear(), Onlooker()
    labels = ("No gesture", "Doing other things", "red")
    loop = replayed(clip, make, listener=ear, viewers=viewers, events=Events())
    loop.labels = labels
    loop.__post_init__()
    loop.run()
    out = lines(capsys)
    assert {line["idle"] for line in out} == {True, False}
    for line, (_, status) in zip(out, viewers.seen):
        assert line["idle"] == (line["label"] != "red")
        assert (line["probability"] is None) == line["idle"] == (status.probability is None)
        if not line["idle"]:
            assert [line["label"], line["probability"]] in line["top"]
    assert [(event.label, event.ended) for event in ear.heard] == [("red", ""), ("Doing other things", "red")]
    assert [span.label for span in viewers.seen[-1][1].spans] == ["No gesture", "red", "Doing other things"]


def test_the_label_that_is_shown_does_not_flicker_between_idle_classes(write_video, make, capsys):
    clip = write_video([make.picture(colour) for colour in 3 * (45 * [BLUE] + 45 * [GREEN])])
    viewers = Onlooker()
    loop = replayed(clip, make, viewers=viewers)
    loop.labels = ("No gesture", "Doing other things", "red")
    loop.__post_init__()
    loop.run()
    assert {line["label"] for line in lines(capsys)} == {"No gesture", "Doing other things"}
    assert {status.label for _, status in viewers.seen} == {"No gesture"}
    assert len(viewers.seen[-1][1].spans) == 1


def test_a_reset_makes_model_and_decision_forget(clip, make, capsys):
    viewers = Onlooker()
    loop = replayed(clip, make, viewers=viewers)
    real = viewers.offer

    def press(image, status):
        real(image, status)
        if len(viewers.seen) == 26:  # the clip is red by now, the decision still blue
            loop.reset.set()

    viewers.offer = press
    loop.run()
    assert loop.stream.resets == [26]
    assert not loop.reset.is_set()
    before, after = viewers.seen[25][1], viewers.seen[26][1]
    assert (before.label, after.label) == ("blue", "red")
    assert [span.label for span in after.spans] == ["red"]
    assert after.probability == pytest.approx(1, abs=1e-3)


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
        def result(self, result):
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
    assert screen.shown[0].shape[0] > 48  # the panel is below the picture


def test_a_camera_unplugged_midway_keeps_what_was_recorded(tmp_path, make, capsys):
    camera = make.camera(make.capture([make.picture(BLUE)] * 10))
    recorder = Recorder(tmp_path / "out.mp4", 12.0)
    loop = Loop(make.stream(), Replay(camera, Sampler(12)), make.labels, JsonReporter(), recorder=recorder)
    failure = loop.run()
    assert isinstance(failure, CameraError)
    assert "was unplugged" in failure.what or "stopped delivering" in failure.what
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
