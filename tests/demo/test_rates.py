"""The sample clip at other frame rates: the same five gestures, in Python and in C.

Its frames are held or dropped, as a camera of another rate would see the same movement.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from time_lab import CSampler, CSmoother

import tsm_edge
from tsm_edge.demo import SAMPLE_CLIP
from tsm_edge.runtime import abi

RATES = (12, 15, 24, 25, 30, 60)
CLIP_FPS = 24.0
#: the mean of the last second decides
LINGERS_S = 0.8


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """uint8 [frames, height, width, 3] BGR."""
    capture, frames = cv2.VideoCapture(str(SAMPLE_CLIP)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return np.stack(frames)


def held(clip: np.ndarray, stamps: Iterable[float]) -> Iterable[np.ndarray]:
    """The frame that is the newest at each time."""
    return (clip[min(int(t_s * CLIP_FPS + 1e-6), len(clip) - 1)] for t_s in stamps)


def even(clip: np.ndarray, fps: float) -> list[float]:
    return [n / fps for n in range(int(len(clip) / CLIP_FPS * fps))]


def uneven(clip: np.ndarray) -> list[float]:
    """Intervals between 8 and 120 ms, 22 frames a second on average; every eighth is a half of the one before."""
    rng = np.random.default_rng(12)
    gaps = rng.choice([0.008, 0.02, 0.033, 0.04, 0.05, 0.083, 0.12], 2000)
    stamps = np.cumsum(gaps + rng.uniform(-0.003, 0.003, len(gaps)))
    return [float(t_s) for t_s in stamps if t_s < len(clip) / CLIP_FPS]


def check(told: list[tuple[float, str]], cues: list[dict[str, Any]]) -> None:
    """Each gesture once, in order, while it is made or just after."""
    assert [label for _, label in told] == [cue["label"] for cue in cues]
    for (t_s, _), cue in zip(told, cues, strict=True):
        assert cue["start_s"] < t_s < cue["end_s"] + LINGERS_S


def events(lines: Iterable[bytes]) -> list[tuple[float, str]]:
    """The gestures that JSON lines announce."""
    found = [json.loads(line) for line in lines]
    return [(line["t_s"], line["label"]) for line in found if line.get("changed") and not line["idle"]]


@pytest.mark.parametrize("fps", RATES)
def test_the_demo_announces_the_same_gestures(shipped, cues, clip, tmp_path, fps):
    path = tmp_path / "clip.mp4"
    size = clip.shape[2], clip.shape[1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
    for frame in held(clip, even(clip, fps)):
        writer.write(frame)
    writer.release()
    command = [sys.executable, "-m", "tsm_edge", "demo", "--bundle", str(shipped), "--video", str(path)]
    done = subprocess.run([*command, "--headless", "--json"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    check(events(done.stdout.splitlines()), cues)


@pytest.mark.parametrize("fps", RATES)
def test_the_command_of_the_bundle_announces_the_same_gestures(shipped, cues, clip, fps):
    _, height, width, _ = clip.shape
    command = [shipped / "tsm-edge-run", "--raw", f"{width}x{height}", "--format", "bgr", "--decide"]
    data = b"".join(frame.tobytes() for frame in held(clip, even(clip, fps)))
    done = subprocess.run([*command, "--fps", str(fps)], input=data, capture_output=True, check=False)
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    check(events(done.stdout.splitlines()), cues)


def library_of(folder: Path) -> Any:
    return abi.load(folder / "libtsm.so")


@pytest.mark.parametrize("language", ["python", "c"])
def test_an_uneven_rate(shipped, cues, clip, language):
    stamps, told = uneven(clip), []
    with tsm_edge.open(shipped) as model, model.stream() as stream:
        sampler, smoother = model.sampler(), model.smoother()
        if language == "c":
            rule, library = model.manifest.decision, library_of(shipped)
            sampler = CSampler(library, model.rate_fps)
            smoother = CSmoother(library, len(model.labels), model.manifest.scores, **vars(rule))
        for t_s, frame in zip(stamps, held(clip, stamps)):
            for _ in range(sampler.take(t_s)):
                decision = smoother.push(stream.step(frame))
                if decision.changed and not decision.idle:
                    told.append((t_s, model.labels[decision.index]))
    missed = [cue for cue in cues if cue["label"] not in {label for _, label in told}]
    assert len(missed) <= 1, "with frames 120 ms apart one gesture may be missed"
    check(told, [cue for cue in cues if cue not in missed])
    assert sampler.repeated > 50 and sampler.missed == 0
