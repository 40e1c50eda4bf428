"""tsm-edge-run: at which frames it steps, what it decides, and what it says about time."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from command_lab import refused, run

from tsm_edge.decision import DecisionRule
from tsm_edge.sampling import Sampler
from tsm_edge.smoothing import Smoother, probabilities_of

SIDE, CLASSES = 24, 3
RAW = ("--raw", f"{SIDE}x{SIDE}", "--format", "rgb")
#: that of tiny_plan.c
RULE = DecisionRule(4, 2, 0.5, (0,))
STILL = "-DTINY_WEIGHTS=0.0f, 0.0f, 0.0f"
NOTE = b"tsm-edge-run: note: without --fps, frames are timed as they arrive"


@pytest.fixture(scope="module")
def tiny(make) -> Path:
    """Its scores follow the colour of the frames, because every class gets the same for each step."""
    return make(STILL, "-DTINY_BIAS=7 * sum / (float)PIXELS")


@pytest.fixture(scope="module")
def clip() -> bytes:
    """Four seconds at 30 frames a second: red, then green, then blue, with a few odd ones."""
    rng = np.random.default_rng(1)
    channels = np.repeat([0, 1, 0, 2, 1, 0], 20)
    channels[rng.random(120) < 0.1] = 2
    frames = rng.integers(0, 90, (120, SIDE, SIDE, 3), dtype=np.uint8)
    frames[np.arange(120), :, :, channels] += 160
    return frames.tobytes()


def lines_of(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, object]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def piped(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The command, running, with pipes on all sides."""
    return subprocess.Popen(
        [folder / "tsm-edge-run", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0"},
    )


def frames_of(fps: float, count: int = 120) -> list[int]:
    """The frames that the sampler chooses at 12 a second, each as often as it is worth."""
    sampler = Sampler(12)
    return [at for at in range(count) for _ in range(sampler.take(at / fps))]


@pytest.mark.parametrize(
    ("fps", "value"),
    [
        ("30", 30),
        ("12", 12),
        ("24", 24),
        ("5", 5),
        ("60.", 60),
        ("29.97", 29.97),
        ("30000/1001", 30000 / 1001),
    ],
)
def test_frames_of_a_known_rate_are_sampled_by_time(tiny, clip, fps, value):
    done = run(tiny, *RAW, "--fps", fps, data=clip)
    lines = lines_of(done)
    assert done.stderr == b""
    assert [line["frame"] for line in lines] == frames_of(value)
    assert [line["t_s"] for line in lines] == pytest.approx([at / value for at in frames_of(value)], abs=6e-4)


def test_a_dump_has_the_same_steps(tiny, clip):
    whole = np.frombuffer(run(tiny, *RAW, "--fps", "30", "--dump", data=clip).stdout, "<f4")
    rows = whole.reshape(len(frames_of(30)), -1)[:, :CLASSES]
    lines = lines_of(run(tiny, *RAW, "--fps", "30", data=clip))
    assert [line["index"] for line in lines] == rows.argmax(1).tolist()
    each = np.frombuffer(run(tiny, *RAW, "--dump", data=clip).stdout, "<f4")
    assert len(each) == 120 * whole.size // len(rows)  # without a rate, a dump steps on every frame


@pytest.mark.parametrize(("kind", "number"), [("logits", 0), ("sigmoid", 3)])
def test_decisions_are_those_of_the_smoother(make, tiny, clip, kind, number):
    """The same scores, dumped, through Python's."""
    if kind != "logits":
        tiny = make(
            STILL,
            f"-DTINY_SCORES={number}",
            "-DTINY_BIAS=fminf(1, fmaxf(0, 0.5f + 0.3f * sum / (float)PIXELS)) - sum / (float)PIXELS",
            scores=kind,
        )
    whole = np.frombuffer(run(tiny, *RAW, "--fps", "30", "--dump", data=clip).stdout, "<f4")
    rows = whole.reshape(len(frames_of(30)), -1)[:, :CLASSES]
    smoother = Smoother(RULE, kind)
    lines = lines_of(run(tiny, *RAW, "--fps", "30", "--decide", data=clip))
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        expected = smoother.push(row)
        assert set(line) == {"frame", "t_s", "label", "index", "probability", "changed", "idle", "ms"}
        assert (line["index"], line["changed"], line["idle"]) == (
            expected.index,
            expected.changed,
            expected.idle,
        )
        assert line["probability"] == pytest.approx(expected.probability, abs=1e-6)
    if kind == "logits":
        assert sum(bool(line["changed"]) for line in lines) >= 4


def test_the_score_of_a_sigmoid_tail_is_itself(make):
    tiny = make(STILL, "-DTINY_SCORES=3", "-DTINY_BIAS=(c == 1 ? 0.9f : 0.1f) - sum / (float)PIXELS")
    line = json.loads(run(tiny, *RAW, "--fps", "12", data=bytes(3 * SIDE * SIDE)).stdout)
    assert (line["index"], line["score"]) == (1, pytest.approx(0.9, abs=1e-5))
    assert probabilities_of("logits", [0.1, 0.9, 0.1])[1] == pytest.approx(
        0.526, abs=1e-3
    )  # what a softmax made of it


def test_tensors_are_one_step_each_unless_their_rate_is_given(tiny):
    data = np.zeros((20, 3, 20, 20), np.float32).tobytes()
    lines = lines_of(run(tiny, "--tensor", "--decide", data=data))
    assert [line["frame"] for line in lines] == list(range(20))
    assert lines[12]["t_s"] == 1.0  # at the model's rate
    lines = lines_of(run(tiny, "--tensor", "--decide", "--fps", "24", data=data))
    assert [line["frame"] for line in lines] == list(range(0, 20, 2))


def test_frames_too_far_apart_are_reported(tiny, clip):
    done = run(tiny, *RAW, "--fps", "1", data=clip[: 3 * SIDE * SIDE * 4])
    assert [line["frame"] for line in lines_of(done)] == [0, 1, 2, 3]
    assert b"note: 33 steps were left out; frames stopped for more than 0.50 s" in done.stderr


def test_a_live_pipe_is_sampled_by_the_clock(tiny, clip):
    """60 frames a second for 1.5 s, and one note."""
    frame = 3 * SIDE * SIDE
    with piped(tiny, *RAW) as process:
        assert process.stdin and process.stdout and process.stderr
        begin = time.monotonic()
        for at in range(90):
            time.sleep(max(0.0, begin + at / 60 - time.monotonic()))
            process.stdin.write(clip[:frame])
            process.stdin.flush()
        process.stdin.close()
        lines = [json.loads(line) for line in process.stdout.read().splitlines()]
        stderr = process.stderr.read()
        assert process.wait(30) == 0
    assert stderr.startswith(NOTE) and stderr.count(NOTE) == 1
    assert 9 <= len(lines) <= 24  # 18 on a machine without other work
    assert [line["frame"] for line in lines] == sorted(line["frame"] for line in lines)
    gaps = np.diff([line["t_s"] for line in lines])
    assert np.median(gaps) == pytest.approx(1 / 12, abs=0.03)


def test_a_model_that_is_too_slow_skips_frames(make, clip):
    """A step of 250 ms, 3 times a tick: it works on the newest frame, and never falls behind."""
    slow = make("-DTINY_SLOW_MS=250")
    with piped(slow, *RAW) as process:
        assert process.stdin and process.stdout and process.stderr
        begin = time.monotonic()
        for at in range(60):
            time.sleep(max(0.0, begin + at / 30 - time.monotonic()))
            process.stdin.write(clip[: 3 * SIDE * SIDE])
            process.stdin.flush()
        process.stdin.close()
        frames = [json.loads(line)["frame"] for line in process.stdout.read().splitlines()]
        stderr = process.stderr.read()
        assert process.wait(30) == 0
    assert 2 <= len(frames) <= 10 and frames == sorted(set(frames)) and frames[-1] >= 50
    assert b"frames were left out; a step takes longer than the model's rate allows" in stderr


def test_a_file_without_a_rate_passes_in_no_time(tiny, clip):
    """120 frames arrive within milliseconds: hardly a step, and the note says what to do."""
    done = run(tiny, *RAW, data=clip)
    assert len(lines_of(done)) < 30
    assert done.stderr.startswith(NOTE) and b"such as --fps 30" in done.stderr


def test_live_frames_that_end_badly(tiny, clip):
    done = run(tiny, *RAW, data=clip[:1000])
    assert done.returncode == 1 and b"frame 0 is cut off\n  found: 1000 bytes" in done.stderr
    done = run(tiny, *RAW)
    assert done.returncode == 1 and b"no frame came on stdin" in done.stderr
    closed = subprocess.run(
        ["sh", "-c", '"$0" "$@" <&-', tiny / "tsm-edge-run", *RAW],
        capture_output=True,
        timeout=30,
        check=False,
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0"},
    )
    assert closed.returncode == 1 and b"cannot read stdin" in closed.stderr


def test_it_ends_although_a_live_source_waits(tiny, clip):
    """Nobody reads its results any more, and the camera stays open without a frame."""
    with piped(tiny, *RAW) as process:
        assert process.stdin and process.stdout
        process.stdout.close()
        process.stdin.write(clip[: 3 * SIDE * SIDE])
        process.stdin.flush()
        assert process.wait(30) == 0


def test_scores_that_are_no_numbers_end_the_decision(make):
    folder = make("-DTINY_BIAS=NAN")
    done = run(folder, *RAW, "--fps", "12", "--decide", data=bytes(3 * SIDE * SIDE))
    assert done.returncode == 1 and done.stdout == b""
    assert b"frame 0: the scores are not finite" in done.stderr


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "-1",
        "x",
        "",
        "1e3",
        "30/0",
        "30/",
        "/2",
        "nan",
        "inf",
        "0x10",
        "1.2.3",
        "30fps",
        "1e999",
        "999999",
    ],
)
def test_rates_that_are_none(tiny, value):
    refused(tiny, 2, "bad value for --fps", f"found: {value}", arguments=(*RAW, "--fps", value))


