"""What each part of the method is worth: the same short training for every variant of the shift.

    python benchmarks/ablations.py --first STORE --train STORE --test STORE [--epochs N] [--only NAME ...]
    [--plot FILE.png] [--output FILE]

STORE is made by `tsm-edge synth`. Every variant is trained from nothing with the same clips, order and seed (before
that with the clips of --first in small pictures, when they are given), and measured on the held-out family with as
many frames as it was trained with. One document holds the commands that were
run. It is no part of `make bench`: a variant takes as long as its training. With --bundles DIR what is trained is
kept, and an interrupted run goes on with the next variant.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import _common

from tsm_edge.bench.roofline import write
from tsm_edge.errors import UnknownName
from tsm_edge.report import print_table
from tsm_edge.train import picture

#: name -> options of `train` and `eval`; nothing is the online shift: uni, 1/8, residual, zero
VARIANTS: dict[str, tuple[str, ...]] = {
    "online": (),
    "no shift (TSN)": ("--tsn",),
    "bi-directional": ("--shift", "bi", "--shift-share", "0.25"),
    "in-place": ("--shift-place", "inplace"),
    "circulant": ("--shift-padding", "circulant"),
    "share 0": ("--shift-share", "0"),
    "share 1/16": ("--shift-share", "0.0625"),
    "share 1/4": ("--shift-share", "0.25"),
    "share 1/2": ("--shift-share", "0.5"),
    "share 1": ("--shift-share", "1"),
    "in-place, share 1": ("--shift-place", "inplace", "--shift-share", "1"),
}
FRAMES = (4, 6, 12)
SHARES = {
    "share 0": 0.0,
    "share 1/16": 1 / 16,
    "online": 1 / 8,
    "share 1/4": 1 / 4,
    "share 1/2": 1 / 2,
    "share 1": 1.0,
}


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train and measure the variants one after the other."""
    plans = {name: (words, options.frames) for name, words in VARIANTS.items()}
    plans.update({f"{frames} frames": ((), frames) for frames in FRAMES if frames != options.frames})
    for name in options.only or ():
        if name not in plans:
            raise UnknownName.of("variant", name, plans)
    rows = []
    for name in options.only or plans:
        words, frames = plans[name]
        rows.append(one(name, words, frames, options, folder))
    document = {"variants": rows, "epochs": options.epochs, "width": options.width, "size": options.size}
    if options.plot:
        draw(document, options.plot)
    return document


def one(
    name: str, words: tuple[str, ...], frames: int, options: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """One training and one evaluation."""
    _common.note(name)
    out = folder / name.replace("/", "-").replace(" ", "_")
    shape = ("--width", options.width, "--frames", frames, "--threads", options.threads)
    common = (*shape, "--reverse", "--lr", options.lr, "--seed", options.seed, "--half", *words)
    train = ["train", "--data", options.train, "--held-out", options.test, "--out", out, *common]
    train += ["--size", options.size, "--epochs", options.epochs]
    begin: list[object] = []
    if options.first:
        begin = ["train", "--data", options.first, "--out", out / "first", *common]
        begin += ["--size", options.first_size, "--epochs", options.first_epochs]
        train += ["--init", out / "first" / "weights.safetensors"]
    metrics = out / "metrics.jsonl"
    if (
        not metrics.is_file() or len(metrics.read_text().splitlines()) < options.epochs
    ):  # else of an earlier run
        if begin:
            _common.tsm_edge(*begin)
        _common.tsm_edge(*train)
    found = _common.tsm_edge(
        "eval", out / "weights.safetensors", "--data", options.test, "--frames", frames, *words
    )
    (form, first), *_ = found["forms"].items()
    return {
        "name": name,
        "frames": frames,
        "form": form,
        "top1": first["top1"],
        "top1_half": dict(map(tuple, first["top1_by_share_seen"]))[0.5],
        "worst_recall": min(first["recall"].values()),
        "commands": [" ".join(map(str, ["tsm-edge", *line])) for line in (begin, train) if line],
    }


def show(document: dict[str, Any]) -> None:
    """The table."""
    rows = [
        (
            row["name"],
            row["frames"],
            f"{row['top1']:.1%}",
            f"{row['top1_half']:.1%}",
            f"{row['worst_recall']:.1%}",
        )
        for row in document["variants"]
    ]
    print_table(("VARIANT", "FRAMES", "TOP-1", "AFTER HALF", "WORST CLASS"), rows)


def draw(document: dict[str, Any], path: Path) -> None:
    """Accuracy by share of shifted channels, with the others as level lines."""
    top1 = {row["name"]: row["top1"] for row in document["variants"]}
    known = {name: share for name, share in SHARES.items() if name in top1}
    if len(known) < 2:
        _common.note("no picture: fewer than two shares were measured")
        return
    curves = {"online, residual": [top1[name] for name in known]}
    level = ("no shift (TSN)", "bi-directional", "in-place", "circulant")
    curves.update({name: [top1[name]] * len(known) for name in level if name in top1})
    write(
        path,
        picture.lines(
            "top-1 on held-out clips", "share of shifted channels", list(known.values()), curves, top=1.0
        ),
    )


def main() -> None:
    """Parse, measure, print, draw."""
    parser = _common.parser(__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True, metavar="STORE", help="clips to train on")
    parser.add_argument(
        "--test", type=Path, required=True, metavar="STORE", help="clips of the held-out family"
    )
    parser.add_argument("--first", type=Path, metavar="STORE", help="clips to begin with, in small pictures")
    parser.add_argument("--first-epochs", type=int, default=6)
    parser.add_argument("--first-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"some of: {', '.join(VARIANTS)}")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    _common.main(parser.parse_args(), measure, show)


if __name__ == "__main__":
    main()
