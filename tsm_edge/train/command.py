"""`tsm-edge train`: from clips to the weights of an online network."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from .. import atomic, models, report
from ..errors import DataError, DeviceError, OutputError, UsageError
from ..models import Model, read_labels
from ..terminal import say, say_over
from . import checkpoint
from .data import Skipped, decoded, find, split
from .labels import permutation, read_pairs, reversal
from .network import PADDINGS, PLACES, Variant
from .sampling import WAYS
from .settings import Settings
from .store import Store, is_store, open_store

_FOLDER, _FILE = click.Path(path_type=Path, file_okay=False), click.Path(path_type=Path)
_QUIET_S = 30  # between two lines of progress where there is no terminal


@click.command()
@click.option(
    "--data", required=True, type=_FILE, help="Store, folder of label folders, .csv, or raw frame list."
)
@click.option("--out", required=True, type=_FOLDER, help="Folder for checkpoint, weights and metrics.")
@click.option(
    "--videos", type=_FOLDER, help="Where the clips of an annotation file are.  [default: beside it]"
)
@click.option("--labels", type=_FILE, help="Text file, one class a line, in the order of the scores.")
@click.option("--held-out", type=_FILE, help="Data to measure on.  [default: a tenth of --data]")
@click.option("--cache", type=_FOLDER, help="Folder for the decoded clips.  [default: OUT/clips]")
@click.option("--model", "name", default="tsm-mobilenetv2", show_default=True, help="Network of the zoo.")
@click.option("--width", type=float, help="Factor on the channels, where the network has one.")
@click.option("--size", type=int, default=128, show_default=True, help="Side of the input in pixels.")
@click.option("--frames", type=click.IntRange(2, 64), default=8, show_default=True, help="Frames of a clip.")
@click.option(
    "--sampling", "way", type=click.Choice(WAYS), default="segments", show_default=True, help="How."
)
@click.option(
    "--epochs", type=click.IntRange(1), default=20, show_default=True, help="Times through the data."
)
@click.option("--batch", type=click.IntRange(2), default=32, show_default=True, help="Clips a step.")
@click.option(
    "--lr", type=click.FloatRange(0, min_open=True), default=1e-3, show_default=True, help="Learning rate."
)
@click.option("--init", type=_FILE, help="Begin with the weights of a file; its head only where it fits.")
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
@click.option("--no-flip", is_flag=True, help="Do not mirror clips.")
@click.option("--mirrored", default="", metavar="A=B,…", help="Your labels that change places in a mirror.")
@click.option(
    "--reverse", is_flag=True, help="Also play clips backwards, where it is known what they become."
)
@click.option(
    "--rested",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of the steps that begin after a long rest, not with empty states.",
)
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
@click.option("--half", is_flag=True, help="Write the weights as float16, half the size.")
@click.option("--resume", is_flag=True, help="Go on with the training in OUT.")
@click.option("--overwrite", is_flag=True, help="Begin anew in an OUT that holds a training; its weights are lost.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
def train(
    data: Path, out: Path, resume: bool, overwrite: bool, init: Path | None, as_json: bool, **options: Any
) -> None:
    """Train an online network on your clips.

    The default shift sees the past only, so the weights run as they are in a bundle. After every epoch OUT holds a
    checkpoint for --resume, weights.safetensors with the best epoch so far, metrics.jsonl and metrics.png.
    """
    import cv2
    import torch

    cv2.setNumThreads(1)
    if options["threads"]:
        torch.set_num_threads(options["threads"])
    if resume and init:
        raise UsageError(
            "--init begins a training, --resume goes on with one.", found="both", allowed="one of them"
        )
    check_out(out, resume=resume, overwrite=overwrite)
    model, train_clips, held_out = _clips(data, out, options)
    trainer = _trainer(
        model,
        train_clips,
        held_out,
        out,
        _settings(model, train_clips, data, options),
        half=options["half"],
        device=training_device(options["device"]),
    )
    if resume:
        say(f"going on after epoch {trainer.resume()}", err=True)
    elif init:
        trainer.start_from(initial(init, model))
    result = trainer.run(Progress(trainer.settings.epochs))
    _report(result, out, as_json, model.name, online=trainer.settings.variant.online)


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


def _clips(data: Path, out: Path, options: dict[str, Any]) -> tuple[Model, Store, Store]:
    """The model, which needs the labels, and the clips, which need the model's size and rate."""
    labels = read_labels(options["labels"]) if options["labels"] else None
    if labels is None:
        is_ready = data.is_dir() and is_store(data)
        labels = open_store(data).labels if is_ready else find(data, options["videos"]).labels
    model = models.load(options["name"], width=options["width"], size=options["size"], labels=labels)
    store, skipped = stored(data, options["cache"] or out / "clips", model, options)
    report_skipped(skipped)
    if options["held_out"] is None:
        train_clips, held_out = split(store, 0.1)
        return model, train_clips, held_out
    held_out, skipped = stored(options["held_out"], (options["cache"] or out) / "held-out", model, options)
    report_skipped(skipped)
    for each in (store, held_out):
        if each.labels != model.labels:
            raise DataError(
                "The labels are not those of the training.",
                found=", ".join(each.labels),
                allowed=", ".join(model.labels),
                hint="give their order with --labels",
            )
    return model, store, held_out


