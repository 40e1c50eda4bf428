"""The scenes of tests/abuse: one for each verb that writes, and which of them are light enough for `make test`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from disk_lab import ABUSE, Scene, verb

from tsm_edge.weights.writing import save_weights

VECTORS = ABUSE.parent / "vectors" / "bundles"
CLIPS = ["--clips", "6", "--size", "32", "--frames", "4"]
MODEL = ["tsm-mobilenetv2", "--width", "0.25", "--size", "32", "--classes", "5"]


def write_bundle(folder: Path, threads: int) -> None:
    """Write a bundle without code; every file of it depends on the number of threads."""
    from tsm_edge import bundle

    read = bundle.read(VECTORS / "ok")
    files = {name: (VECTORS / "ok" / name).read_bytes() + bytes([threads]) * 20_000 for name in read.files}
    bundle.write(folder, dataclasses.replace(read, threads=threads), files)


def _bundle(threads: int) -> Callable[[Path], None]:
    return lambda folder: write_bundle(folder / "toy", threads)


def _train(epochs: int, *more: str) -> Callable[[Path], None]:
    words = ["--width", "0.25", "--size", "32", "--frames", "4", "--batch", "4", "--threads", "1", *more]
    data = "../given/clips"
    return lambda folder: verb(
        "train", "--data", data, "--held-out", data, "--out", "run", "--epochs", epochs, *words
    )


def _trained(path: Path) -> str:
    """The epoch that a file of a training is of; raises for a broken one."""
    import cv2

    from tsm_edge.train import checkpoint
    from tsm_edge.weights.meta import read_meta

    if path.name == checkpoint.LAST:
        return str(checkpoint.load(path)["epoch"])
    if path.suffix == ".jsonl":
        return str([json.loads(line)["epoch"] for line in path.read_text().splitlines()])
    if path.suffix == ".png":
        assert cv2.imread(str(path)) is not None
        return "picture"
    meta = read_meta(path)
    assert meta is not None
    from safetensors.numpy import load_file

    load_file(path)
    return "weights"


def _record(folder: Path) -> None:
    """Two clips of a stand-in camera: the code of `tsm-edge record` below its command line."""
    import numpy as np

    from tsm_edge.demo import take
    from tsm_edge.demo.sources import Frame

    class Camera:
        live, count = True, 0

        def read(self) -> Frame:
            self.count += 1
            return Frame(np.full((48, 64, 3), self.count % 256, np.uint8), self.count / 16)

    session = take.Session(Camera(), take.Terminal(), folder, "wave", seconds=1.0, countdown=0.0)
    session.run(2, ask=False)


def _demo(frames: int) -> Callable[[Path], None]:
    words = ["--bundle", "../given/bundle", "--video", _clip(), "--headless", "--max-frames", frames]
    return lambda folder: verb("demo", *words, "--record", "out.mp4")


def _frames(path: Path) -> str:
    """How many frames a recording has; its pictures show times, so no two are the same."""
    import cv2

    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    assert count == capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0, "a broken recording"
    return f"{count} frames"


def _clip() -> Path:
    import tsm_edge.demo

    return Path(tsm_edge.demo.__file__).parent / "data" / "gestures.mp4"


def _default_bundle(threads: int) -> Callable[[Path], None]:
    """The demo's own cache of bundles, with the toy bundle for a compiled one."""

    def write(folder: Path) -> None:
        from tsm_edge.demo import default_bundle

        default_bundle.cache_key = lambda model, target: f"{threads:064d}"
        default_bundle.default_bundle(
            lambda place: write_bundle(place, threads), {"XDG_CACHE_HOME": str(folder)}
        )

    return write


def _heavy(folder: Path) -> None:
    import cv2
    import safetensors.torch
    import torch
    import torch._dynamo

    import tsm_edge.train.loop

    for module in (cv2, safetensors.torch, torch, torch._dynamo, tsm_edge.train.loop):
        assert module
    torch.set_num_threads(1)


def _compiler(folder: Path) -> None:
    """Generate the kernels once: LLVM takes seconds for them, and a run in a child takes the same again."""
    _heavy(folder)
    from tsm_edge.compile.backends import cpu

    build, known = cpu.tvm.get_global_func, {}

    def cached(name: str) -> Callable[..., object]:
        def generate(module: object, target: object) -> object:
            key = str(target)
            if key not in known:
                known[key] = build(name)(module, target)
            return known[key]

        return generate

    cpu.tvm = _Replaced(cpu.tvm, get_global_func=cached)
    from tsm_edge import cli

    with (
        tempfile.TemporaryDirectory() as place,
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
        contextlib.suppress(SystemExit),
    ):
        cli.cli(_compile_words(f"{place}/b", 1), standalone_mode=True)


