"""What the copies of the temporal shift cost in each form: instructions of an ARM bundle beside one without a shift.

    python benchmarks/shift_copies.py [--target raspberry-pi-4] [--model NAME] [--size 224] [--json] [--output FILE]

A stream, a lagged stream and a window of 8 frames of the same network, each with the shift that belongs to it and
without any; counted under qemu-user as `arm_instructions.py` does, so the figures repeat. Beside them stands what the
plan moves for the shift: elements that its copies write, of those that the shifted blocks read.
"""

from __future__ import annotations

import argparse
from math import prod
from pathlib import Path
from typing import Any

import _common
from arm_instructions import TARGET, count, emulator_version, what_is_missing

from tsm_edge import models, target
from tsm_edge.compile import pipeline
from tsm_edge.compile.frontend import networks
from tsm_edge.models import OFFLINE, ONLINE, Model, TemporalShift, Window
from tsm_edge.models.description import Block, walk

STEPS = (1, 3)  # the difference of the counts, over that of the steps, is one step
UNSHIFTED = TemporalShift("none")
WINDOW = Window(8, 4)
COPIES = ("join_", "frame_shift_", "copy_")


def forms(model: Model) -> dict[str, tuple[Model, Model]]:
    """Each form of a network with its shift, and the same without one."""
    return {
        "stream": (model.streaming(ONLINE), model.streaming(UNSHIFTED)),
        "lagged": (model.streaming(OFFLINE), model.streaming(UNSHIFTED)),
        "clip": (model.clips(OFFLINE, WINDOW), model.clips(UNSHIFTED, WINDOW)),
    }


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compile and count every form; a machine without the emulator gets a document that says so."""
    device = target.load(options.target)
    missing = what_is_missing(device)
    if missing:
        _common.note(f"skipped: {missing}")
        return {"target": device.name, "skipped": missing}
    model = models.load(options.model, size=options.size)
    counted: dict[str, int] = {}

    def instructions(one: Model) -> tuple[int, pipeline.Compiled | None]:
        """Of a step, and the bundle; None where the same network was counted already."""
        key = repr(one.parameters)
        if key in counted:
            return counted[key], None
        _common.note(f"compiling {one.parameters}")
        built = pipeline.compile(networks.zoo(one, seed=1), device, folder / f"bundle{len(counted)}")
        late = 0 if one.window else one.delay  # a lagged stream says nothing to its first frames
        few, more = (count(built.folder, device, late + steps, folder, late) for steps in STEPS)
        counted[key] = (more - few) // (STEPS[1] - STEPS[0])
        return counted[key], built

    rows = []
    for form, (shifted, plain) in forms(model).items():
        with_shift, built = instructions(shifted)
        without, _ = instructions(plain)
        assert built is not None, "no two forms have the same shift"
        rows.append(
            {
                "form": form,
                "frames": shifted.window.frames if shifted.window else 1,
                "instructions": with_shift,
                "without_shift": without,
                "share": round(with_shift / without - 1, 4),
                "copied": round(copied(built) / read(shifted), 4),
            }
        )
    facts = {"model": model.name, "size": model.size, "target": device.name, "emulator": emulator_version(device)}
    return {**facts, "rows": rows}


def copied(built: pipeline.Compiled) -> int:
    """Elements that the copies of the shift write in a step."""
    plan = built.planned.plan
    copies = [op for op in plan.ops if op.schedule.startswith(COPIES)]
    return sum(prod(plan.tensor(name).shape) for op in copies for name in op.writes)


def read(model: Model) -> int:
    """Elements of the inputs of all shifted blocks in a step."""
    frames = model.window.frames if model.window else 1
    blocks = ((layer, at) for layer, at in walk(model.layers, model.size) if isinstance(layer, Block) and layer.shifted)
    return frames * sum(block.inputs * at * at for block, at in blocks)


def show(document: dict[str, Any]) -> None:
    """Print a line for each form."""
    print(f"{document['model']} at {document['size']} pixels for {document['target']}, {document['emulator']}")
    for row in document["rows"]:
        print(
            f"{row['form']:7} {row['instructions'] / 1e6:8.1f} M instructions a step, without a shift "
            f"{row['without_shift'] / 1e6:8.1f} M: {100 * row['share']:+.2f} %; copied {100 * row['copied']:.1f} % of "
            "what the shifted blocks read"
        )


if __name__ == "__main__":
    parser = _common.parser(__doc__.partition("\n")[0])
    parser.add_argument("--target", default=TARGET, metavar="NAME", choices=target.names())
    parser.add_argument("--model", default="tsm-mobilenetv2", metavar="NAME")
    parser.add_argument("--size", type=int, default=224)
    _common.main(parser.parse_args(), measure, show)
