"""`tsm-edge synth`: rendered clips of gestures, as a store for training or as videos to look at."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import click

from ..errors import install_hint
from ..files import atomic
from ..processes.children import end_with_parent
from ..records import record_of
from ..report import print_json, print_next, print_table
from ..terminal import say
from . import FRAMES, RATE_FPS, photos, shards
from .draw import SPLITS, Drawn, draw, surfaces
from .families import Family
from .files import ReelFacts, refuse_older, write_reel, write_store, write_videos
from .people import scene
from .people.reel import render_people_reel
from .reel import render_reel
from .request import CLIPS, SHEET_CLIPS, Request
from .sheet import write_sheet

CHUNK = 32


@click.command()
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write."
)
@click.option("--split", type=click.Choice(SPLITS), default="train", show_default=True, help="Family.")
@click.option(
    "--clips", type=click.IntRange(1), help=f"How many clips.  [default: {CLIPS}; {SHEET_CLIPS} of a sheet]"
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Seed.")
@click.option("--size", type=click.IntRange(32, 512), default=110, show_default=True, help="Side in pixels.")
@click.option(
    "--frames",
    type=click.IntRange(2, 64),
    help=f"Frames a clip.  [default: {FRAMES}; {scene.FRAMES} of a take of people]",
)
@click.option("--videos", is_flag=True, help="Write <label>/<name>.mp4 instead of a store.")
@click.option("--only", metavar="LABEL,…", help="Only clips of these classes.  [default: all eleven]")
@click.option("--reel", metavar="LABEL,…", help="One take of these gestures instead: OUT/reel.mp4 and .json.")
@click.option("--sheet", is_flag=True, help="A picture of the clips instead, to look at: OUT/sheet.png.")
@click.option(
    "--shard", metavar="I/N", help="Only part I of N, to render on N machines; --join makes one store."
)
@click.option(
    "--join",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Render nothing: put the parts of --shard together. Once for every part.",
)
@click.option("--overwrite", is_flag=True, help="Replace the clips that OUT holds already.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
def synth(**options: object) -> None:
    """Render clips of eleven gestures to train and test on.

    `people`, `people-dev` and `people-test` are takes of three-dimensional people, each with bodies, rooms and habits
    of movement of its own; the last two have other photographs and fabrics than the first.

    `train`, `test` and `plain` are clips of flat shapes; `train` and `test` share no shapes (but hands), textures,
    photographs or speeds.

    The same options give the same clips. Left, right and clockwise are those of the person in front of a camera that
    does not mirror.
    """
    asked = record_of(Request, options)
    indices = asked.indices
    if not asked.overwrite:
        refuse_older(asked.out, asked.older())
    atomic.check_folder(asked.out)
    if asked.join:
        joined = shards.join(asked.out, asked.join)
        _report_store(asked, len(joined), joined.recipe or {}, joined.labels)
        return
    _tell_missing_photos(surfaces(asked.split))
    if asked.reel is not None:
        gestures = asked.reel.split(",")
        render = render_people_reel if asked.split in scene.FAMILIES else render_reel
        take = render(asked.split, asked.seed, gestures, size=asked.size)
        _report_reel(write_reel(asked.out, take), asked.as_json)
        return
    try:
        asked.out.mkdir(parents=True, exist_ok=True)
        with click.progressbar(length=len(indices), label="render", file=sys.stderr) as bar:
            written = _write(asked, indices, bar)
    except OSError as error:
        raise atomic.cannot_write(asked.out, error) from error
    if asked.videos or asked.sheet:
        _report(asked, len(indices), asked.recipe, asked.labels, written)
    else:
        _report_store(asked, len(indices), asked.recipe, asked.labels)


def _write(asked: Request, indices: list[int], bar: object) -> str:
    """Render the clips and write them in the form that is asked for; return where."""
    work = (asked.split, asked.seed, asked.size, asked.length)
    pieces = [Piece(*work, indices[at : at + CHUNK]) for at in range(0, len(indices), CHUNK)]
    rendered = _rendered(pieces, asked.jobs, bar)
    if asked.videos:
        return write_videos(asked.out, rendered)
    if asked.sheet:
        return str(write_sheet(asked.out, rendered))
    return write_store(
        asked.out, rendered, len(indices) * asked.length, asked.size, asked.labels, asked.recipe
    )


def _tell_missing_photos(kind: Family) -> None:
    usable = photos.available(kind.photos)
    if len(usable) < len(kind.photos):
        say(
            f"note: {len(kind.photos) - len(usable)} of {len(kind.photos)} photographs are not installed and are "
            f"replaced by drawn textures; {install_hint('train')}",
            err=True,
        )


class Piece(NamedTuple):
    """What one process renders at a time."""

    split: str
    seed: int
    size: int
    frames: int
    indices: list[int]


def _rendered(pieces: list[Piece], jobs: int, bar: object) -> Iterator[Drawn]:
    if jobs == 1 or not pieces:
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


def _counted(results: Iterator[tuple[Piece, list[Drawn]]], bar: object) -> Iterator[Drawn]:
    for piece, clips in results:
        yield from clips
        bar.update(len(piece.indices))  # type: ignore[attr-defined]


def _render_piece(piece: Piece) -> list[Drawn]:
    import cv2

    cv2.setNumThreads(1)  # pictures this small are slower on two
    return [draw(piece.split, piece.seed, index, piece.size, piece.frames) for index in piece.indices]


def _report_store(asked: Request, clips: int, recipe: Mapping[str, object], labels: Sequence[str]) -> None:
    """Say what is in the store, and what to do with it."""
    _report(asked, clips, recipe, labels, str(asked.out))
    if asked.as_json:
        return
    if asked.shard:
        say(f"part {asked.shard} of {asked.count} clips")
        print_next("tsm-edge synth --out data --join {} --join …", asked.out)
    elif recipe["split"] in ("train", "people"):
        print_next("tsm-edge train --data {} --out runs/first", asked.out)
    else:
        print_next("tsm-edge eval WEIGHTS --data {}", asked.out)


def _report(
    asked: Request, clips: int, recipe: Mapping[str, object], labels: Sequence[str], written: str
) -> None:
    """Say what was written, and where."""
    if asked.as_json:
        facts = {"clips": clips, "split": recipe["split"], "seed": recipe["seed"], "labels": list(labels)}
        print_json({**facts, "shard": asked.shard, "folder": str(asked.out)})
        return
    side = recipe["size"]
    say(
        f"{clips} clips of {recipe['frames']} frames at {RATE_FPS:g} a second, {side} x {side} pixels: {written}"
    )


def _report_reel(facts: ReelFacts, as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    rows = [(f"{cue['start_s']:.1f} - {cue['end_s']:.1f} s", cue["label"]) for cue in facts["cues"]]
    print_table(("WHEN", "GESTURE"), rows)
    print_next("tsm-edge demo --video {}", Path(facts["video"]))
