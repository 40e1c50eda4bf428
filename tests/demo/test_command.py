"""``tsm-edge demo`` as a whole, with a model that needs no compiler in the place of an opened bundle."""

from __future__ import annotations

import json
import re

import cv2
import pytest

from tsm_edge import errors
from tsm_edge.demo import REAL_CLIP, SAMPLE_CLIP, session
from tsm_edge.demo.sources import opening


def clean(run):
    assert run.error is None, run.error
    return run.result


def test_the_sample_headless_is_the_same_every_time(run):
    outputs = []
    for _ in range(2):
        result = clean(run("--video", REAL_CLIP, "--headless", "--json"))
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        for line in lines:
            if line.get("event"):
                assert line["event"].pop("id") and line["event"].pop("time")  # of this run
            for timing in ("ms", "median_ms", "p95_ms", "fps"):
                line.pop(timing, None)
        outputs.append(lines)
    assert outputs[0] == outputs[1]
    frames, summary = outputs[0][:-1], outputs[0][-1]
    assert len(frames) == 92  # 7.63 seconds at 12 a second
    assert summary == {
        "schema": 1,
        "frames": 92,
        "dropped": 0,
        "empty_ticks": 0,
        "stopped": "end",
        "source": str(REAL_CLIP),
        "model": "colours",
        "target": "local",
        "weights": "file",
        "recorded": None,
        "on_change": None,
        "sinks": {},
        "reconnects": 0,
        "delay_ms": None,
    }


def test_a_file_that_is_cut_off_is_said_to_be(run, tmp_path):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(SAMPLE_CLIP.read_bytes()[:20_000])
    result = clean(run("--video", cut, "--headless"))
    assert re.search(r"note: .*cut\.mp4: only 0\.\d of 20\.0 s could be read; it may be cut off", result.stderr)


def test_the_line_in_the_documentation_has_the_keys_of_a_real_one(run, repository):
    text = (repository / "docs" / "demo.md").read_text()
    shown = json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])
    result = clean(run("--video", REAL_CLIP, "--headless", "--json", "--max-frames", 1))
    real = json.loads(result.stdout.splitlines()[0])
    assert list(shown) == list(real)
    assert [type(value) for value in shown.values()] == [type(value) for value in real.values()]


def test_people_get_words_and_the_next_command(run):
    ran = run("--video", REAL_CLIP, "--headless", "--max-frames", 9, "--bundle", "mine")
    lines = clean(ran).stdout.splitlines()
    assert lines[0].startswith("    0.00 s  ")
    assert "frames:" in ran.result.stdout
    assert "9 (max-frames)" in ran.result.stdout
    assert lines[-1] == "next: tsm-edge inspect mine"
    assert "12 frames per second on mine" in ran.result.stderr


def test_a_window_is_said_before_it_answers(run):
    window = {"clip_frames": 8, "window_stride": 4, "delay_frames": 7}
    for parameters, note in ((window, "looks at 8 frames at once"), ({"delay_frames": 6}, "6 frames behind, 0.5 s")):
        done = clean(run("--video", REAL_CLIP, "--headless", "--max-frames", 9, parameters=parameters))
        assert "note: the network looks" in done.stderr and note in done.stderr


def test_untrained_weights_are_said_in_words_and_in_the_picture(run, tmp_path, monkeypatch):
    notes = []
    real = session.Loop

    def spy(**options):
        notes.append(options["note"])
        return real(**options)

    monkeypatch.setattr(session, "Loop", spy)
    ran = run("--video", REAL_CLIP, "--headless", "--max-frames", 2, weights="seeded")
    assert "what the demo predicts means nothing yet" in clean(ran).stderr
    assert "--weights FILE" in ran.result.stdout.splitlines()[-1]
    clean(run("--video", REAL_CLIP, "--headless", "--max-frames", 2))
    assert notes == [session.UNTRAINED, ""]


def test_options_reach_the_stream(run):
    ran = run("--video", REAL_CLIP, "--headless", "--max-frames", 4, "--bgr", "--mirror", "--threads", 3)
    clean(ran)
    assert ran.opened == [("default", 3)]
    assert set(ran.model.colour_stream.formats) == {"rgb"}
    good, first = cv2.VideoCapture(str(REAL_CLIP)).read()
    assert good
    assert (ran.model.colour_stream.frames[0] == first[:, ::-1]).all()


def test_without_options_frames_go_as_they_come(run):
    ran = run("--video", REAL_CLIP, "--headless", "--max-frames", 1)
    clean(ran)
    assert ran.model.colour_stream.formats == ["bgr"]
    assert (ran.model.colour_stream.frames[0] == cv2.VideoCapture(str(REAL_CLIP)).read()[1]).all()


def test_fps_replaces_the_models_rate(run):
    result = clean(run("--video", REAL_CLIP, "--headless", "--json", "--fps", 5))
    stamps = [json.loads(line)["t_s"] for line in result.stdout.splitlines()[:-1]]
    assert len(stamps) == 39
    assert stamps[:4] == [0.0, 0.2, 0.4, 0.6]


