"""Recording training clips: countdown, clip, keep or discard, with a stand-in camera."""

from __future__ import annotations

import re

import cv2
import pytest
from click.testing import CliRunner

from tsm_edge import cli
from tsm_edge.demo import take
from tsm_edge.demo.sources import camera as camera_
from tsm_edge.demo.sources import opening
from tsm_edge.errors import CameraError, UsageError
from tsm_edge.train import clips

RATE = 16.0


class Person:
    """A ui that answers from a list and remembers what it was shown."""

    def __init__(self, answers=(), leave_after=None):
        self.answers = list(answers)
        self.leave_after = leave_after
        self.texts = []
        self.taken = []

    def show(self, picture, text):
        self.texts.append(text)
        return self.leave_after is None or len(self.texts) < self.leave_after

    def ask(self, frames):
        self.taken.append(frames)
        return self.answers.pop(0)

    def close(self):
        pass


@pytest.fixture
def source(make):
    """A camera of 400 pictures whose left half grows brighter, at 16 a second by its own clock."""

    def build(count=400):
        pictures = []
        for number in range(count):
            picture = make.picture((0, 0, 0))
            picture[:, :32] = 20 + number % 200
            pictures.append(picture)
        return make.camera(make.capture(pictures, fps=RATE))

    return build


def session(source, person, out, **changes):
    return take.Session(source, person, out, "wave", **{"seconds": 1.0, "countdown": 2.0, **changes})


def test_a_take_is_counted_down_and_has_the_asked_length(source, tmp_path):
    person = Person(["keep"])
    kept = session(source(), person, tmp_path).run(1)
    assert kept == [tmp_path / "wave" / "0001.mp4"]
    countdown = [text for text in person.texts if " in " in text]
    assert [text[-1] for text in countdown] == ["2"] * 16 + ["1"] * 16
    assert person.texts[32:] == ["wave: now"] * 17
    frames = person.taken[0]
    assert frames[-1].t_s - frames[0].t_s == pytest.approx(1.0)


def test_the_file_is_what_training_reads(source, tmp_path):
    (path,) = session(source(), Person(["keep"]), tmp_path).run(1)
    clip = clips.read(path, 40, 12.0).frames
    assert 11 <= len(clip) <= 14
    left = [float(frame[:, :10].mean()) for frame in clip]
    assert left == sorted(left) and left[-1] > left[0]  # in order, the left side on the left


def test_discarded_takes_leave_nothing_and_are_repeated(source, tmp_path):
    person = Person(["discard", "keep", "discard", "keep"])
    kept = session(source(), person, tmp_path).run(2)
    assert [path.name for path in kept] == ["0001.mp4", "0002.mp4"]
    assert sorted(path.name for path in (tmp_path / "wave").iterdir()) == ["0001.mp4", "0002.mp4"]


def test_quitting_keeps_what_was_kept(source, tmp_path):
    assert len(session(source(), Person(["keep", "quit"]), tmp_path).run(5)) == 1
    assert session(source(), Person(leave_after=40), tmp_path).run(5) == []


def test_later_recordings_go_on_counting(source, tmp_path):
    session(source(), Person(["keep"]), tmp_path).run(1)
    assert session(source(), Person(["keep"]), tmp_path).run(1)[0].name == "0002.mp4"


def test_a_mirroring_camera_is_turned_back(source, tmp_path):
    person = Person(["keep"])
    session(source(), person, tmp_path, mirror=True).run(1)
    image = person.taken[0][0].image
    assert image[:, 32:].mean() > 10 and image[:, :32].mean() == 0


def test_an_unplugged_camera_is_an_error(source, tmp_path):
    with pytest.raises(CameraError):
        session(source(30), Person(["keep"]), tmp_path).run(1)


def test_a_grab_that_fails_once_does_not_end_the_session(make, tmp_path):
    pictures = [make.picture((20 + n, 0, 0)) for n in range(100)]
    camera = make.camera(make.capture([0.0, *pictures[:50], 0.0, *pictures[50:]], fps=RATE))
    person = Person(["keep"])
    session(camera, person, tmp_path).run(1)
    assert len(person.taken[0]) == 17


