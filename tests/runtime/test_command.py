"""tsm-edge-run: every mode, every exit code, every message that a user can meet."""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_lab import refused, run

from tsm_edge.frames import preprocess
from tsm_edge.signature import Preprocess

HERE = Path(__file__).resolve().parent
CROP, CLASSES, STEPS = 20, 3, 5
FRAME = (3, CROP, CROP)


@pytest.fixture(scope="module")
def tiny(make) -> Path:
    return make()


def clip(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *FRAME)).astype(np.float32)


def scores_of(frames: np.ndarray) -> np.ndarray:
    """What tiny_plan.c computes, one row for each frame."""
    before = np.concatenate([np.zeros_like(frames[:1]), frames[:-1]])
    counts = np.arange(1, len(frames) + 1)[:, None]
    return (frames * 0.5 + before * 0.25).mean(axis=(2, 3)) + counts * np.arange(CLASSES)


# -- Help and usage ----------------------------------------------------------------------------------------------------


def test_help_and_version_need_no_bundle(program):
    assert b"usage: tsm-edge-run --info" in run(program.parent, "--help").stdout
    assert run(program.parent, "--version").stdout == b"tsm-edge-run 9.8.7\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "nothing to do"),
        (("--threads", "2"), "nothing to do"),
        (("--bensh",), "Did you mean '--bench'?"),
        (("--qqqqqqqqqq",), "unknown argument '--qqqqqqqqqq'.\n"),
        (("frames.bin",), "unknown argument 'frames.bin'"),
        (("--info", "--bench"), "choose one"),
        (("--raw", "640", "--format", "bgr"), "such as 640x480"),
        (("--raw", "640x480x3", "--format", "bgr"), "found: 640x480x3"),
        (("--raw", "0x480", "--format", "bgr"), "found: 0x480"),
        (("--raw", "20000x1", "--format", "bgr"), "16384"),
        (("--raw",), "found: nothing"),
        (("--raw", "4x4"), "--raw needs --format"),
        (("--raw", "4x4", "--format", "yuv"), "allowed: bgr, rgb, grey, yuyv, nv12, yuv420"),
        (("--raw", "4x4", "--format"), "found: nothing"),
        (("--info", "--threads", "0"), "allowed: 1 to 64"),
        (("--info", "--threads", "65"), "found: 65"),
        (("--info", "--threads", "2x"), "found: 2x"),
        (("--info", "--threads", "-1"), "found: -1"),
        (("--bench", "--frames", "1000001"), "1 to 1000000"),
        (("--bench", "--frames"), "found: nothing"),
        (("--info", "--frames", "5"), "--frames does not go with this mode"),
        (("--tensor", "--per-op"), "--per-op does not go"),
        (("--bench", "--dump"), "--dump does not go"),
        (("--tensor", "--format", "rgb"), "--format does not go"),
    ],
)
def test_usage_errors(program, arguments, says):
    refused(program.parent, 2, says, arguments=arguments)


# -- Modes -------------------------------------------------------------------------------------------------------------


def test_info(tiny):
    done = run(tiny, "--info")
    assert done.returncode == 0 and done.stderr == b""
    text = done.stdout.decode()
    for part in (
        "tiny, 3 classes, 3 labels",
        "seeded: three numbers",
        "test (",
        "images: cover 24x24, centre 20x20",
        "1x3x20x20",
    ):
        assert part in text
    assert "threads   2 by default" in text and "required: nothing beyond" in text and "4 operations" in text


@pytest.mark.parametrize("threads", ["1", "2", "3"])
def test_tensor_dump(tiny, threads):
    frames = clip(4)
    done = run(tiny, "--tensor", "--dump", "--threads", threads, data=frames.tobytes())
    assert done.returncode == 0 and done.stderr == b""
    rows = np.frombuffer(done.stdout, "<f4").reshape(len(frames), CLASSES + math.prod(FRAME) + STEPS)
    np.testing.assert_allclose(rows[:, :CLASSES], scores_of(frames), atol=1e-5)
    assert np.array_equal(rows[:, CLASSES:-STEPS].reshape(frames.shape), frames)
    assert np.array_equal(rows[:, -STEPS:], np.repeat(np.arange(1, 5)[:, None], STEPS, 1))