def test_a_recording_is_named_in_the_summary_and_plays(run, tmp_path):
    path = tmp_path / "out.mp4"
    result = clean(run("--video", REAL_CLIP, "--headless", "--json", "--record", path, "--max-frames", 24))
    assert json.loads(result.stdout.splitlines()[-1])["recorded"] == str(path)
    played = cv2.VideoCapture(str(path))
    assert sum(1 for _ in iter(played.grab, False)) == 24
    assert played.get(cv2.CAP_PROP_FPS) == pytest.approx(12)
    assert played.get(cv2.CAP_PROP_FRAME_HEIGHT) > 360


def test_a_folder_of_images_is_seen_image_by_image(run, tmp_path, make):
    for number in range(15):
        cv2.imwrite(str(tmp_path / f"{number}.png"), make.picture((10 * number, 0, 0)))
    ran = run("--images", tmp_path, "--headless", "--json")
    lines = [json.loads(line) for line in clean(ran).stdout.splitlines()]
    assert [int(frame[0, 0, 0]) for frame in ran.model.colour_stream.frames] == [10 * n for n in range(15)]
    assert lines[12]["t_s"] == 1.0


def test_an_image_that_cannot_be_read_keeps_what_was_recorded(run, tmp_path, make):
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.png"), make.picture((10 * number, 0, 0)))
    (tmp_path / "5.png").write_bytes(b"broken")
    ran = run("--images", tmp_path, "--headless", "--record", tmp_path / "out.mp4")
    assert isinstance(ran.error, errors.VideoError)
    assert "5 (failed)" in ran.result.stdout
    assert sum(1 for _ in iter(cv2.VideoCapture(str(tmp_path / "out.mp4")).grab, False)) == 5


def test_a_camera_unplugged_ends_with_its_error_and_a_whole_recording(run, tmp_path, make, monkeypatch):
    capture = make.capture([make.picture((255, 0, 0))] * 3)
    made = make.camera(capture)  # 12 a second, so that all are the model's
    monkeypatch.setattr(opening, "check_camera", lambda device, otherwise: None)
    monkeypatch.setattr(opening, "Camera", lambda device, wanted: made)
    ran = run("--headless", "--json", "--record", tmp_path / "out.mp4")
    assert isinstance(ran.error, errors.CameraError)
    assert ran.error.exit_code == 4
    summary = json.loads(ran.result.stdout.splitlines()[-1])
    assert summary["stopped"] == "failed"
    assert summary["frames"] + summary["dropped"] == 3
    assert sum(1 for _ in iter(cv2.VideoCapture(str(tmp_path / "out.mp4")).grab, False)) >= 1
    assert capture.released >= 1


def test_a_camera_that_breaks_off_is_gone_on_with_from_nothing(run, make, monkeypatch):
    """Twelve frames, a break of three seconds, twelve more: the model forgets what was before the break."""
    blue, red = make.picture((255, 0, 0)), make.picture((0, 0, 255))
    captures = make.capture([blue] * 12 + [3.0]), make.capture([0.0] + [red] * 12)
    made = make.camera(*captures)
    monkeypatch.setattr(opening, "check_camera", lambda device, otherwise: None)
    monkeypatch.setattr(opening, "Camera", lambda device, wanted: made)
    monkeypatch.setattr(session, "Live", session.Replay)  # not a frame less on a slow machine
    ran = run("--headless", "--json", "--camera", "/dev/v4l/by-id/usb-X")
    assert isinstance(ran.error, errors.CameraError)
    lines = [json.loads(line) for line in ran.result.stdout.splitlines()]
    assert len(lines) == 24 + 1
    assert re.search(r"^note: no frame came for 3\.[0-9] s; the model begins anew$", ran.result.stderr, re.M)
    assert ran.model.colour_stream.resets == [12]
    assert [line["label"] for line in lines[:-1]] == ["blue"] * 12 + ["red"] * 12


def test_in_a_window_the_clip_plays_and_q_ends_it(run, monkeypatch):
    shown = []

    class Window:
        def __init__(self, reset):
            pass

        def show(self, picture):
            shown.append(picture.shape)

        def poll(self):
            return len(shown) < 9

        def close(self):
            shown.append("closed")

    monkeypatch.setattr(session, "check_display", lambda: None)
    monkeypatch.setattr(session, "Window", Window)
    result = clean(run("--video", REAL_CLIP, "--json"))
    assert json.loads(result.stdout.splitlines()[-1])["stopped"] == "quit"
    assert shown[-1] == "closed"
    assert shown[0] == (shown[0][0], 480, 3)


@pytest.fixture
def short_clip(write_video, make):
    """Half a second of blue and then of red."""
    return write_video(15 * [make.picture((255, 0, 0))] + 15 * [make.picture((0, 0, 255))])


