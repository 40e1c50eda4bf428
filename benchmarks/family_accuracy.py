"""Accuracy on rendered gestures after one training budget, equal for each network of the family and for TSM's own.

    tsm-edge synth --split plain --clips 300 --seed 1 --size 48 --only "$THREE" --out TRAIN
    tsm-edge synth --split plain --clips 300 --seed 2 --size 48 --only "$THREE" --out TEST
    python benchmarks/family_accuracy.py --train TRAIN --test TEST [--models NAME …] [--bundles DIR] [--compare FILE]

with THREE="No gesture,Swiping Left,Swiping Right", which need time to be told apart. Every network begins with random
weights and sees the same clips in the same order, so often and in such pictures as two cores can train. That says
whether a network learns movement at all and how fast, not how good it can become. --bundles keeps the trainings, and
an interrupted run goes on with the next network. --compare writes what `tsm-edge compare` shows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import _common

from tsm_edge.errors import ModelError
from tsm_edge.files import strict_json
from tsm_edge.models import clips
from tsm_edge.report import print_table

#: TSM's networks of the zoo, beside the family's
ONLINE = ("tsm-resnet50", "tsm-resnet18", "tsm-mobilenetv2")


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train and measure the networks one after the other."""
    rows = []
    for name in options.models:
        if not options.measured_only or (folder / name / "top1.json").is_file():
            rows.append(one(name, options, folder / name))
    store = strict_json.read(options.train / "clips.json")
    document = {
        "models": rows,
        "epochs": options.epochs,
        "batch": options.batch,
        "size": options.size,
        "learning_rate": options.lr,
        "clips": len(store["clips"]),
        "classes": store["labels"],
    }
    if options.compare:
        what = f"own top-1 on rendered gestures, {options.epochs} epochs from random weights at {options.size} pixels"
        top1 = {row["model"]: row["top1_percent"] for row in rows}
        options.compare.write_text(json.dumps({"what": what, "top1": top1}, indent=1) + "\n")
    return document


def one(name: str, options: argparse.Namespace, out: Path) -> dict[str, Any]:
    """One training and one evaluation, of the frames that the network was trained with."""
    kept = out / "top1.json"
    if kept.is_file():
        row: dict[str, Any] = json.loads(kept.read_text())
        return row
    _common.note(name)
    frames = frames_of(name, options.frames)
    shape = ("--frames", frames, "--size", options.size, "--threads", options.threads)
    plan = ("--epochs", options.epochs, "--batch", options.batch, "--lr", options.lr, "--seed", options.seed)
    train = ("train", "--model", name, "--data", options.train, "--held-out", options.test, "--out", out)
    _common.tsm_edge(*train, *shape, *plan, "--overwrite")
    found = _common.tsm_edge("eval", out / "weights.safetensors", "--data", options.test, "--frames", frames)
    form, *_ = found["forms"].values()
    row = {"model": name, "frames": frames, "top1_percent": round(100 * form["top1"], 1)}
    kept.write_text(json.dumps(row))
    return row


def frames_of(name: str, wanted: int) -> int:
    """The least number of frames that a network takes, from the wanted on."""
    return next(frames for frames in range(wanted, 129) if name not in clips.names() or takes(name, frames))


def takes(name: str, frames: int) -> bool:
    """Whether a network of the family takes so many frames."""
    try:
        clips.load(name, frames=frames)
    except ModelError:
        return False
    return True


def show(document: dict[str, Any]) -> None:
    """The table."""
    rows = [(row["model"], row["frames"], f"{row['top1_percent']:.1f} %") for row in document["models"]]
    print_table(("MODEL", "FRAMES", "TOP-1"), rows)


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--train", type=Path, required=True, metavar="STORE")
    parser.add_argument("--test", type=Path, required=True, metavar="STORE", help="clips of the same classes")
    parser.add_argument("--models", nargs="+", default=[*ONLINE, *clips.names()], metavar="NAME")
    parser.add_argument("--epochs", type=int, default=5, metavar="N")
    parser.add_argument("--frames", type=int, default=8, metavar="N", help="where a network takes so many")
    parser.add_argument("--size", type=int, default=32, metavar="PIXELS")
    parser.add_argument("--batch", type=int, default=5, metavar="N")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compare", type=Path, metavar="FILE", help="write the accuracies for `tsm-edge compare`")
    parser.add_argument("--measured-only", action="store_true", help="train nothing; show what --bundles holds")
    _common.main(parser.parse_args(), measure, show)
