"""How well gestures are learnt that one person shows: the recipe of docs/train.md, with a person who is rendered.

    python benchmarks/taught.py [--weights FILE] [--data DIR] [--json] [--output FILE]

A person whom no training has seen (a body, clothes, rooms and habits of movement of `people-test`) records clips as
`tsm-edge record` leaves them, in one sitting: two seconds each, 20 of each of four of Jester's classes that the shipped
model does not know, and 20 of either class without a gesture. `tsm-edge train --init` learns from these, and
`tsm-edge eval` measures it on other sittings of that person (other clothes, room, light and camera) and on other
people. The accuracy is over all six classes; that over the four gestures is told, too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import _common

from tsm_edge import models
from tsm_edge.decision import is_quiet
from tsm_edge.processes.children import end_with_parent
from tsm_edge.report import print_table
from tsm_edge.synth.files import write_video
from tsm_edge.synth.people.session import RATE_FPS, Session

SPLIT, BODY, SEED = "people-test", 34, 3
OTHERS = (35, 36, 37, 38, 39)
#: fixed before anything was measured; a hand's way, a turning, a shape and fingers
GESTURES = ("Drumming Fingers", "Pulling Hand In", "Rolling Hand Forward", "Thumb Up")
RESTS = ("Doing other things", "No gesture")
LATER = (1, 2)  # sittings after the one that is trained on
SIDE = 146  # pixels; what a network of 128 makes of a camera's picture
TRAINING = ("--epochs", "15", "--no-flip")


@dataclass(frozen=True)
class Shown:
    """A clip to render: ``index`` of a label in a session."""

    session: Session
    label: str
    index: int

    def render(self, folder: Path) -> None:
        """Write it as `tsm-edge record` would."""
        path = folder / self.label / f"{self.session.body}-{self.session.number}-{self.index:04d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, self.session.clip(self.label, self.index, size=SIDE).frames, RATE_FPS)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Render what is not there yet, train, and measure on both sets."""
    data = options.data or folder
    sets = {name: clips(data / name, shown, options.jobs) for name, shown in plans(options.clips).items()}
    weights = options.weights or models.shipped_file(options.model)
    run = data / "run"
    shutil.rmtree(run, ignore_errors=True)
    threads = ("--threads", options.threads)
    words = ["train", "--data", sets["taught"], "--out", run, "--init", weights, *options.training.split()]
    began = time.monotonic()
    trained = _common.tsm_edge(*words, *threads)
    minutes = (time.monotonic() - began) / 60
    facts: dict[str, Any] = {
        "weights": weights.name,
        "clips_a_class": options.clips,
        "gestures": list(GESTURES),
        "command": f"tsm-edge train --data clips --out run --init {options.model} {options.training}",
        "training_minutes": round(minutes, 2),
        "held_out_top1": trained["best"]["top1"],
    }
    for name in ("same_person", "other_people"):
        found = _common.tsm_edge("eval", run / "weights.safetensors", "--data", sets[name], *threads)
        facts[name] = accuracy(found)
    return facts


def plans(count: int) -> dict[str, list[Shown]]:
    """The clips of each set."""
    labels = (*GESTURES, *RESTS)
    first, later = Session(SPLIT, BODY, 0, SEED), [Session(SPLIT, BODY, number, SEED) for number in LATER]
    others = [Session(SPLIT, body, 0, SEED) for body in OTHERS]

    def shared(sessions: list[Session]) -> list[Shown]:
        return [
            Shown(sessions[index % len(sessions)], label, index) for label in labels for index in range(count)
        ]

    return {"taught": shared([first]), "same_person": shared(later), "other_people": shared(others)}


def clips(folder: Path, shown: list[Shown], jobs: int) -> Path:
    """Render the clips of a set into a folder of label folders, unless they are all there."""
    if len(list(folder.glob("*/*.mp4"))) != len(shown):
        shutil.rmtree(folder, ignore_errors=True)
        _common.note(f"rendering {len(shown)} clips: {folder.name}")
        folder.mkdir(parents=True)
        with ProcessPoolExecutor(
            jobs, mp_context=get_context("spawn"), initializer=end_with_parent, initargs=(os.getpid(),)
        ) as pool:
            list(pool.map(Shown.render, shown, [folder] * len(shown), chunksize=4))
    return folder


def accuracy(document: dict[str, Any]) -> dict[str, Any]:
    """What of `eval`'s document is told."""
    recall = next(iter(document["forms"].values()))["recall"]
    known = [share for label, share in recall.items() if not is_quiet(label)]
    top1 = next(iter(document["forms"].values()))["top1"]
    return {"clips": document["clips"], "top1": top1, "gestures": sum(known) / len(known), "recall": recall}


def show(document: dict[str, Any]) -> None:
    """Both sets, class by class."""
    sets = [document[name] for name in ("same_person", "other_people")]
    rows: Iterator[tuple[str, ...]] = (
        (label, *(f"{each['recall'][label]:.0%}" for each in sets)) for label in (*GESTURES, *RESTS)
    )
    totals = [("all classes", *(f"{each['top1']:.1%}" for each in sets))]
    totals.append(("the four gestures", *(f"{each['gestures']:.1%}" for each in sets)))
    print_table(("CLASS", "SAME PERSON", "OTHER PEOPLE"), [*rows, *totals])
    print(f"{document['training_minutes']} minutes of training: {document['command']}")


def main() -> None:
    """Parse the command line and measure."""
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--weights", type=Path, metavar="FILE", help="begin with these, not with the shipped ones")
    parser.add_argument("--model", default="gestures", help="the trained model that is begun with")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep what is rendered here, and use it again")
    parser.add_argument("--clips", type=int, default=20, metavar="N", help="of each class")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes that render")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of training and of a step")
    parser.add_argument("--training", default=" ".join(TRAINING), metavar="OPTIONS", help="options of `train`")
    _common.main(parser.parse_args(), measure, show)


if __name__ == "__main__":
    sys.exit(main())
