"""Shared by the tests of training: rendered clips, made once, and videos with known frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tsm_edge import synth
from tsm_edge.train import store as store_

SIDE = 40  # pixels of the stored frames: what an input of 32 is cut out of


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The nets are tiny: on a shared machine a second thread costs more than it brings, and sums change with it."""
    try:
        import cv2
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def rendered() -> Callable[..., np.ndarray]:
    """Return rendered(split, index, size=64): the frames of a clip."""
    return lambda split, index, size=64: synth.render(split, 3, index, size=size).frames


def write_store(folder: Path, labels: Sequence[str], clips: int, split: str = "train", seed: int = 0) -> Path:
    """Render a store of clips of some of the classes, in turn."""
    writer = store_.Writer(folder, clips * synth.FRAMES, SIDE)
    for number in range(clips):
        label = number % len(labels)
        index = synth.LABELS.index(labels[label]) + len(synth.LABELS) * (number // len(labels))
        writer.add(f"{number:04d}", label, synth.render(split, seed, index, size=SIDE).frames)
    writer.close(labels, synth.RATE_FPS, "rendered by the tests")
    return folder


@pytest.fixture(scope="session")
def make_store() -> Callable[..., Path]:
    """The function above, as a fixture: the test folders are no packages to import from."""
    return write_store


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 clips of three classes."""
    labels = ("No gesture", "Swiping Left", "Swiping Right")
    return write_store(tmp_path_factory.mktemp("small") / "store", labels, 48)


@pytest.fixture
def write_video() -> Callable[..., Path]:
    """Return write(path, shades, fps): an .mp4 or .avi whose frames have one shade of grey each."""
    import cv2

    def write(path: Path, shades: Sequence[int], fps: float = 12.0, size: tuple[int, int] = (64, 48)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        code = "MJPG" if path.suffix == ".avi" else "mp4v"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), fps, size)
        assert writer.isOpened()
        for shade in shades:
            writer.write(np.full((size[1], size[0], 3), shade, np.uint8))
        writer.release()
        return path

    return write
