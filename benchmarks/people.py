"""Every figure that the shipped model of gestures is held to, in one run: three-dimensional people, shapes, footage.

    python benchmarks/false_alarms.py --fetch DIR/footage
    python benchmarks/people.py --data DIR [--weights FILE] [--only ROWS] --output benchmarks/results/people.json
    python docs/tables.py

DIR keeps what is rendered, compiled, fetched and measured. --reuse takes the documents of DIR/documents that were
measured before with the same weights. The last line writes the table of docs/gestures.md. The figures by name, for
--only: people (recognised and announced), shapes (the two-dimensional test), tsn (the same network without the shift),
footage (false alarms), taught (gestures that one person shows) and cost.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import _common
from table import Row, row

from tsm_edge import models
from tsm_edge.errors import CheckpointError, RuntimeFailure, UnknownName
from tsm_edge.models import Model
from tsm_edge.report import print_table
from tsm_edge.weights.meta import read_meta

HERE = Path(__file__).parent
MODEL = "gestures"
PEOPLE_SEED, SHAPES_SEED = 41, 7
MB = 1e6


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure what is asked for, and hold it against its bounds."""
    options.data = options.data or folder
    options.weights = options.weights or models.shipped_file(MODEL)
    names = options.only.split(",") if options.only else list(FIGURES)
    for name in names:
        if name not in FIGURES:
            raise UnknownName.of("figure", name, FIGURES)
    digest = hashlib.sha256(options.weights.read_bytes()).hexdigest()
    documents = {name: document(name, digest, options) for name in names}
    rows = [each for name, found in documents.items() for each in FIGURES[name][1](found)]
    facts = {"weights": options.weights.name, "sha256": digest, "rows": rows}
    return {**facts, "missed": sum(not each["met"] for each in rows), "documents": documents}


def document(name: str, digest: str, options: argparse.Namespace) -> dict[str, Any]:
    """What one figure is made of: measured, or what an earlier run with these weights left."""
    path: Path = options.data / "documents" / f"{name}.json"
    if options.reuse and path.is_file():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if kept["sha256"] == digest:
            return dict(kept["document"])
    _common.note(name)
    found = FIGURES[name][0](options)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"sha256": digest, "document": found}, indent=1, ensure_ascii=False), encoding="utf-8")
    return found


def rendered(options: argparse.Namespace, split: str, count: int, seed: int) -> Path:
    """The store of a split, rendered unless it is there, at the size that the network's preprocessing resizes to."""
    side, _ = network(options.weights).preprocess.resize
    folder: Path = options.data / f"{split}-{count}-{side}"
    if not (folder / "clips.json").is_file():
        _common.note(f"rendering {count} of {split}")
        words = ("--clips", count, "--seed", seed, "--size", side, "--jobs", options.jobs)
        _common.tsm_edge("synth", "--out", folder, "--split", split, *words)
    return folder


def evaluated(options: argparse.Namespace, data: Path, *words: object, weights: Path | None = None) -> dict[str, Any]:
    """What `eval` says of the weights."""
    file: Path = weights or options.weights
    found = _common.tsm_edge("eval", file, "--data", data, "--threads", options.threads, *words)
    return {**found, "subject": file.name}


def people(options: argparse.Namespace) -> dict[str, Any]:
    """Takes of people: recognised, and announced by the weights' own decision."""
    return evaluated(options, rendered(options, "people-test", options.take_count, PEOPLE_SEED))


def people_rows(found: dict[str, Any]) -> Iterator[Row]:
    """Top-1, the least recognised class, and what a demo announces."""
    form, takes = main_form(found), found["takes"]
    least = min(form["recall"], key=form["recall"].get)
    quiet = f"{takes['false_alarms']} false alarms in {takes['quiet_minutes']:.1f} minutes without a gesture"
    rule = "mean of {window} frames, {agree} agree, threshold {threshold}".format(**takes["decision"])
    clips = f"{found['clips']} clips"
    yield row("people nobody trained on: top-1", form["top1"], 0.90, 0.95, least=True, note=clips)
    yield row("the class of them that is recognised least", form["recall"][least], 0.75, 0.88, least=True, note=least)
    yield row("announced in their takes", takes["announced"], 0.85, 0.93, least=True, note=rule)
    yield row("announced as another gesture", takes["announced_as_another"], 0.04, 0.02, note=quiet)
    delay = takes["median_delay_s"]
    if delay is not None:
        yield row("delay of an announcement, median, seconds", delay, 0.6, 0.4, note="from the gesture's begin")


def shapes(options: argparse.Namespace) -> dict[str, Any]:
    """Clips of flat shapes."""
    return evaluated(options, rendered(options, "test", options.clip_count, SHAPES_SEED))


def shapes_rows(found: dict[str, Any]) -> Iterator[Row]:
    """Top-1."""
    note = f"{found['clips']} clips"
    yield row("two-dimensional test: top-1", main_form(found)["top1"], 0.93, 0.97, least=True, note=note)


def tsn(options: argparse.Namespace) -> dict[str, Any]:
    """The takes of people again, every frame for itself."""
    data = rendered(options, "people-test", options.take_count, PEOPLE_SEED)
    found = evaluated(options, data, "--tsn", weights=options.tsn_weights)
    return {**found, "trained": options.tsn_weights is not None}


