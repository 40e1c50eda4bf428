"""`tsm-edge train`: from clips to the weights of an online network."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from .. import models, report
from ..commands.form_options import usage_errors
from ..commands.model_options import averaged_option
from ..errors import DeviceError, DirectionUnknown, OutputError, UsageError
from ..files import atomic
from ..models import OFFLINE, ONLINE, PADDINGS, PLACES, Model, TemporalShift, read_labels
from ..records import record_of
from ..terminal import say, say_over
from ..weights.meta import read_meta
from . import checkpoint
from .clip_sets import concerns, guessing, is_chance, labels_in, parted, several
from .initial import clips_from
from .network import Trainable, check_whole_clips, clip_macs
from .processes import Processes, joined, started
from .request import USUAL_LOOK, Request
from .sampling import WAYS
from .sources import Sources

if TYPE_CHECKING:
    import torch

    from .loop import Result, Trainer

_FOLDER, _FILE = click.Path(path_type=Path, file_okay=False), click.Path(path_type=Path)
_QUIET_S = 30  # between two lines of progress where there is no terminal


def renamed_option(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Refuse the old name of --warm-start; UsageError names the new one."""
    if value is not None:
        raise UsageError("--rested has a new name.", found=f"--rested {value}", hint=f"--warm-start {value}")


