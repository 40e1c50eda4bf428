"""tsm_edge.runtime over the real C runtime with the plan of tiny_plan.c, built by this machine's compiler."""

from __future__ import annotations

import dataclasses
import gc
import os
import shutil
import subprocess
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

import tsm_edge
from tsm_edge import bundle, frames, target
from tsm_edge.bundle.manifest import Manifest, ModelInfo, PlanInfo, TargetInfo, WeightsInfo
from tsm_edge.errors import BundleError, FrameError, RuntimeFailure, UnknownName, UnsupportedHost, UsageError
from tsm_edge.signature import Preprocess, Signature, StatePair, TensorSpec

CROP, RESIZE, CLASSES = 20, 24, 3


def a_manifest(**changes) -> Manifest:
    parts = {
        "model": ModelInfo("tiny", {"size": CROP}, WeightsInfo("seeded", "three numbers", ""), "zoo"),
        "labels": ("nothing", 'a "wave"\n', "café"),
        "preprocess": Preprocess.square(
            RESIZE, CROP, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb", 12.0
        ),
        "signature": Signature(
            (TensorSpec("frame", (1, 3, CROP, CROP)),),
            (
                StatePair(TensorSpec("seen", (1, 3, CROP, CROP)), "seen_out"),
                StatePair(TensorSpec("steps", (1, 5)), "steps_out"),
            ),
            (TensorSpec("scores", (1, CLASSES)),),
        ),
        "target": TargetInfo.of(target.load("local")),
        "backend": "cpu",
        "precision": "float32",
        "threads": 2,
        "plan": PlanInfo(4, 0, 0, 12, 240, 0),
        "compiler": {"tsm-edge": tsm_edge.__version__},
    }
    return Manifest(**{**parts, **changes})


