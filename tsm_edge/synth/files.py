"""What `tsm-edge synth` writes: a store to train on, videos to look at, or one take and its cues."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from ..errors import OutputError
from ..files import atomic, mp4
from ..pixels import Pixels
from ..train.store import INDEX, Writer, is_store
from .draw import Drawn
from .motion import LABELS, RATE_FPS
from .reel import Reel

REEL, ORIGIN = "reel.mp4", "rendered by tsm-edge synth"
#: clips as they are drawn
Rendered = Iterable[Drawn]


def older_store(out: Path) -> list[Path]:
    """Return the index of the store in ``out``, if there is one."""
    return [out / INDEX] if is_store(out) else []


def older_videos(out: Path, labels: Sequence[str]) -> list[Path]:
    """Return the videos of these labels in ``out``."""
    return [path for label in labels for path in sorted((out / label).glob("*.mp4"))]


def video_of(out: Path, index: int) -> Path:
    """Return where clip ``index`` goes as a video."""
    return out / LABELS[index % len(LABELS)] / f"{name_of(index)}.mp4"


def name_of(index: int) -> str:
    """Return the name of clip ``index``."""
    return f"{index:06d}"


def refuse_older(out: Path, older: Sequence[Path]) -> None:
    """Leave older clips alone; OutputError names one."""
    if older:
        raise OutputError(
            f"'{out}' holds clips already; they are left alone.",
            found=", ".join(map(str, older[:3])),
            hint="give another --out, or replace them with --overwrite",
        )


def write_store(
    out: Path, rendered: Rendered, frames: int, size: int, labels: Sequence[str], recipe: Mapping[str, object]
) -> str:
    """Write a store (:mod:`tsm_edge.train.store`) of so many frames in all, of these labels; return its folder."""
    with Writer(out, frames, size) as writer:
        for clip in rendered:
            cues = [(labels.index(label), begin, end) for label, begin, end in clip.cues]
            label = LABELS[clip.index % len(LABELS)]
            writer.add(name_of(clip.index), labels.index(label), clip.frames, cues)
        writer.close(labels, RATE_FPS, ORIGIN, recipe)
    return str(out)


def write_videos(out: Path, rendered: Rendered) -> str:
    """Write OUT/<label>/<number>.mp4; return where, as a pattern."""
    for clip in rendered:
        path = video_of(out, clip.index)
        path.parent.mkdir(exist_ok=True)
        write_video(path, clip.frames, RATE_FPS)
    return f"{out}/<label>/*.mp4"


class CueFacts(TypedDict):
    """When a gesture is made, in seconds."""

    label: str
    start_s: float
    end_s: float


class ReelFacts(TypedDict):
    """What happens when in a video."""

    video: str
    rate_fps: float
    frames: int
    cues: list[CueFacts]


def write_reel(out: Path, take: Reel) -> ReelFacts:
    """Write OUT/reel.mp4, and beside it as JSON what happens when; return that."""
    video = out / REEL
    cues = [CueFacts(label=cue.label, start_s=cue.start_s, end_s=cue.end_s) for cue in take.cues]
    facts = {"rate_fps": take.rate_fps, "frames": len(take.frames), "cues": cues}
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_video(video, take.frames, take.rate_fps)
    except OSError as error:
        raise atomic.cannot_write(out, error) from error
    atomic.write_text(video.with_suffix(".json"), json.dumps(facts, indent=1) + "\n")
    return ReelFacts(video=str(video), rate_fps=take.rate_fps, frames=len(take.frames), cues=cues)


def write_video(path: Path, pixels: Pixels, rate_fps: float) -> None:
    """Write uint8 [T, H, W, 3] RGB as MPEG-4; OutputError when that cannot be."""
    height, width = pixels.shape[1:3]
    file = mp4.Mp4Writer(path, rate_fps, (width, height))
    try:
        for frame in pixels:
            file.write(frame[:, :, ::-1].copy())
    except BaseException:
        file.drop()
        raise
    file.close()