class _Replaced:
    """A module with some names of its own."""

    def __init__(self, module: object, **names: object) -> None:
        self.__dict__.update(names)
        self._module = module

    def __getattr__(self, name: str) -> object:
        return getattr(self._module, name)


def _compile_words(output: str, threads: int) -> list[str]:
    return ["compile", *MODEL, "--target", "x86-64", "--threads", str(threads), "--output", output]


def _compile(threads: int) -> Callable[[Path], None]:
    return lambda folder: verb(*_compile_words("bundle", threads))


def _synth(seed: int, *more: object) -> Callable[[Path], None]:
    return lambda folder: verb("synth", "--out", "clips", *CLIPS, "--seed", seed, *more)


def _export(seed: int) -> Callable[[Path], None]:
    return lambda folder: verb("export", *MODEL, "--seed", seed, "-o", "model.onnx")


def _plot(*words: object) -> tuple[Callable[[Path], None], Callable[[Path], None]]:
    """A verb that draws: the older picture is another one."""

    def older(folder: Path) -> None:
        (folder / "plot.png").write_bytes(b"older")

    return older, lambda folder: verb(*words, "--plot", "plot.png")


def _given_model(folder: Path) -> None:
    verb(*_compile_words("bundle", 1)[:-2], "--output", "bundle")


def _given_clips(folder: Path) -> None:
    verb("synth", "--out", "clips", "--clips", "16", "--size", "32", "--frames", "4")


def _picture(path: Path) -> str:
    """"older" or "newer" for a picture that can be read."""
    import cv2

    if path.read_bytes() == b"older":
        return "older"
    assert cv2.imread(str(path)) is not None, "a broken picture"
    return "newer"


def _given_weights(folder: Path) -> None:
    with contextlib.suppress(SystemExit):
        _given_clips(folder)
    from tsm_edge import models
    from tsm_edge.train.store import open_store
    from tsm_edge.weights.meta import WeightsMeta

    labels = open_store(folder / "clips").labels
    model = models.load("tsm-mobilenetv2", width=0.25, size=32, labels=labels)
    meta = WeightsMeta(model.name, dict(model.parameters), labels, 12.0, "untrained")
    save_weights(folder / "w.safetensors", model.build(0), meta)


def _unnamed_frames(folder: Path) -> list[Path]:
    """The frames of a store that its index does not name; the next writer takes their place."""
    from tsm_edge.train import store

    place = folder / "clips"
    return [path for path in place.glob("frames*.npy") if path.name != store._frames_name(place)]


_EVAL = _plot("eval", "../given/w.safetensors", "--data", "../given/clips", "--clips", "2", "--threads", "1")
_BENCH = _plot("bench", "../given/bundle", "--min-runs", "1", "--min-secs", "0.01", "--max-secs", "0.1")

SCENES = (
    Scene("bundle", _bundle(1), _bundle(2), one=True),
    Scene("default-bundle", _default_bundle(1), _default_bundle(2)),
    Scene("synth", _synth(0), _synth(1, "--overwrite"), one=True, warm=_heavy, dead=_unnamed_frames),
    Scene("synth-videos", _synth(0, "--videos"), _synth(1, "--videos", "--overwrite"), warm=_heavy),
    Scene(
        "synth-reel",
        _synth(0, "--reel", "Swiping Left"),
        _synth(1, "--reel", "Swiping Left", "--overwrite"),
        warm=_heavy,
    ),
    Scene("record", _record, _record, warm=_heavy),
    Scene("export", _export(0), _export(1), one=True, warm=_heavy),
    Scene("train", _train(1), _train(2, "--overwrite"), given=_given_clips, digest=_trained, warm=_heavy),
    Scene("eval", *_EVAL, given=_given_weights, digest=_picture, warm=_heavy),
    Scene("demo", _demo(4), _demo(12), one=True, given=_given_model, digest=_frames, warm=_heavy),
    Scene("bench", *_BENCH, given=_given_model, digest=_picture, warm=_heavy),
    Scene("compile", _compile(1), _compile(2), one=True, warm=_compiler),
)
#: light ones, for `make test`
LIGHT = ("bundle", "default-bundle", "synth", "record", "export")


def chosen(names: str) -> list[Scene]:
    """The scenes of a comma-separated list."""
    known = {scene.name: scene for scene in SCENES}
    return [known[name] for name in names.split(",")]