@pytest.fixture(scope="module")
def build(repository, tmp_path_factory):
    """Return a function that builds a bundle: build(manifest, *macros) -> folder."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler: install gcc")
    runtime, here = repository / "compile" / "runtime", repository / "tests" / "runtime"

    def build(manifest: Manifest | None = None, *macros: str) -> Path:
        work = tmp_path_factory.mktemp("tiny")
        command = [
            compiler,
            "-std=c11",
            "-O1",
            "-shared",
            "-fPIC",
            "-fvisibility=hidden",
            f"-I{runtime}",
            *macros,
        ]
        command += [*map(str, sorted(runtime.glob("*.c"))), str(here / "tiny_plan.c")]
        subprocess.run([*command, "-o", str(work / "libtsm.so"), "-lm", "-pthread"], check=True)
        files = {"libtsm.so": work / "libtsm.so", "tsm-edge-run": b"", "tsm_edge.h": b"", "plan.txt": b""}
        bundle.write(work / "tiny-local", manifest or a_manifest(), files)
        return work / "tiny-local"

    return build


@pytest.fixture(scope="module")
def tiny(build):
    return build()


@pytest.fixture
def model(tiny):
    with tsm_edge.open(tiny) as model:
        yield model


def picture(seed=0, height=48, width=64):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def expected(pictures):
    """The scores that tiny_plan.c defines, one row for each picture."""
    seen, rows = 0.0, []
    for count, frame in enumerate(pictures, 1):
        x = frames.preprocess(frame, a_manifest().preprocess)
        mixed = x * 0.5 + np.float32(0.25) * seen
        rows.append(mixed[0].mean(axis=(1, 2)) + np.arange(CLASSES) * count)
        seen = x
    return np.array(rows, np.float32)


def test_scores_over_time(model):
    pictures = [picture(seed) for seed in range(3)]
    stream = model.stream()
    found = [stream.step(frame) for frame in pictures]
    assert all(row.dtype == np.float32 and row.shape == (CLASSES,) for row in found)
    np.testing.assert_allclose(found, expected(pictures), atol=1e-5)


def test_what_the_model_says_of_itself(model):
    assert model.labels[2] == "café" and model.device.startswith("the CPU: ")
    assert model.manifest.model.name == "tiny"
    assert model.signature.inputs[0].shape == (1, 3, CROP, CROP)
    assert model.preprocess.crop == (CROP, CROP)


@pytest.mark.parametrize("size", [(48, 64), (64, 48), (20, 20), (7, 9), (480, 641)])
def test_the_picture_reaches_the_network_as_the_reference_says(model, size):
    frame = picture(1, *size)
    stream = model.stream()
    stream.step(frame)
    assert np.array_equal(stream.states()["seen"], frames.preprocess(frame, model.preprocess))


def test_views_of_a_frame(model):
    large = picture(2, 100, 120)
    views = {
        "window": large[10:60, 20:90],
        "mirrored": large[:, ::-1],
        "upside down": large[::-1],
        "every second row": large[::2],
        "every second column": large[:, ::2],
        "planar": np.ascontiguousarray(large.transpose(2, 0, 1)).transpose(1, 2, 0),
        "one row": large[:1],
        "one row of a mirror": large[::-1][:1],
        "one row, the next one far away": np.lib.stride_tricks.as_strided(large, (1, 120, 3), (2**62, 3, 1)),
    }
    for name, view in views.items():
        direct, copied = model.stream().step(view), model.stream().step(view.copy())
        assert np.array_equal(direct, copied), name


def test_formats(model):
    frame = picture(3)
    swapped = np.ascontiguousarray(frame[:, :, ::-1])
    assert np.array_equal(model.stream().step(frame), model.stream().step(swapped, format="rgb"))


@pytest.mark.parametrize("format", ["grey", "yuyv", "nv12", "yuv420"])
def test_every_format_is_the_reference(model, format):
    shape = {"grey": (30, 40), "yuyv": (30, 40, 2)}.get(format, (45, 40))
    frame = np.random.default_rng(6).integers(0, 256, shape, dtype=np.uint8)
    for view in (frame, frame[:, ::-1], np.asfortranarray(frame)):
        x = frames.preprocess(view, model.preprocess, format=format, color="bt709")
        found = model.stream().step(view, format=format, color="bt709")
        assert np.array_equal(found, model.stream().step_tensor(x))


def test_planes_of_odd_sides_and_with_rows_apart(model):
    rng = np.random.default_rng(8)
    sides = ((31, 41), (16, 21), (16, 21))
    y, u, v = (rng.integers(0, 256, (rows, 50), dtype=np.uint8)[:, :row] for rows, row in sides)
    uv = np.stack([u, v], axis=2)
    expected = frames.preprocess((y, u, v), model.preprocess, format="yuv420")
    for planes, format in (((y, u, v), "yuv420"), ((y, uv[..., 0], uv[..., 1]), "yuv420"), ((y, uv), "nv12")):
        assert np.array_equal(model.stream().step(planes, format=format), model.stream().step_tensor(expected))


def test_step_tensor_is_step_without_the_preprocessing(model):
    frame = picture(4)
    x = frames.preprocess(frame, model.preprocess)
    assert np.array_equal(model.stream().step(frame), model.stream().step_tensor(x))
    channels_last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert np.array_equal(model.stream().step(frame), model.stream().step_tensor(channels_last))
    x.setflags(write=False)
    assert np.array_equal(model.stream().step(frame), model.stream().step_tensor(x))


def test_scores_are_a_copy(model):
    stream = model.stream()
    first = stream.step(picture(0))
    kept = first.copy()
    stream.step(picture(1))
    assert np.array_equal(first, kept)


@pytest.mark.parametrize(
    ("frame", "part"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32 [4, 4, 3]"),
        (np.zeros((4, 4), np.uint8), "[4, 4]"),
        (np.zeros((4, 4, 4), np.uint8), "[4, 4, 4]"),
        (np.zeros((0, 4, 3), np.uint8), "[0, 4, 3]"),
        (np.zeros((1, 20000, 3), np.uint8), "[1, 20000, 3]"),
        ([[1, 2, 3]], "list"),
        (None, "NoneType"),
    ],
)
def test_bad_frames_leave_the_stream_as_it_was(model, frame, part):
    stream = model.stream()
    stream.step(picture())
    before = stream.states()
    with pytest.raises(FrameError) as caught:
        stream.step(frame)
    assert part in str(caught.value.found) and caught.value.allowed
    assert all(np.array_equal(before[name], value) for name, value in stream.states().items())


def test_bad_format_and_bad_tensors(model):
    stream = model.stream()
    with pytest.raises(FrameError, match="pixel format"):
        stream.step(picture(), format="yuv")
    for bad in (np.zeros((1, 3, 8, 8), np.float32), np.zeros((1, 3, CROP, CROP)), "x"):
        with pytest.raises(FrameError):
            stream.step_tensor(bad)


def test_a_network_that_takes_no_picture(build):
    with tsm_edge.open(build(a_manifest(preprocess=None), "-DTINY_NO_IMAGE")) as model:
        with pytest.raises(FrameError):
            model.stream().step(picture())
        assert model.stream().step_tensor(np.zeros((1, 3, CROP, CROP), np.float32)).tolist() == [0, 1, 2]


def test_reset_and_states(model):
    stream = model.stream()
    first = stream.step(picture())
    assert stream.states()["steps"].tolist() == [[1] * 5]
    stream.step(picture(1))
    kept = stream.states()
    after = stream.step(picture(2))
    stream.reset()
    assert all((value == 0).all() for value in stream.states().values())
    assert np.array_equal(stream.step(picture()), first)
    stream.set_states(kept)
    assert np.array_equal(stream.step(picture(2)), after)
    assert np.array_equal(kept["seen"], frames.preprocess(picture(1), model.preprocess)), "states are copies"
    assert [form.dtype for form in model.state_forms()] == [np.float32, np.float32]
    raw = stream.raw_states()
    assert all(np.array_equal(raw[name], value) for name, value in stream.states().items())
    stream.set_raw_states({"steps": raw["steps"] + 1})
    assert np.array_equal(stream.states()["steps"], raw["steps"] + 1)


def test_bad_states(model):
    stream = model.stream()
    with pytest.raises(UnknownName, match="Did you mean 'seen'"):
        stream.set_states({"seem": np.zeros((1, 3, CROP, CROP), np.float32)})
    zeros = np.zeros((1, 3, CROP, CROP), np.float32)
    with pytest.raises(FrameError, match="'steps'"):
        stream.set_states({"seen": zeros + 1, "steps": np.zeros((5,), np.float32)})
    assert (stream.states()["seen"] == 0).all(), "nothing is written when one of them is wrong"


def test_timings(model):
    stream = model.stream()
    stream.step(picture())
    assert all(timing.ns == 0 for timing in stream.timings())
    stream.profile()
    stream.step(picture())
    timings = stream.timings()
    assert [timing.kernel for timing in timings] == ["see", "mix", "count", "score"]
    assert timings[1].layer == "frame" and timings[1].schedule == "plain"
    assert sum(timing.ns for timing in timings) > 0


def test_streams_are_independent_also_in_threads(model):
    lists = [[picture(10 * camera + i) for i in range(20)] for camera in range(4)]
    results = [None] * len(lists)

    def run(camera):
        stream = model.stream(threads=1 + camera % 2)
        results[camera] = [stream.step(frame) for frame in lists[camera]]

    threads = [threading.Thread(target=run, args=(camera,)) for camera in range(len(lists))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for camera, pictures in enumerate(lists):
        alone = model.stream(threads=1)
        assert np.array_equal(results[camera], [alone.step(frame) for frame in pictures])


def test_two_threads_in_one_stream_are_refused(model):
    stream = model.stream()
    entered, leave = threading.Event(), threading.Event()

    def call():
        with stream._guard._lock:
            entered.set()
            leave.wait()

    thread = threading.Thread(target=call)
    thread.start()
    entered.wait()
    for refused in (lambda: stream.step(picture()), stream.states, stream.timings, stream.reset, stream.profile):
        with pytest.raises(RuntimeFailure, match="Two threads"):
            refused()
    leave.set()
    thread.join()
    stream.step(picture())


def test_closing(tiny):
    model = tsm_edge.open(tiny)
    stream = model.stream()
    stream.close()
    stream.close()
    with pytest.raises(RuntimeFailure, match="stream is closed"):
        stream.step(picture())
    other = model.stream()
    model.close()
    model.close()
    with pytest.raises(RuntimeFailure, match="stream is closed"):
        other.step(picture())
    with pytest.raises(RuntimeFailure, match="model is closed"):
        model.stream()


def test_a_stream_keeps_its_model(tiny):
    stream = tsm_edge.open(tiny).stream()
    gc.collect()
    assert stream.step(picture()).shape == (CLASSES,)
    freed = weakref.ref(stream.model)
    release = stream.model._guard._release
    del stream
    gc.collect()
    assert freed() is None and not release.alive


@pytest.mark.parametrize("threads", [0, 65, 1.5, True, "2"])
def test_bad_thread_counts(tiny, model, threads):
    with pytest.raises(UsageError, match="threads"):
        model.stream(threads=threads)
    with pytest.raises(UsageError) as caught:
        tsm_edge.open(tiny, threads=threads)
    assert caught.value.allowed == "an integer from 1 to 64"


def test_a_relative_path_and_threads(tiny, monkeypatch):
    monkeypatch.chdir(tiny.parent)
    with tsm_edge.open(tiny.name, threads=1) as model:
        assert model.threads == 1
        monkeypatch.chdir("/")
        model.stream().step(picture())


def test_a_processor_that_lacks_a_feature(build):
    with pytest.raises(BundleError) as caught:
        tsm_edge.open(build(None, '-DTINY_REQUIRES="no-such-feature"'))
    assert (caught.value.name, caught.value.exit_code) == ("wrong-cpu", 5)
    assert "no-such-feature" in str(caught.value)


def test_nothing_is_loaded_from_a_changed_bundle(tiny, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny, copy)
    data = bytearray((copy / "libtsm.so").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "libtsm.so").write_bytes(data)
    with pytest.raises(BundleError, match="file-hash"):
        tsm_edge.open(copy)
    with open("/proc/self/maps", encoding="utf-8") as maps:
        assert os.fspath(copy) not in maps.read()


def test_a_library_that_is_none(tmp_path):
    files = {"libtsm.so": b"not ELF", "tsm-edge-run": b"", "tsm_edge.h": b"", "plan.txt": b""}
    bundle.write(tmp_path / "b", a_manifest(), files)
    with pytest.raises(RuntimeFailure, match="cannot be used"):
        tsm_edge.open(tmp_path / "b")


def test_a_library_with_other_states_than_the_manifest(build):
    signature = a_manifest().signature
    fewer = dataclasses.replace(signature, states=signature.states[:1])
    with pytest.raises(RuntimeFailure, match="states are not the manifest's"):
        tsm_edge.open(build(a_manifest(signature=fewer)))


def test_a_static_bundle_has_a_program_but_no_library(tmp_path):
    static = dataclasses.replace(a_manifest().target, libc="musl", glibc="", link="static")
    files = {"libtsm.a": b"", "tsm-edge-run": b"", "tsm_edge.h": b"", "plan.txt": b""}
    bundle.write(tmp_path / "b", a_manifest(target=static), files)
    with pytest.raises(UnsupportedHost, match="tsm-edge-run"):
        tsm_edge.open(tmp_path / "b")


def test_the_package_offers_the_runtime():
    assert tsm_edge.open is tsm_edge.runtime.open
    assert tsm_edge.Model is tsm_edge.runtime.Model
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = tsm_edge.nothing_like_it
