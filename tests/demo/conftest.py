"""What the demo's tests share: frames, a stream, a model and a camera that need no compiler and no hardware."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tsm_edge.bundle.manifest import ModelInfo, WeightsInfo
from tsm_edge.demo import SAMPLE_CLIP
from tsm_edge.smoothing import Smoother

LABELS = ("blue", "green", "red")


def picture(colour: tuple[int, int, int], width: int = 64, height: int = 48) -> np.ndarray:
    """Return one uint8 BGR picture of one colour."""
    return np.full((height, width, 3), colour, np.uint8)


class ColourStream:
    """A stream whose class is the brightest channel and whose memory is a count: enough to see what it was fed."""

    def __init__(self) -> None:
        self.frames: list[np.ndarray] = []
        self.formats: list[str] = []
        self.resets: list[int] = []  # after how many frames

    def step(self, frame: np.ndarray, *, format: str = "bgr") -> np.ndarray:
        self.frames.append(frame.copy())
        self.formats.append(format)
        means = frame.reshape(-1, 3).mean(axis=0).astype(np.float32)
        return (means if format == "bgr" else means[::-1]) / 16

    def reset(self) -> None:
        self.resets.append(len(self.frames))

    def close(self) -> None:
        pass

    def __enter__(self) -> ColourStream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class FakeCapture:
    """What cv2.VideoCapture is to a camera: delivers ``pictures`` and is then unplugged.

    A number among the pictures is a grab that fails after so many seconds. ``time`` is moved on by each grab.
    """

    def __init__(self, pictures: list[Any], opened: bool = True, fps: float = 12.0) -> None:
        self.pictures = list(pictures)
        self.opened = opened
        self.released = 0
        self.time = [100.0]
        self.interval_s = 1 / fps

    def isOpened(self) -> bool:
        return self.opened

    def set(self, prop: int, value: float) -> bool:
        return True

    def grab(self) -> bool:
        if self.pictures and not isinstance(self.pictures[0], np.ndarray):
            self.time[0] += self.pictures.pop(0)
            return False
        self.time[0] += self.interval_s if self.pictures else 0.0
        return bool(self.pictures)

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        return True, self.pictures.pop(0)

    def release(self) -> None:
        self.released += 1


def fake_camera(*captures: FakeCapture, device: Any = None) -> Any:
    """Return a camera by a clock of its own that is opened as ``captures``, one after the other, the last for ever."""
    from tsm_edge.demo.sources.camera import Camera
    from tsm_edge.demo.sources.uri import Input, numbered

    time, left = [64.0], list(captures)

    def open_capture(device: Input) -> FakeCapture:
        capture = left.pop(0) if len(left) > 1 else left[0]
        capture.time = time
        return capture

    def sleep(seconds: float) -> None:
        time[0] += seconds

    named = numbered(0) if device is None else device
    return Camera(named, open_capture=open_capture, clock=lambda: time[0], sleep=sleep)


def fake_model(
    weights: str = "file",
    labels: tuple[str, ...] = LABELS,
    takes_pictures: bool = True,
    parameters: dict[str, Any] | None = None,
) -> Any:
    """Return what `tsm_edge.runtime.open` returns, as far as the demo looks at it, without a library behind it."""
    stream = ColourStream()
    manifest = SimpleNamespace(
        model=ModelInfo("colours", parameters or {}, WeightsInfo(weights, "", ""), "zoo"),
        target=SimpleNamespace(name="local"),
        labels=labels,
        preprocess=SimpleNamespace(rate_fps=12.0) if takes_pictures else None,
        signature=SimpleNamespace(outputs=(SimpleNamespace(shape=(1, 3)),)),
    )
    return SimpleNamespace(
        manifest=manifest,
        stream=lambda: stream,
        smoother=lambda: Smoother(labels=labels),
        close=lambda: None,
        colour_stream=stream,
    )


@pytest.fixture
def make() -> SimpleNamespace:
    """The builders above, as a fixture: the test folders are no packages to import from."""
    return SimpleNamespace(
        picture=picture,
        stream=ColourStream,
        capture=FakeCapture,
        camera=fake_camera,
        model=fake_model,
        labels=LABELS,
    )


@pytest.fixture
def write_video(tmp_path: Path) -> Any:
    """Return a function that writes pictures as an MP4 file and gives its path."""
    import cv2

    def write(pictures: list[np.ndarray], fps: float = 30.0, name: str = "clip.mp4") -> Path:
        path = tmp_path / name
        height, width = pictures[0].shape[:2]
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
        for one in pictures:
            writer.write(one)
        writer.release()
        return path

    return write


@pytest.fixture(scope="session")
def cues() -> list[dict[str, Any]]:
    """What is done in the sample clip, and when."""
    found: list[dict[str, Any]] = json.loads(SAMPLE_CLIP.with_suffix(".json").read_text())["cues"]
    return found


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that starts the page's server on a free port of this machine; all are ended."""
    import threading

    from tsm_edge.demo.web.address import Address, choose_token
    from tsm_edge.demo.web.server import Server

    monkeypatch.setattr("tsm_edge.demo.web.server._PARTING_S", 0.05)
    running = []

    def start(
        host: str = "127.0.0.1", token: str | None = None, sources: Sequence[str] = ("clip.mp4",), **more: Any
    ) -> Any:
        pressed, address = threading.Event(), Address(host, 0)
        server: Any = Server(address, choose_token(address, token), pressed.set, sources, **more)
        server.know("colours")
        server.pressed = pressed
        running.append(server)
        return server

    yield start
    for server in running:
        server.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits, for programs and pipelines that give nothing."""
    from tsm_edge.demo.sources import child, gst, live

    for module in (child, gst):
        monkeypatch.setattr(module, "PATIENCE_S", 0.8)
    monkeypatch.setattr(live, "_FIRST_S", 0.1)
    monkeypatch.setattr(live, "_PAUSES_S", (0.05,))


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Return a function that puts a program on $PATH, of which nothing else is there."""
    from tsm_edge.demo.sources import csi

    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(csi, "has_l4t", lambda: False)

    def write(name: str, code: str) -> Path:
        path = folder / name
        path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{code}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, make: SimpleNamespace) -> Callable[..., SimpleNamespace]:
    """Run the command with the given options on a fake bundle; gives result and model."""
    from click.testing import CliRunner

    import tsm_edge.runtime
    from tsm_edge.demo import session
    from tsm_edge.demo.command import demo

    def run(*options: object, **model_facts: Any) -> SimpleNamespace:
        model = make.model(**model_facts)
        opened = []

        def open_bundle(folder: Path, threads: int | None = None) -> Any:
            opened.append((folder, threads))
            return model

        monkeypatch.setattr(tsm_edge.runtime, "open", open_bundle)
        monkeypatch.setattr(session, "default_bundle", lambda: "default")
        result = CliRunner().invoke(demo, [str(option) for option in options])
        return SimpleNamespace(result=result, error=result.exception, model=model, opened=opened)

    return run
