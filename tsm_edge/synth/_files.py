"""What `tsm-edge synth` writes: a store to train on, videos to look at, or one take and its cues."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ._clip import Pixels
from .motion import LABELS, RATE_FPS
from .reel import Reel

#: numbered clips, as they are drawn
Rendered = Iterable[tuple[int, Pixels]]


def write_store(out: Path, rendered: Rendered, frames: int, size: int, labels: Sequence[str]) -> str:
    """Write a store (:mod:`tsm_edge.train.store`) of so many frames in all, of these labels; return its folder."""
    from ..train.store import Writer

    with Writer(out, frames, size) as writer:
        for index, pixels in rendered:
            writer.add(f"{index:06d}", labels.index(LABELS[index % len(LABELS)]), pixels)
        writer.close(labels, RATE_FPS, "rendered by tsm-edge synth")
    return str(out)


def write_videos(out: Path, rendered: Rendered) -> str:
    """Write OUT/<label>/<number>.mp4; return where, as a pattern."""
    for index, pixels in rendered:
        folder = out / LABELS[index % len(LABELS)]
        folder.mkdir(exist_ok=True)
        write_video(folder / f"{index:06d}.mp4", pixels, RATE_FPS)
    return f"{out}/<label>/*.mp4"


def write_reel(out: Path, take: Reel) -> dict[str, Any]:
    """Write OUT/reel.mp4, and beside it as JSON what happens when; return that."""
    video = out / "reel.mp4"
    facts = {
        "rate_fps": take.rate_fps,
        "frames": len(take.frames),
        "cues": [asdict(cue) for cue in take.cues],
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_video(video, take.frames, take.rate_fps)
        video.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"'{out}' cannot be written.", found=error.strerror or error) from error
    return {"video": str(video), **facts}


def write_video(path: Path, pixels: Pixels, rate_fps: float) -> None:
    """Write uint8 [T, H, W, 3] RGB as MPEG-4; OutputError when that cannot be."""
    import cv2

    code, (height, width) = cv2.VideoWriter_fourcc(*"mp4v"), pixels.shape[1:3]
    file = cv2.VideoWriter(os.fspath(path), code, rate_fps, (width, height))
    if not file.isOpened():
        raise OutputError(f"'{path}' cannot be written.", found="no file, or no video encoder for it")
    for frame in pixels:
        file.write(frame[:, :, ::-1].copy())
    file.release()