def stored(data: Path, cache: Path, model: Model, options: dict[str, Any]) -> tuple[Store, list[Skipped]]:
    """Open a store, or decode what is no store into one in ``cache``."""
    if data.is_dir() and is_store(data):
        return open_store(data), []
    source = find(data, options["videos"], model.labels)
    least = max(2, (options["frames"] or 4) // 2)
    with click.progressbar(length=len(source.samples), label="decode", file=sys.stderr) as bar:
        how = model.preprocess
        store, skipped = decoded(
            source, cache, how.resize[0], how.rate_fps, least, lambda done, _: bar.update(1)
        )
    if not len(store):
        raise DataError(
            f"No clip of '{data}' can be used.", found=f"{len(skipped)} skipped: {skipped[0].why}"
        )
    return store, skipped


def report_skipped(skipped: list[Skipped]) -> None:
    """Name every clip that is left out; nothing is skipped in silence."""
    for each in skipped:
        say(f"skipped {each.name}: {each.why}", err=True)
    if skipped:
        say(f"{len(skipped)} clips are left out", err=True)


def _settings(model: Model, store: Store, data: Path, options: dict[str, Any]) -> Settings:
    names = list(model.labels)
    direction = "none" if options["tsn"] else options["shift"]
    variant = Variant(direction, options["shift_share"], options["shift_place"], options["shift_padding"])
    mirrored = () if options["no_flip"] else tuple(permutation(names, read_pairs(options["mirrored"])))
    return Settings(
        model=model.name,
        parameters=dict(model.parameters),
        labels=model.labels,
        frames=options["frames"],
        way=options["way"],
        epochs=options["epochs"],
        batch=options["batch"],
        lr=options["lr"],
        mirrored=mirrored,
        reversed_=tuple(reversal(names)) if options["reverse"] else (),
        rested=options["rested"],
        variant=variant,
        seed=options["seed"],
        rate_fps=model.preprocess.rate_fps,
        data=f"{len(store)} clips of {data.name}",
    )


def _trainer(
    model: Model,
    train_clips: Store,
    held_out: Store,
    out: Path,
    settings: Settings,
    *,
    half: bool,
    device: str,
) -> Any:
    from .loop import Trainer

    say(
        f"{len(train_clips)} clips to train on, {len(held_out)} held out, {len(model.labels)} classes; "
        f"{model.macs * settings.frames / 1e6:.0f} MMAC a clip, on {device}",
        err=True,
    )
    return Trainer(settings, model, train_clips, held_out, out, half=half, device=device)


def training_device(wanted: str) -> str:
    """Torch's name for what trains; DeviceError when a GPU is asked for and PyTorch sees none."""
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "PyTorch sees no NVIDIA GPU to train on.",
            found=f"torch {torch.__version__}",
            hint="install a build of torch for this driver, or train with --device cpu",
        )
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def initial(path: Path, model: Model) -> dict[str, Any]:
    """A state_dict for ``model`` from a checkpoint; with other classes, all but the head."""
    from ..checkpoints import class_count, load_into
    from ..models._net import make_net
    from ..models._walk import head

    count, net = class_count(path, model), make_net(model.layers)
    if count == model.classes:
        load_into(net, path, model)
        return dict(net.state_dict())
    parameters = {**model.parameters, "classes": count}
    other = models.load(model.name, **parameters)
    trained = make_net(other.layers)
    load_into(trained, path, other)
    last = f"{head(model.layers).name}."
    say(f"'{path.name}' has {count} classes: its head is not used", err=True)
    body = {key: value for key, value in trained.state_dict().items() if not key.startswith(last)}
    return {**net.state_dict(), **body}


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


def _report(result: Any, out: Path, as_json: bool, model: str, *, online: bool) -> None:
    from ..bench.roofline import write
    from . import picture

    write(out / "metrics.png", picture.training(result.history))
    if as_json:
        report.print_json(
            {"weights": str(result.weights), "best": result.best, "history": list(result.history)}
        )
        return
    best = result.best
    report.print_facts(
        {
            "weights": result.weights,
            "best epoch": best["epoch"],
            "top-1": f"{best['top1']:.1%} of the held-out clips, {best['half_top1']:.1%} after half of each",
            "worst class": f"{best['worst_recall']:.1%} recognised",
        }
    )
    if online:
        report.print_next("tsm-edge compile {} --target local --weights {}", model, result.weights)
    else:
        report.print_next("tsm-edge eval {} --data DATA", result.weights)