def test_raw_dump(tiny):
    pixels = np.random.default_rng(5).integers(0, 256, (2, 30, 41, 3), dtype=np.uint8)
    done = run(tiny, "--raw", "41x30", "--format", "bgr", "--dump", data=pixels.tobytes())
    assert done.returncode == 0
    rows = np.frombuffer(done.stdout, "<f4").reshape(2, -1)
    how = Preprocess.square(24, CROP, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb", 12.0)
    for row, frame in zip(rows, pixels, strict=True):
        assert np.array_equal(row[CLASSES:-STEPS].reshape(1, *FRAME), preprocess(frame, how))


def test_tensor_lines(tiny):
    frames = clip(3)
    lines = [json.loads(line) for line in run(tiny, "--tensor", data=frames.tobytes()).stdout.splitlines()]
    scores = scores_of(frames)
    softmax = np.exp(scores - scores.max(1, keepdims=True))
    softmax /= softmax.sum(1, keepdims=True)
    assert [line["frame"] for line in lines] == [0, 1, 2]
    for line, row in zip(lines, softmax, strict=True):
        assert set(line) == {"frame", "t_s", "index", "label", "score", "ms"} and line["ms"] >= 0
        assert line["index"] == row.argmax() and line["score"] == pytest.approx(row.max(), abs=1e-5)
        assert line["label"] == "café"


def test_raw_knows_the_order_of_colours(tiny):
    """A frame that is all blue in BGR, and the same bytes as RGB, differ as their channels do."""
    pixels = np.zeros((24, 24, 3), np.uint8)
    pixels[..., 0] = 255
    scores = []
    for name in ("bgr", "rgb"):
        done = run(tiny, "--raw", "24x24", "--format", name, "--fps", "12", data=pixels.tobytes())
        assert done.returncode == 0
        scores.append(json.loads(done.stdout)["score"])
    assert scores[0] > 0.8 > scores[1]  # blue is channel 2, the class that leads anyway


def test_labels_are_escaped(make):
    lines = run(make("-DTINY_BEST=1"), "--tensor", data=clip(2).tobytes()).stdout
    assert lines.count(b"\n") == 2
    assert [json.loads(line)["label"] for line in lines.splitlines()] == ['a "wave"\n'] * 2


def test_scores_that_are_not_finite_are_null(tiny):
    frames = clip(1)
    frames[0, 0, 0, 0] = np.nan
    line = json.loads(run(tiny, "--tensor", data=frames.tobytes()).stdout)
    assert line["index"] == -1 and line["label"] is None and line["score"] is None


@pytest.mark.parametrize("threads", [1, 2])
def test_bench(tiny, threads):
    done = run(tiny, "--bench", "--frames", "20", "--per-op", "--threads", str(threads))
    assert done.returncode == 0 and done.stderr == b""
    report = json.loads(done.stdout)
    assert report["schema"] == 1 and report["model"] == "tiny" and report["target"] == "test"
    assert report["threads"] == threads and report["frames"] == 20
    assert report["min_ms"] <= report["p5_ms"] <= report["median_ms"] <= report["p95_ms"] < 1000
    assert report["first_ms"] > 0 and report["open_ms"] > 0 and 500 < report["peak_rss_kib"] < 500_000
    assert report["checks"] == {"finite": True, "repeatable": True} and report["image"]["median_ms"] > 0
    assert [op["kernel"] for op in report["ops"]] == ["see", "mix", "count", "score"]
    assert report["ops"][1]["macs"] == 2 * math.prod(FRAME) and report["ops"][1]["median_us"] > 0


def test_bench_without_operations_and_with_the_threads_of_the_bundle(tiny):
    report = json.loads(run(tiny, "--bench", "--frames", "1").stdout)
    assert "ops" not in report and report["threads"] == 2


def test_bench_of_a_network_without_an_image(make):
    folder = make("-DTINY_NO_IMAGE", preprocess=None)
    assert json.loads(run(folder, "--bench", "--frames", "2").stdout)["image"] is None
    assert b"images:" not in run(folder, "--info").stdout
    says = ("has no image input", "use tsm_step_tensor")
    refused(folder, 2, *says, arguments=("--raw", "24x24", "--format", "bgr"), data=bytes(24 * 24 * 3))


# -- Streams that end badly --------------------------------------------------------------------------------------------


def test_a_frame_cut_off(tiny):
    data = bytes(24 * 24 * 3) * 2 + bytes(100)
    done = run(tiny, "--raw", "24x24", "--format", "bgr", "--fps", "12", data=data)
    assert done.returncode == 1 and done.stdout.count(b"\n") == 2
    assert b"frame 2 is cut off\n  found: 100 bytes\n  allowed: 1728" in done.stderr


def test_no_frame_at_all(tiny):
    refused(tiny, 1, "no frame came on stdin", "4800 bytes", arguments=("--tensor",))


def test_a_reader_that_has_enough(tiny):
    """The other end of the pipe closes: no message, no failure."""
    arguments = [tiny / "tsm-edge-run", "--tensor", "--dump"]
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdout.close()
        try:
            process.stdin.write(clip(50).tobytes())
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has left already
        assert process.wait(30) == 0 and process.stderr.read() == b""


def test_a_full_disk(tiny):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [tiny / "tsm-edge-run", "--tensor"],
            input=clip(1).tobytes(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1 and b"cannot write to stdout" in done.stderr


# -- Bundles and machines that do not fit ------------------------------------------------------------------------------


def test_a_changed_bundle_is_not_loaded(make):
    folder = make()
    content = bytearray((folder / "libtsm.so").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "libtsm.so").write_bytes(content)
    refused(folder, 3, "[file-hash] 'libtsm.so' has been changed", "hint: copy the bundle again")


def test_no_bundle(program):
    refused(program.parent, 3, "[not-a-bundle]")


def test_wrong_arch(make, good):
    arch = "armv7l" if good["target"]["arch"] != "armv7l" else "aarch64"
    refused(make(target={**good["target"], "arch": arch}), 5, "[wrong-arch]", f"allowed: {arch}")


def test_wrong_libc(make, good):
    target = {**good["target"], "glibc": "99.1"}
    refused(make(target=target), 5, "[wrong-libc]", "allowed: glibc 99.1 and newer")


def test_wrong_cpu_by_the_library(make):
    """The manifest forgot it; the library itself still looks."""
    refused(make('-DTINY_REQUIRES="no-such-feature"'), 5, "[wrong-cpu]", "uses: no-such-feature")


def test_a_plan_that_breaks_its_promises(make):
    refused(make("-DTINY_CROP=20", "-DTINY_RESIZE=10"), 1, "resize 10x10, crop 20x20", "crop <= resize")


def test_a_library_that_is_none(make):
    folder = make(sources=[HERE / "stub_device.c"])
    refused(folder, 4, "the device is on fire")
    other = make("-DWITHOUT_RESET", sources=[HERE / "stub_device.c"])
    refused(other, 1, "libtsm.so has no tsm_reset")


@pytest.mark.parametrize(
    ("bias", "says"), [("NAN", "scores are not finite"), ("tick()", "equal inputs after a reset")]
)
def test_bench_checks_what_it_measures(make, bias, says):
    folder = make(f"-DTINY_BIAS={bias}")
    done = run(folder, "--bench", "--frames", "2")
    assert done.returncode == 3 and says in done.stderr.decode()
    assert done.stdout == b"", "a wrong step must not print a time"