def test_a_page_needs_no_display_and_goes_with_the_other_outputs(run, short_clip, tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    path = tmp_path / "out.mp4"
    for clock in ([], ["--headless"]):
        ran = run(
            "--video", short_clip, "--serve", "127.0.0.1:0", "--json", "--record", path, "--mirror", *clock
        )
        lines = [json.loads(line) for line in clean(ran).stdout.splitlines()]
        assert lines[-1]["stopped"] == "end"
        assert lines[-1]["recorded"] == str(path)
        assert lines[-1]["frames"] + lines[-1]["dropped"] == 12
        assert re.search(r"^live page: http://127\.0\.0\.1:[0-9]+/$", ran.result.stderr, re.MULTILINE)


def test_a_page_for_others_has_a_token(run, short_clip, monkeypatch):
    options = ["--video", short_clip, "--headless", "--serve", "0.0.0.0:0"]
    assert re.search(r":[0-9]+/\?token=[A-Za-z0-9_-]{20,}$", clean(run(*options)).stderr, re.MULTILINE)
    monkeypatch.setenv("TSM_EDGE_TOKEN", "token-of-the-environment")
    assert "/?token=token-of-the-environment\n" in clean(run(*options)).stderr
    assert "/?token=token-of-the-option\n" in clean(run(*options, "--token", "token-of-the-option")).stderr
    monkeypatch.setenv("TSM_EDGE_TOKEN", "short")
    assert isinstance(run(*options).error, errors.UsageError)
    clean(run("--video", short_clip, "--headless"))  # nobody is served, so nobody needs it


def test_another_program_is_told_of_changes(run, write_video, make, tmp_path):
    clip = write_video(15 * [make.picture((255, 0, 0))] + 45 * [make.picture((0, 0, 255))])
    script = tmp_path / "told"
    script.write_text(f'#!/bin/sh\necho "$1 $TSM_EDGE_LABEL $TSM_EDGE_CONFIDENCE" >> {tmp_path}/out\n')
    script.chmod(0o755)
    options = ["--video", clip, "--headless", "--on-change", f"{script} 'a b'"]
    ran = clean(run(*options, "--json"))
    first, last = (tmp_path / "out").read_text().splitlines()
    assert first == "a b blue 1.0000"
    assert re.fullmatch(r"a b red 0\.[0-9]{4}", last)
    summary = json.loads(ran.stdout.splitlines()[-1])
    assert summary["on_change"] == {"called": 2, "failed": 0, "dropped": 0, "untold": 0}
    assert re.search(r"on change: +called 2 times$", clean(run(*options)).stdout, re.MULTILINE)


def test_labels_of_strangers_do_no_harm_wherever_they_are_told(run, write_video, make, tmp_path):
    """An option, an escape sequence with a line end, an order to delete: in text, JSON, a recording, a command."""
    hostile = ("--help", "-rf\n\x1b]0;owned\x07", "-delete")
    colours = 3 * [(255, 0, 0)], 4 * [(0, 255, 0)], 4 * [(0, 0, 255)]
    clip = write_video([make.picture(one) for many in colours for one in 8 * many])
    (tmp_path / "kept").touch()
    options = ["--video", clip, "--headless", "--record", tmp_path / "out.mp4"]
    ran = clean(run(*options, "--on-change", f"find {tmp_path}/kept", labels=hostile))
    assert ran.stdout.count("  --help  100%\n") == 1
    assert ran.stdout.count("  -rf\\n\\x1b]0;owned\\x07  ") == 1
    assert "\x1b" not in ran.output and "\x07" not in ran.output
    assert re.search(r"on change: +called 3 times$", ran.stdout, re.MULTILINE)
    assert (tmp_path / "kept").exists()
    lines = clean(run(*options, "--json", labels=hostile)).stdout.splitlines()
    assert {json.loads(line)["label"] for line in lines[:-1]} == set(hostile)
    assert "\x1b" not in "".join(lines)


def test_a_clip_can_be_repeated(run, short_clip):
    ran = run("--video", short_clip, "--loop", "--serve", "127.0.0.1:0", "--json", "--max-frames", 20)
    lines = [json.loads(line) for line in clean(ran).stdout.splitlines()]
    assert lines[-1]["stopped"] == "max-frames"
    stamps = [line["t_s"] for line in lines[:-1]]
    assert stamps == sorted(set(stamps))
    assert stamps[-1] > 1.2
    assert [line["raw_label"] for line in lines if 1.0 <= line.get("t_s", 0) < 1.4][0] == "blue"


def test_a_model_without_labels_numbers_its_classes(run):
    result = clean(run("--video", REAL_CLIP, "--headless", "--json", "--max-frames", 1, labels=()))
    line = json.loads(result.stdout.splitlines()[0])
    assert line["label"] == f"class {line['index']}"


def test_a_webhook_that_is_not_there_costs_words_only(run, monkeypatch):
    """The run is what it is without; what was not told is counted and named."""
    monkeypatch.setattr("tsm_edge.demo.sinks.sink.PATIENT_S", 0.2)
    result = clean(run("--video", REAL_CLIP, "--headless", "--json", "--webhook", "http://127.0.0.1:9/secret"))
    summary = json.loads(result.stdout.splitlines()[-1])
    assert summary["frames"] == 92
    counts = summary["sinks"]["webhook"]
    assert counts["untold"] > 0 and counts["told"] == counts["failed"] == counts["waiting"] == 0
    assert "the webhook at http://127.0.0.1:9" in result.stderr and "secret" not in result.stderr