def tsn_rows(found: dict[str, Any]) -> Iterator[Row]:
    """Top-1, which is to be low."""
    note = "trained without it" if found["trained"] else "the same weights"
    yield row("people, the network without the shift: top-1", main_form(found)["top1"], 0.35, None, note=note)


def footage(options: argparse.Namespace) -> dict[str, Any]:
    """A bundle of the weights on recorded video."""
    digest = hashlib.sha256(options.weights.read_bytes()).hexdigest()
    bundle, _ = _common.compiled(
        options.data / f"bundle-{digest[:12]}", network(options.weights).name, "--weights", options.weights
    )
    videos = options.footage or options.data / "footage"
    return program("false_alarms", bundle, "--footage", videos)


def footage_rows(found: dict[str, Any]) -> Iterator[Row]:
    """False alarms a minute."""
    seen = f"{found['minutes']:.1f} minutes of views of {found['footage_minutes']:.1f} minutes of footage"
    note = f"{found['false_alarms']} in {seen}"
    yield row("false alarms a minute on recorded footage", found["per_minute"], 0.5, 0.2, note=note)


def taught(options: argparse.Namespace) -> dict[str, Any]:
    """Gestures that one person shows."""
    words = ("--weights", options.weights, "--data", options.data / "taught", "--clips", options.taught_count)
    return program("taught", *words, "--jobs", options.jobs, "--threads", options.threads)


def taught_rows(found: dict[str, Any]) -> Iterator[Row]:
    """Accuracy on the same person and on others, and how long that took."""
    figure = "four gestures taught by one person: "
    note = "{gestures:.1%} of the four gestures themselves, {clips} clips"
    same, others = found["same_person"], found["other_people"]
    yield row(f"{figure}that person, later", same["top1"], 0.90, 0.95, least=True, note=note.format(**same))
    yield row(f"{figure}other people", others["top1"], 0.70, 0.80, least=True, note=note.format(**others))
    minutes = found["training_minutes"]
    yield row(f"{figure}minutes of training", minutes, 10.0, None, note=f"{found['clips_a_class']} clips a class")


def cost(options: argparse.Namespace) -> dict[str, Any]:
    """Size of network and file."""
    model = network(options.weights)
    return {"macs": model.macs, "parameters": model.parameters_count, "bytes": options.weights.stat().st_size}


def cost_rows(found: dict[str, Any]) -> Iterator[Row]:
    """Multiply-adds and megabytes."""
    yield row("a step, MMAC", found["macs"] / 1e6, 60.0, 40.0)
    weights = f"{found['parameters'] / 1e6:.2f} M parameters"
    yield row("weights, MB", found["bytes"] / MB, 4.0, None, note=weights)


#: name -> what measures it, and its rows
FIGURES: dict[
    str, tuple[Callable[[argparse.Namespace], dict[str, Any]], Callable[[dict[str, Any]], Iterator[Row]]]
] = {
    "people": (people, people_rows),
    "shapes": (shapes, shapes_rows),
    "tsn": (tsn, tsn_rows),
    "footage": (footage, footage_rows),
    "taught": (taught, taught_rows),
    "cost": (cost, cost_rows),
}


def main_form(found: dict[str, Any]) -> dict[str, Any]:
    """The form that a device runs."""
    first: dict[str, Any] = next(iter(found["forms"].values()))
    return first


def network(weights: Path) -> Model:
    """The network that a file of weights is of."""
    meta = read_meta(weights)
    if meta is None:
        raise CheckpointError(f"'{weights}' does not say what its network is.")
    return models.load(meta.model, labels=meta.labels, width=meta.width, size=meta.size)


def program(name: str, *words: object) -> dict[str, Any]:
    """Run another benchmark and return its document."""
    command = [sys.executable, "-W", "ignore", str(HERE / f"{name}.py"), *map(str, words), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeFailure(f"{name}.py failed; its message is above.", found=f"exit {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def show(document: dict[str, Any]) -> None:
    """Print the table."""
    rows = [
        (
            each["figure"],
            number(each["measured"]),
            number(each["must"]),
            "" if each["aim"] is None else number(each["aim"]),
            "met" if each["met"] else "MISSED",
            each["note"],
        )
        for each in document["rows"]
    ]
    print_table(("FIGURE", "MEASURED", "MUST", "AIM", "", ""), rows)
    print(f"{len(rows)} figures, {document['missed']} missed, {document['total_seconds']} s")


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}"


def main() -> None:
    """Parse the command line and measure."""
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--weights", type=Path, metavar="FILE", help="measure these, not the shipped ones")
    parser.add_argument("--tsn-weights", type=Path, metavar="FILE", help="a network that was trained without the shift")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep what is rendered here, and use it again")
    parser.add_argument("--footage", type=Path, metavar="DIR", help="recorded videos  [default: footage in --data]")
    parser.add_argument("--only", metavar="ROWS", help=f"some of: {','.join(FIGURES)}")
    parser.add_argument("--reuse", action="store_true", help="take figures of these weights that --data has")
    parser.add_argument("--take-count", type=int, default=660, metavar="N", help="takes of people")
    parser.add_argument("--clip-count", type=int, default=550, metavar="N", help="two-dimensional clips")
    parser.add_argument("--taught-count", type=int, default=20, metavar="N", help="clips of a class that are taught")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes that render")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of a step")
    _common.main(parser.parse_args(), measure, show)


if __name__ == "__main__":
    main()