def test_a_clip_with_a_break_in_it_begins_anew(make, tmp_path, capsys):
    pictures = [make.picture((20 + n, 0, 0)) for n in range(200)]
    camera = make.camera(
        make.capture([*pictures[:40], 2.5], fps=RATE), make.capture(pictures[40:], fps=RATE)
    )
    person = Person(["keep"])
    session(camera, person, tmp_path).run(1)
    assert "no frame came for 2.6 s; this clip begins anew" in capsys.readouterr().err
    stamps = [frame.t_s for frame in person.taken[0]]
    assert max(b - a for a, b in zip(stamps, stamps[1:])) < 0.1
    assert person.taken[0][0].image[0, 0, 0] >= 20 + 40 + 32  # after a countdown of its own


@pytest.mark.parametrize("label", ["", "  ", "a/b", ".hidden", "a\nb", "what?"])
def test_labels_that_are_no_folder(source, tmp_path, label):
    with pytest.raises(UsageError):
        take.Session(source(1), Person(), tmp_path, label, seconds=1, countdown=1)


def test_the_window_asks_with_keys(make, monkeypatch):
    shown, keys = [], iter([255, ord("x"), ord("n")])
    window = type(
        "W", (), {"show": lambda self, picture: shown.append(picture), "close": lambda self: None}
    )()
    monkeypatch.setattr(cv2, "waitKey", lambda _: next(keys))
    frames = [type("F", (), {"image": make.picture((9, 9, 9)), "t_s": 0.0})()] * 2
    assert take.WindowUi(window).ask(frames) == "discard"
    assert len(shown) == 3


def test_the_title_leaves_the_frame_alone(make):
    picture = make.picture((90, 90, 90), 320, 240)
    titled = take.titled(picture, "wave: now – ü")
    assert (picture == 90).all() and titled.shape == picture.shape
    assert (titled[-100:] == 90).all() and titled.max() > 200


def test_the_command_without_a_window(source, tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "check_camera", lambda device, otherwise: None)
    made = source()
    monkeypatch.setattr(opening, "Camera", lambda device, wanted: made)
    words = ["record", "--label", "swipe left", "--out", str(tmp_path), "--clips", "2", "--seconds", "1"]
    result = CliRunner().invoke(cli.cli, [*words, "--countdown", "1", "--headless"], input="n\ny\n\n")
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "swipe left").glob("*.mp4"))) == 2
    assert f"next: tsm-edge train --data {tmp_path}" in result.stdout
    assert "swipe left: now" in result.stderr


def test_the_command_without_a_camera(monkeypatch, tmp_path):
    monkeypatch.setattr(camera_, "camera_devices", lambda: [])
    result = CliRunner().invoke(cli.cli, ["record", "--label", "a", "--out", str(tmp_path), "--headless"])
    assert result.exit_code == 4
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("trouble", ["no camera", "no permission", "no display", "a stream", "not a number"])
def test_hints_name_options_of_record_only(monkeypatch, tmp_path, trouble):
    known = {name for option in cli.cli.get_command(None, "record").params for name in option.opts}
    monkeypatch.setattr(
        camera_, "camera_devices", lambda: [] if trouble == "no camera" else ["/dev/video0"]
    )
    monkeypatch.setattr(camera_.os, "access", lambda path, mode: trouble != "no permission" or path != "/dev/video0")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    camera = {"a stream": "srt://user:secret@cam/live", "not a number": "two"}.get(trouble, "0")
    result = CliRunner().invoke(
        cli.cli, ["record", "--label", "a", "--out", str(tmp_path), "--camera", camera]
    )
    code = {"no camera": 4, "no permission": 4, "no display": 5}.get(trouble, 2)
    assert result.exit_code == code, result.output
    assert "  hint: " in result.stderr or trouble == "not a number"
    ours = result.stderr.replace("BUNDLE/tsm-edge-run --raw", "")
    assert set(re.findall(r"(?<![\w-])--[a-z-]+", ours)) <= known
    assert "secret" not in result.output
