"""Several inputs in one process: each has its own stream, overlay, recording and events, and ends alone."""

from __future__ import annotations

import json
import threading
import time
from types import SimpleNamespace

import cv2
import pytest

pytest.importorskip("tornado", reason="the page needs the extra 'serve'")

from click.testing import CliRunner
from stream_servers import HttpCamera, begin_parts, jpeg, part

import tsm_edge.runtime
from tsm_edge import cli
from tsm_edge.demo import session
from tsm_edge.demo.web.server import Server

BLUE, GREEN, RED = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def run(make, monkeypatch, capfd):
    """Run the command line with a model whose streams know what each was fed; returns result, streams and lines."""
    monkeypatch.setattr(session, "default_bundle", lambda: "default")

    def go(*words):
        model, streams = make.model(), []

        def stream():
            streams.append(make.stream())
            return streams[-1]

        model.stream = stream
        monkeypatch.setattr(tsm_edge.runtime, "open", lambda folder, threads=None: model)
        result = CliRunner().invoke(cli.cli, ["demo", *map(str, words)])
        lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
        return SimpleNamespace(result=result, streams=streams, lines=lines)

    return go


def folder_of(path, colour, make, count=24):
    path.mkdir()
    for number in range(count):
        cv2.imwrite(str(path / f"{number}.png"), make.picture(colour))
    return path


def test_each_input_has_its_own_stream_lines_and_recording(run, tmp_path, make):
    blue = folder_of(tmp_path / "blue", BLUE, make)
    red = folder_of(tmp_path / "red", RED, make, count=12)
    ran = run("--input", blue, "--input", red, "--headless", "--json", "--record", tmp_path / "out.mp4")
    assert ran.result.exit_code == 0, ran.result.output
    assert [len(stream.frames) for stream in ran.streams] == [24, 12]
    assert all((frame == BLUE).all() for frame in ran.streams[0].frames)
    assert all((frame == RED).all() for frame in ran.streams[1].frames)
    frames, summaries = ran.lines[:-2], ran.lines[-2:]
    labels = {name: {line["label"] for line in frames if line["source"] == name} for name in ("blue", "red")}
    assert labels == {"blue": {"blue"}, "red": {"red"}}
    events = [line["event"] for line in frames if line["event"]]
    assert {(event["source"], event["label"]) for event in events} == {("blue", "blue"), ("red", "red")}
    assert len({event["id"] for event in events}) == len(events) == 2
    assert [line["frame"] for line in frames if line["source"] == "red"] == list(range(12))
    assert [(one["source"], one["frames"]) for one in summaries] == [(str(blue), 24), (str(red), 12)]
    for number, count in ((1, 24), (2, 12)):
        path = tmp_path / f"out-{number}.mp4"
        assert summaries[number - 1]["recorded"] == str(path)
        assert sum(1 for _ in iter(cv2.VideoCapture(str(path)).grab, False)) == count
    assert not (tmp_path / "out.mp4").exists()


def test_people_are_told_which_input_it_was(run, tmp_path, make):
    blue, red = folder_of(tmp_path / "blue", BLUE, make), folder_of(tmp_path / "red", RED, make)
    text = run("--input", blue, "--input", red, "--headless").result.stdout
    assert "0.00 s  blue  blue" in text and "0.00 s  red  red" in text
    assert text.count("source:") == 2 and text.count("next: ") == 1


def test_the_same_file_twice_has_two_names(run, tmp_path, make):
    blue = folder_of(tmp_path / "blue", BLUE, make, count=3)
    ran = run("--input", blue, "--input", blue, "--headless", "--json")
    assert [line["source"] for line in ran.lines[:2]] == ["blue", "blue (2)"]


def test_one_that_is_lost_ends_alone_and_decides_the_exit_code(run, tmp_path, make, monkeypatch):
    """A stream that stays away, beside a folder that is seen to its end; the page says so on its last picture."""
    sent, notes, offer = threading.Event(), [], Server.offer

    def note(server, image, status, number=0):
        notes.append((number, status.note))
        offer(server, image, status, number)

    monkeypatch.setattr(Server, "offer", note)

    def behave(handler):
        if sent.is_set():
            handler.send_error(503)
            return
        sent.set()
        begin_parts(handler)
        for _ in range(12):
            part(handler, jpeg(make.picture(GREEN)))
            time.sleep(0.05)

    camera = HttpCamera(behave)
    try:
        blue = folder_of(tmp_path / "blue", BLUE, make, count=40)
        words = ["--input", camera.url, "--input", blue, "--headless", "--json", "--give-up", "0.3"]
        words += ["--serve", "127.0.0.1:0"]
        ran = run(*words)
    finally:
        camera.close()
    assert ran.result.exit_code == 4, ran.result.output
    assert len(ran.streams[1].frames) == 40
    ends = {line["source"]: (line["stopped"], line["frames"]) for line in ran.lines if "stopped" in line}
    assert ends[str(blue)] == ("end", 40)
    assert ends.get(camera.url, ("failed", 0))[0] == "failed"
    assert any(number == 0 and note.startswith(f"ended: {camera.url} ") for number, note in notes)
    assert "error[stream]" in ran.result.stderr and ran.lines[-1]["error"]["identifier"] == "stream"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--input", "0", "--input", "/dev/video1", "--input", "0"], "camera 0 twice"),
        (["--input", "-", "--input", "-"], "standard input twice"),
        (["--input", "0", "--input", "rtsp://c/x", "--size", "640x480"], "--size with rtsp://c/x"),
        (["--input", "0", "--camera", "1"], "--input and --camera"),
        (sum((["--input", str(n)] for n in range(17)), []), "too many inputs"),
        (["--input", "a.mp4", "--input", "0", "--loop"], "without a video file"),
        (["--input", "out-2.mp4", "--input", "b.mp4", "--record", "out.mp4"], "would replace the video"),
    ],
)
def test_inputs_that_do_not_go_together(run, words, said):
    ran = run(*words)
    assert ran.result.exit_code == 2
    assert said in ran.result.stderr


def test_one_that_cannot_be_opened_ends_all_before_the_model_is(run, tmp_path, make):
    ran = run("--input", folder_of(tmp_path / "blue", BLUE, make), "--input", tmp_path / "none.mp4", "--headless")
    assert ran.result.exit_code == 1 and not ran.streams
    assert "none.mp4' is not a video file" in ran.result.stderr


def test_a_window_each(run, monkeypatch, tmp_path, make):
    titles = []

    class Window:
        def __init__(self, reset, title="alone"):
            titles.append(title)

        def show(self, picture):
            pass

        def poll(self):
            return True

        def close(self):
            pass

    monkeypatch.setattr(session, "check_display", lambda: None)
    monkeypatch.setattr(session, "Window", Window)
    blue, red = folder_of(tmp_path / "blue", BLUE, make, 3), folder_of(tmp_path / "red", RED, make, 3)
    assert run("--input", blue, "--input", red, "--json").result.exit_code == 0
    assert titles == ["tsm-edge demo: blue", "tsm-edge demo: red"]