@click.command()
@click.option(
    "--data",
    required=True,
    multiple=True,
    type=_FILE,
    help="Store, folder of label folders, or annotation file; more than one to train on all of them.",
)
@click.option("--out", required=True, type=_FOLDER, help="Folder for checkpoint, weights and metrics.")
@click.option(
    "--videos", type=_FOLDER, help="Where the clips of an annotation file are.  [default: beside it]"
)
@click.option("--labels", type=_FILE, help="Text file, one class a line, in the order of the scores.")
@click.option(
    "--held-out", multiple=True, type=_FILE, help="Data to measure on.  [default: a tenth of --data]"
)
@click.option("--cache", type=_FOLDER, help="Folder for the decoded clips.  [default: OUT/clips]")
@click.option("--model", help="Network of the zoo or of the family.  [default: as in --init, or tsm-mobilenetv2]")
@click.option("--width", type=float, help="Factor on the channels.  [default: as in --init, or 1]")
@click.option("--size", type=int, help="Side of the input in pixels.  [default: as in --init, or 128]")
@click.option(
    "--frames",
    type=click.IntRange(2, 64),
    help="Frames of a clip.  [default: 8, or 24 for new classes on trained weights]",
)
@click.option(
    "--take-frames", type=click.IntRange(8, 256), default=24, show_default=True, help="Frames of a take."
)
@click.option(
    "--sampling", type=click.Choice(WAYS), help="How.  [default: segments, or dense as above]"
)
@click.option(
    "--freeze",
    type=click.IntRange(0),
    help="Layers from the input on that stay as in --init.  [default: two thirds for new classes of few clips, else 0]",
)
@click.option(
    "--epochs", type=click.IntRange(1), default=20, show_default=True, help="Times through the data."
)
@click.option("--batch", type=click.IntRange(2), default=32, show_default=True, help="Clips a step.")
@click.option(
    "--lr", type=click.FloatRange(0, min_open=True), default=1e-3, show_default=True, help="Learning rate."
)
@click.option(
    "--init",
    type=_FILE,
    help="Begin with the weights of a file, or of a trained model (gestures); of the head the classes that both know.",
)
@averaged_option
@click.option("--tsn", is_flag=True, help="No shift: every frame for itself, to see what time brings.")
@click.option(
    "--shift", type=click.Choice(("uni", "bi")), default="uni", show_default=True, help="Past, or both."
)
@click.option(
    "--shift-share", type=click.FloatRange(0, 1), default=1 / 8, show_default=True, help="Of channels."
)
@click.option(
    "--shift-place", type=click.Choice(PLACES), default="residual", show_default=True, help="Where."
)
@click.option(
    "--shift-padding", type=click.Choice(PADDINGS), default="zero", show_default=True, help="At ends."
)
@click.option(
    "--temporal-pool",
    is_flag=True,
    help="Pool frames in pairs behind the first stage of a ResNet, as MIT's code; runs as a clip only.",
)
@click.option("--no-flip", is_flag=True, help="Do not mirror clips.")
@click.option("--mirrored", default="", metavar="A=B,…", help="Your labels that change places in a mirror.")
@click.option(
    "--reverse", is_flag=True, help="Also play clips backwards, where it is known what they become."
)
@click.option(
    "--strength",
    type=click.FloatRange(0, 2),
    default=1.0,
    show_default=True,
    help="Of the changes to what clips look like: 0 none, 2 all there are.",
)
@click.option(
    "--warm-start",
    "warm_start_share",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of the steps whose states start warm, as if the first frame had been seen for ever, not empty.",
)
@click.option("--rested", hidden=True, expose_value=False, callback=renamed_option)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed.")
@click.option(
    "--threads", type=click.IntRange(1, 64), help="Threads; 1 repeats bit for bit.  [default: all cores]"
)
@click.option(
    "--device",
    type=click.Choice(("auto", "cpu", "cuda")),
    default="auto",
    show_default=True,
    help="What trains: an NVIDIA GPU when PyTorch sees one, or the CPU.",
)
@click.option(
    "--quantize",
    is_flag=True,
    help="Train what 8 bits lose of the weights of --init; OUT gets ranges.json for `compile --precision int8`, too.",
)
@click.option("--half", is_flag=True, help="Write the weights as float16, half the size.")
@click.option("--resume", is_flag=True, help="Go on with the training in OUT.")
@click.option("--overwrite", is_flag=True, help="Begin anew in an OUT that holds a training; its weights are lost.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
def train(**options: object) -> None:
    """Train a network on your clips: an online one, or one of the family, which looks at a clip as a whole.

    The default shift sees the past only, so the weights run as they are in a bundle. After every epoch OUT holds a
    checkpoint for --resume, weights.safetensors with the best epoch so far, metrics.jsonl and metrics.png.

    Several processes share every batch: torchrun --nproc-per-node 2 --no-python tsm-edge train ...
    """
    import cv2
    import torch

    cv2.setNumThreads(1)
    asked = record_of(Request, options)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    processes = started()
    processes.check_batch(asked.batch)
    device = training_device(asked.device, processes)
    with joined(processes, device):
        _train(asked, device, processes)


def _train(asked: Request, device: str, processes: Processes) -> None:
    """Train in one process of those that share the work; the first one reports."""
    init = asked.init_file
    if processes.first:
        check_out(asked.out, resume=asked.resume, overwrite=asked.overwrite)
    with processes.one_a_machine_first():
        model, train_clips, held_out = _clips(asked)
    check_whole_clips(model, train_clips)
    check_whole_clips(model, held_out)
    for concern in concerns(train_clips, held_out):
        say(f"warning: {concern}", err=True)
    if asked.quantize:
        quantised(processes)(asked, model, train_clips, held_out)
        return
    trainer = _trainer(asked, model, train_clips, held_out, device, processes)
    if asked.resume:
        say(f"going on after epoch {trainer.resume()}", err=True)
    elif init:
        # of many clips the head learns by itself; of takes it is learnt by the frame
        new_head = asked.teaches(model.labels) and trainer.settings.frozen > 0 and not train_clips.takes
        if isinstance(model, Model):
            tensors = initial(init, model, asked.averaged, asked.variant)
        else:
            tensors = clips_from(init, model)
        trainer.start_from(tensors, new_head=new_head)
    result = trainer.run(Progress(trainer.settings.epochs))
    if processes.first:
        _report(result, asked, model, held_out)


def quantised(processes: Processes) -> Callable[[Request, Trainable, Sources, Sources], None]:
    """The training in 8 bits, which is the compiler's; UsageError where several processes share it."""
    from ..cli import PARTS, loaded

    if processes.count > 1:
        raise UsageError(
            "--quantize trains in one process.", found=f"{processes.count} processes", hint="start it without torchrun"
        )
    return cast("Callable[[Request, Trainable, Sources, Sources], None]", loaded(PARTS["train --quantize"]))


def check_out(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse to begin where a training would be lost, or where nothing can be written, before clips are read.

    Raises:
        UsageError: both options. OutputError: OUT holds a training and neither is given, or it cannot be written.
    """
    if resume and overwrite:
        raise UsageError("--resume goes on with a training, --overwrite drops it.", found="both")
    older = [name for name in checkpoint.RUN_FILES if (out / name).exists()]
    if older and not (resume or overwrite):
        raise OutputError(
            f"'{out}' holds a training already; it is left alone.",
            found=", ".join(older),
            hint="go on with --resume, give another --out, or drop the older one with --overwrite",
        )
    atomic.check_folder(out)


def _clips(asked: Request) -> tuple[Trainable, Sources, Sources]:
    """The model, which needs the labels, and the clips, which need the model's size and rate."""
    with usage_errors():
        labels = read_labels(asked.labels) if asked.labels else None
    model = asked.network(labels or labels_in(asked.data[0], asked.videos))
    least = max(2, min(asked.look(model)[0], USUAL_LOOK[0]) // 2)
    stores = several(asked.data, asked.cache or asked.out / "clips", model, videos=asked.videos, least=least)
    if not asked.held_out:
        return model, *parted(stores, 0.1)
    beside = (asked.cache or asked.out) / "held-out"
    held_out = several(asked.held_out, beside, model, videos=asked.videos, least=least)
    return model, Sources(stores), Sources(held_out)


def _trainer(
    asked: Request, model: Trainable, train_clips: Sources, held_out: Sources, device: str, processes: Processes
) -> Trainer:
    from .loop import Trainer

    several = f" in {processes.count} processes" if processes.count > 1 else ""
    settings = asked.settings(model, len(train_clips))
    layers = len(model.layers) if isinstance(model, Model) else 0
    frozen = f", {settings.frozen} of {layers} layers frozen" if settings.frozen else ""
    say(
        f"{len(train_clips)} clips to train on, {len(held_out)} held out, {len(model.labels)} classes; "
        f"{clip_macs(model, settings.frames) / 1e6:.0f} MMAC a clip{frozen}, on {device}{several}",
        err=True,
    )
    return Trainer(
        settings, model, train_clips, held_out, asked.out, half=asked.half, device=device, processes=processes
    )


def training_device(wanted: str, processes: Processes) -> str:
    """Torch's name for what trains; DeviceError when a GPU is asked for and PyTorch sees too few."""
    import torch

    seen, needed = torch.cuda.device_count() if torch.cuda.is_available() else 0, processes.local_rank + 1
    if wanted == "cpu" or (wanted == "auto" and not seen):
        return "cpu"
    if not seen:
        raise DeviceError(
            "PyTorch sees no NVIDIA GPU to train on.",
            found=f"torch {torch.__version__}",
            hint="install a build of torch for this driver, or train with --device cpu",
        )
    if seen < needed:
        raise DeviceError(
            "There are more processes than GPUs on this machine.",
            found=f"process {needed}",
            allowed=f"{seen} processes",
            hint="give torchrun a smaller --nproc-per-node, or train with --device cpu",
        )
    return f"cuda:{processes.local_rank}" if processes.count > 1 else "cuda"


def initial(
    path: Path, model: Model, averaged: bool | None = None, variant: TemporalShift = ONLINE
) -> dict[str, torch.Tensor]:
    """A state_dict for ``model`` from a checkpoint; with other classes, of its head only those that both know."""
    from ..models import make_net
    from ..models.description import head
    from ..weights.checkpoints import class_count, load_into

    count, net = class_count(path, model, averaged), make_net(model.layers)
    meta = read_meta(path)
    same = count == model.classes and (meta is None or meta.labels == model.labels)
    described = model if same else models.load_from(model.name, {**model.parameters, "classes": count})
    trained = net if same else make_net(described.layers)
    reorder = _needs_order(path, described, averaged, variant)
    say(f"begins with {load_into(trained, path, described, averaged, reorder).weights.note}", err=True)
    if same:
        return dict(net.state_dict())
    kept = [] if meta is None else [label for label in model.labels if label in meta.labels]
    other = f"{count} classes" if count != model.classes else "other labels"
    used = f"of its head it gives {', '.join(kept)}" if kept else "its head is not used"
    say(f"'{path.name}' has {other}: {used}", err=True)
    last = f"{head(model.layers).name}."
    tensors, known = dict(net.state_dict()), () if meta is None else meta.labels
    for key, value in trained.state_dict().items():
        if not key.startswith(last):
            tensors[key] = value
            continue
        for label in kept:
            tensors[key][model.labels.index(label)] = value[known.index(label)]
    return tensors


def _needs_order(path: Path, model: Model, averaged: bool | None, variant: TemporalShift) -> bool:
    """Whether an online training begins with weights of a bi-directional network, whose past stands elsewhere."""
    from ..weights.checkpoints import shift_of

    try:
        shift, _ = shift_of(path, model, averaged)
    except DirectionUnknown as error:  # of a start it decides how good it is, not whether it is right
        say(f"note: {error.what} Its channels are taken as they are", err=True)
        return False
    return variant.online and shift == OFFLINE


class Progress:
    """Epoch, loss, speed and time left: one moving line on a terminal, a line every half minute elsewhere."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._last = 0.0

    def __call__(self, epoch: int, step: int, steps: int, loss: float, seconds: float) -> None:
        """Take the state after a step."""
        now, live = time.monotonic(), sys.stderr.isatty()
        if now - self._last < (0.2 if live else _QUIET_S) and step < steps:
            return
        self._last = now
        left = seconds / step * (steps - step + steps * (self._epochs - epoch - 1))
        line = f"epoch {epoch + 1}/{self._epochs}  {step}/{steps}  loss {loss:.3f}  {clock(left)} left"
        if live:
            say_over(line, last=step == steps)
        else:
            say(line, err=True)


def clock(seconds: float) -> str:
    """Return hours:minutes:seconds, without the hours when there are none."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _report(result: Result, asked: Request, model: Trainable, held_out: Sources) -> None:
    from ..bench.roofline import write
    from . import picture

    write(asked.out / "metrics.png", picture.training(result.history))
    best, expected = result.best, guessing(held_out)
    chance = is_chance(best["top1"], held_out)
    if chance:
        say(
            f"warning: {best['top1']:.1%} of {len(held_out)} held-out clips cannot be told from guessing "
            f"({expected:.1%}): train longer (--epochs), begin with trained weights (--init), or record more clips",
            err=True,
        )
    if asked.as_json:
        facts = {"weights": str(result.weights), "best": best, "history": list(result.history)}
        report.print_json({**facts, "guessing_top1": expected, "better_than_guessing": not chance})
        return
    early = f", {best['half_top1']:.1%} after half of each" if isinstance(model, Model) else ""
    report.print_facts(
        {
            "weights": result.weights,
            "best epoch": best["epoch"],
            "top-1": f"{best['top1']:.1%} of the held-out clips{early}",
            "guessing": f"{expected:.1%}",
            "worst class": f"{best['worst_recall']:.1%} recognised",
        }
    )
    if chance:
        report.print_next("tsm-edge eval {} --data {}", result.weights, (asked.held_out or asked.data)[0])
    elif asked.variant.padding == "zero":
        report.print_next("tsm-edge compile {} --target local --weights {}", model.name, result.weights)
    else:
        report.print_next("tsm-edge eval {} --data DATA", result.weights)