def test_options_that_do_not_go_together(make, tiny):
    refused(tiny, 2, "bad value for --fps", "found: nothing", arguments=(*RAW, "--fps"))
    refused(tiny, 2, "--fps does not go", arguments=("--bench", "--fps", "30"))
    refused(tiny, 2, "--decide does not go", arguments=("--info", "--decide"))
    refused(tiny, 2, "choose one of --dump, --decide and --events", arguments=(*RAW, "--dump", "--decide"))
    folder = make("-DTINY_NO_IMAGE", preprocess=None)
    refused(folder, 2, "--fps means nothing to this network", arguments=("--tensor", "--fps", "30"))
    assert b"rate  " not in run(folder, "--info").stdout


def test_info_says_what_rate_and_decision_are_used(tiny):
    text = run(tiny, "--info").stdout.decode()
    assert "\nrate      12 frames a second: " in text
    assert "\nscores    logits\n" in text
    assert "\ndecision  mean of 4 steps, 2 that agree, probability 0.5 to leave idle; idle: nothing\n" in text


def test_a_lagged_model_says_its_delay_and_waits_for_its_first_answer(make, tiny, clip, good):
    """As the demo does: what its first steps give is of a time before the stream."""
    parameters = {**good["model"]["parameters"], "delay_frames": 6}
    late = make(STILL, "-DTINY_BIAS=7 * sum / (float)PIXELS", model={**good["model"], "parameters": parameters})
    assert b"delay     6 frames, 0.50 s: the model looks into the future" in run(late, "--info").stdout
    assert b"delay" not in run(tiny, "--info").stdout
    for mode in ((), ("--decide",)):
        done = run(late, *RAW, "--fps", "30", *mode, data=clip)
        assert b"an answer is for the frame 6 steps, 0.50 s before, and the first 6 steps have none" in done.stderr
        assert [line["frame"] for line in lines_of(done)] == frames_of(30)[6:]
    whole = run(tiny, *RAW, "--fps", "30", "--dump", data=clip)
    done = run(late, *RAW, "--fps", "30", "--dump", data=clip)
    assert done.stdout == whole.stdout and done.stderr == b""
