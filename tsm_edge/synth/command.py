"""`tsm-edge synth`: rendered clips of gestures, as a store for training or as videos to look at."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click

from .. import atomic
from ..children import end_with_parent
from ..errors import UnknownName, install_hint
from ..report import print_json, print_next, print_table
from ..terminal import say
from . import FRAMES, LABELS, RATE_FPS, SPLITS, photos
from ._clip import Pixels, render
from ._files import older_clips, refuse_older, write_reel, write_store, write_videos
from .reel import render_reel

CHUNK = 32


@click.command()
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write."
)
@click.option("--split", type=click.Choice(tuple(SPLITS)), default="train", show_default=True, help="Family.")
@click.option("--clips", type=click.IntRange(1), default=2200, show_default=True, help="How many clips.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Seed.")
@click.option("--size", type=click.IntRange(32, 512), default=110, show_default=True, help="Side in pixels.")
@click.option(
    "--frames", type=click.IntRange(2, 64), default=FRAMES, show_default=True, help="Frames a clip."
)
@click.option("--videos", is_flag=True, help="Write <label>/<name>.mp4 instead of a store.")
@click.option("--only", metavar="LABEL,…", help="Only clips of these classes.  [default: all eleven]")
@click.option("--reel", metavar="LABEL,…", help="One take of these gestures instead: OUT/reel.mp4 and .json.")
@click.option("--overwrite", is_flag=True, help="Replace the clips that OUT holds already.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
def synth(
    out: Path,
    split: str,
    clips: int,
    seed: int,
    size: int,
    frames: int,
    videos: bool,
    only: str | None,
    reel: str | None,
    overwrite: bool,
    jobs: int,
    as_json: bool,
) -> None:
    """Render clips of eleven gestures to train and test on.

    The same options give the same clips. `train` and `test` share no shapes (but hands), textures, photographs or
    speeds. Left, right and clockwise are those of the person in front of a camera that does not mirror.
    """
    labels = _chosen(only)
    if not overwrite:
        refuse_older(out, older_clips(out, labels, videos=videos, reel=reel is not None))
    atomic.check_folder(out)
    kind = SPLITS[split]
    usable = photos.available(kind.photos)
    if len(usable) < len(kind.photos):
        say(
            f"note: {len(kind.photos) - len(usable)} of {len(kind.photos)} photographs are not installed and are "
            f"replaced by drawn textures; {install_hint('train')}",
            err=True,
        )
    if reel is not None:
        _report_reel(write_reel(out, render_reel(split, seed, reel.split(","), size=size)), as_json)
        return
    indices = [
        len(LABELS) * (at // len(labels)) + LABELS.index(labels[at % len(labels)]) for at in range(clips)
    ]
    pieces = [(split, seed, indices[at : at + CHUNK], size, frames) for at in range(0, clips, CHUNK)]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with click.progressbar(length=clips, label="render", file=sys.stderr) as bar:
            rendered = _rendered(pieces, jobs, bar)
            if videos:
                written = write_videos(out, rendered)
            else:
                written = write_store(out, rendered, clips * frames, size, labels)
    except OSError as error:
        raise atomic.cannot_write(out, error) from error
    if as_json:
        print_json({"clips": clips, "split": split, "seed": seed, "labels": list(labels), "folder": str(out)})
        return
    say(f"{clips} clips of {frames} frames at {RATE_FPS:g} a second, {size} x {size} pixels: {written}")
    if split == "train" and not videos:
        print_next("tsm-edge train --data {} --out runs/first", out)
    elif not videos:
        print_next("tsm-edge eval WEIGHTS --data {}", out)


def _chosen(only: str | None) -> tuple[str, ...]:
    """The classes that are asked for, in their usual order."""
    names = only.split(",") if only else list(LABELS)
    for name in names:
        if name not in LABELS:
            raise UnknownName.of("label", name, LABELS)
    return tuple(label for label in LABELS if label in names)


def _rendered(
    pieces: list[tuple[str, int, list[int], int, int]], jobs: int, bar: object
) -> Iterator[tuple[int, Pixels]]:
    if jobs == 1:
        results = map(_render_piece, pieces)
        yield from _counted(zip(pieces, results), bar)
        return
    context, most = get_context("spawn"), min(jobs, len(pieces))
    with ProcessPoolExecutor(
        most, mp_context=context, initializer=end_with_parent, initargs=(os.getpid(),)
    ) as pool:
        try:
            yield from _counted(zip(pieces, pool.map(_render_piece, pieces)), bar)
        except BaseException:  # a full disk, Ctrl-C: what is still to be drawn is for nobody
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _counted(results: Iterator[tuple[tuple, list[Pixels]]], bar: object) -> Iterator[tuple[int, Pixels]]:
    for (_, _, indices, _, _), clips in results:
        yield from zip(indices, clips)
        bar.update(len(indices))  # type: ignore[attr-defined]


def _render_piece(piece: tuple[str, int, list[int], int, int]) -> list[Pixels]:
    import cv2

    cv2.setNumThreads(1)  # pictures this small are slower on two
    split, seed, indices, size, frames = piece
    return [render(split, seed, index, size=size, frames=frames).frames for index in indices]


def _report_reel(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    rows = [(f"{cue['start_s']:.1f} - {cue['end_s']:.1f} s", cue["label"]) for cue in facts["cues"]]
    print_table(("WHEN", "GESTURE"), rows)
    print_next("tsm-edge demo --video {}", Path(facts["video"]))
