"""`tsm-edge eval`: how well weights, or a bundle as it will run on the board, recognise clips."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from .. import models
from ..bundle.manifest import Manifest
from ..commands.form_options import usage_errors
from ..commands.model_options import averaged_option, network_of
from ..decision import DecisionRule
from ..errors import AccuracyError, CheckpointError, UsageError
from ..files.temporaries import scratch
from ..models import PADDINGS, PLACES, Model, TemporalShift, clips
from ..models.description import head
from ..records import record_of
from ..terminal import say
from ..weights import checkpoints
from ..weights.meta import Decision, WeightsMeta, read_meta
from ..weights.origin import described, model_of
from . import checkpoint, measure, takes
from .clip_sets import Subject, check_labels, opened, spread
from .eval_report import Forms, Takes, draw, print_forms
from .eval_request import EvalRequest
from .network import Trainable, check_whole_clips, shift_in
from .request import DEFAULT_MODEL
from .sampling import WAYS
from .sources import Sources
from .store import Store

_FOLDER, _FILE = click.Path(path_type=Path, file_okay=False), click.Path(path_type=Path)


@contextmanager
def progress(what: str, clips: int) -> Iterator[Callable[[int], None]]:
    """A bar over the clips on stderr; what it yields is called with the number of clips that are done since."""
    with click.progressbar(length=clips, label=f"measure, {what}", file=sys.stderr) as bar:
        yield bar.update


@click.command(name="eval")
@click.argument("subject", metavar="WEIGHTS|BUNDLE", type=_FILE)
@click.option("--data", required=True, type=_FILE, help="Store, folder of label folders, or annotation file.")
@click.option(
    "--videos", type=_FOLDER, help="Where the clips of an annotation file are.  [default: beside it]"
)
@click.option("--cache", type=_FOLDER, help="Keep the decoded clips in this folder.")
@click.option(
    "--frames", type=click.IntRange(1, 256), help="Look at so many frames of a clip.  [default: all]"
)
@click.option(
    "--sampling", "way", type=click.Choice(WAYS), default="segments", show_default=True, help="How."
)
@click.option("--clips", type=click.IntRange(1), help="Only so many clips, spread over the data.")
@click.option("--model", "name", help="Network of the weights.  [default: as the file says]")
@click.option("--width", type=float, help="Its width.  [default: as the file says]")
@click.option("--size", type=int, help="Its input.  [default: as the file says]")
@click.option("--labels", type=_FILE, help="Its classes, one a line.  [default: as the file says]")
@click.option("--tsn", is_flag=True, help="Measure without a shift: what a frame alone tells.")
@click.option("--shift", type=click.Choice(("uni", "bi")), help="Their shift.  [default: as the file says]")
@click.option("--shift-share", type=click.FloatRange(0, 1), help="Its share.  [default: as the file says]")
@click.option("--shift-place", type=click.Choice(PLACES), help="Its place.  [default: as the file says]")
@click.option("--shift-padding", type=click.Choice(PADDINGS), help="At ends.  [default: as the file says]")
@averaged_option
@click.option("--threads", type=click.IntRange(1, 64), help="Threads of a step or of torch.")
@click.option(
    "--min-top1", type=click.FloatRange(0, 100), help="Fail with exit code 3 below this, in percent."
)
@click.option(
    "--choose-decision",
    "decided",
    type=_FILE,
    metavar="FILE",
    help="Balance quiet classes and choose the decision over time, on takes; write the weights to FILE with both.",
)
@click.option(
    "--most-wrong",
    type=click.FloatRange(0, 100),
    default=2.0,
    show_default=True,
    help="Percent of gestures, for that.",
)
@click.option(
    "--most-alarms",
    type=click.FloatRange(0),
    default=0.5,
    show_default=True,
    help="A minute without gestures.",
)
@click.option("--plot", type=_FILE, help="Draw the confusion matrix and the curve into a .png file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
def evaluate(**options: object) -> None:
    """Measure WEIGHTS in the online and in the clip form, or a BUNDLE as it is compiled; one for another processor
    runs under the emulator of its target. A network of the family has the clip form alone, one answer a clip.

    The answer for a clip is the mean of the scores of its frames, later ones counting more. The clips are scaled to
    the network's input once, so that weights and bundle see the same pictures. Of takes it is also told what a demo
    would announce, and by how much it would be late.
    """
    asked = record_of(EvalRequest, options)
    with scratch() as folder:
        cache = asked.cache or folder
        forms = _bundle(asked, cache) if asked.is_bundle else _weights(asked, cache)
        if asked.plot is not None:
            draw(asked.plot, forms)
    print_forms(forms, asked.as_json)
    if asked.min_top1 is not None and 100 * forms.main.top1 < asked.min_top1:
        raise AccuracyError(
            f"'{asked.subject}' recognises less than was demanded.",
            found=f"{forms.main.top1:.2%} top-1",
            allowed=f"{asked.min_top1:g}% and more",
        )


def _weights(asked: EvalRequest, cache: Path) -> Forms:
    import torch

    from ..models import make_net

    if asked.threads:
        torch.set_num_threads(asked.threads)
    subject, model = asked.subject, _model(asked)
    if isinstance(model, clips.ClipModel):
        return _whole_clips(asked, cache, model)
    variant = _shift(asked, model)
    store = _clips(asked, cache, model)
    net = make_net(model.layers)
    say(f"weights: {checkpoints.load_into(net, subject, model, asked.averaged).weights.note}", err=True)
    seen = measure.prepared(store, model.preprocess, measure.Look() if store.takes else asked.look)
    scores = {}
    if variant.online and not model.pools:
        with progress("online form", len(seen)) as done:
            scores["online"] = measure.step_scores(net, model, seen, done)
    if not scores or not store.takes:  # of takes one form takes long enough; they are equal
        with progress("clip form", len(seen)) as done:
            scores["clip"] = measure.clip_scores(net, model, seen, variant, done)
    meta = read_meta(subject)
    rule = (
        meta.rule
        if meta is not None and meta.labels == model.labels
        else DecisionRule.for_labels(model.labels)
    )
    if asked.decided is not None:
        rule, by = _choose(meta, model, takes.Scored(store, next(iter(scores.values()))), asked, asked.decided)
        scores = {form: [row + by for row in rows] for form, rows in scores.items()}
    return _forms(str(subject), model, store, scores, rule)


def _whole_clips(asked: EvalRequest, cache: Path, model: clips.ClipModel) -> Forms:
    """Weights of a network of the family: one answer a clip, in its only form."""
    look, store = asked.look_of_clips(model), _clips(asked, cache, model)
    check_whole_clips(model, Sources.of(store))
    net, source = checkpoints.prepare(model, asked.subject)
    say(f"weights: {source.note}", err=True)
    seen = measure.prepared(store, model.preprocess, look)
    with progress("clip form", len(seen)) as done:
        rows = measure.clip_scores(net, model, seen, shift_in(model), done)
    refuse_infinite(str(asked.subject), rows)
    return _forms(str(asked.subject), model, store, {"clip": rows}, DecisionRule.for_labels(model.labels))


def _forms(
    subject: str,
    model: Trainable | Subject,
    store: Store,
    scores: dict[str, list[takes.Floats]],
    rule: DecisionRule,
) -> Forms:
    """What the scores are worth; of takes, what is announced by the rule."""
    found = {form: takes.Scored(store, rows) for form, rows in scores.items()}
    told = Takes(rule, takes.judged(next(iter(found.values())), rule)) if store.takes and rule.idle else None
    measured = {form: measure.Measured(each.rows, each.targets, model.labels) for form, each in found.items()}
    return Forms(subject, model.name, measured, told)


def _choose(
    meta: WeightsMeta | None, model: Model, scored: takes.Scored, asked: EvalRequest, place: Path
) -> tuple[DecisionRule, takes.Floats]:
    """Balance the classes and choose the decision on takes; write the weights with both.

    Return the decision, and what is added to the scores.
    """
    if meta is None or meta.labels != scored.store.labels or not scored.store.takes:
        raise UsageError(
            "A decision is chosen for weights of `tsm-edge train`, on takes.",
            found="clips" if meta is not None else "weights that say nothing of themselves",
            allowed="a store of takes, as `tsm-edge synth --split people` renders",
        )
    by = takes.balance(scored)
    say(f"scores of quiet classes: {max(by, key=abs):+g}", err=True)
    rule, _, kept = takes.choose(scored.moved(by), asked.most_wrong / 100, asked.most_alarms)
    if not kept:
        say("warning: no decision keeps --most-wrong and --most-alarms; the nearest is taken", err=True)
    chosen: Decision = {"window": rule.window, "agree": rule.agree, "threshold": rule.threshold}
    bias = f"{head(model.layers).name}.bias"
    return rule, checkpoint.save_moved(asked.subject, replace(meta, decision=chosen), place, bias, by)


def _bundle(asked: EvalRequest, cache: Path) -> Forms:
    from .. import bundle, runtime
    from ..runtime import native

    asked.check_bundle()
    subject = asked.subject
    manifest = bundle.verify(subject)
    found = model_of(manifest) if manifest.model.source == "zoo" else None
    model = _foreign(manifest) if found is None else found
    store = _clips(asked, cache, model)
    look = measure.Look() if store.takes else asked.look
    if isinstance(model, clips.ClipModel) and model.stream is None:
        check_whole_clips(model, Sources.of(store))
        look = asked.look_of_clips(model)
    if native.runs_here(manifest):
        with (
            runtime.open(subject, threads=asked.threads) as loaded,
            loaded.stream() as stream,
            progress("bundle", len(store)) as done,
        ):
            late, clip = manifest.model.delay_frames, manifest.model.clip_frames
            rows = measure.stream_scores(stream, store, look, done, late, clip)
    else:
        command, where = native.runner(subject, manifest)
        say(f"'{subject}' runs under {where}", err=True)
        with progress("bundle", len(store)) as done:
            rows = measure.command_scores(
                command, manifest.signature, store, look, done, manifest.model.delay_frames
            )
    refuse_infinite(str(subject), rows)
    return _forms(str(subject), model, store, {"bundle": rows}, manifest.decision)


def refuse_infinite(subject: str, rows: Sequence[takes.Floats]) -> None:
    """Scores that are no finite numbers have no best class; AccuracyError says in how many frames."""
    wrong = [~np.isfinite(row).all(axis=-1) for row in rows]
    count = sum(int(frames.sum()) for frames in wrong)
    if count:
        raise AccuracyError(
            f"'{subject}' gives scores that are infinite or no numbers.",
            found=f"{count} of {sum(frames.size for frames in wrong)} frames",
            allowed="finite scores; half precision ends at 65504",
            hint="compile with --precision fp32, or look for what overflows with `tsm-edge verify`",
        )


def _foreign(manifest: Manifest) -> Subject:
    """A network from an ONNX file: all that is known of it is in its bundle."""
    how = manifest.preprocess
    if how is None:
        raise UsageError(
            "This bundle takes no pictures, so clips cannot be shown to it.",
            found=f"input {list(manifest.signature.inputs[0].shape)}",
            allowed="[1, 3, height, width] or [1, 1, height, width]",
        )
    if how.crop[0] != how.crop[1]:
        say(
            "note: the network looks at rectangles; it is shown the square in the middle of the clips",
            err=True,
        )
    return Subject(manifest.model.name, manifest.labels, how)


def _model(asked: EvalRequest) -> Trainable:
    """The network of the weights: what the options say, else what the file says about itself."""
    meta = read_meta(asked.subject)
    if meta is None and asked.classes is None:
        raise CheckpointError(
            f"'{asked.subject}' does not say what its classes are.",
            hint="give them with --labels, the network with --model, --width and --size, and its --shift",
        )
    given = {key: value for key, value in (("width", asked.width), ("size", asked.size)) if value is not None}
    shape = {**(meta.shape if meta else {}), **given}
    labels = asked.classes or (meta.labels if meta else None)
    name = asked.name or (network_of(meta.model) if meta else DEFAULT_MODEL)
    with usage_errors():
        pictures = meta.pictures_at(asked.size or meta.size) if meta else None
        if name in clips.names():
            model = described(name, labels or (), shape)
            return model if pictures is None else model.seeing(pictures)
        return models.load_from(name, shape, labels, pictures)


def _shift(asked: EvalRequest, model: Model) -> TemporalShift:
    """How the network of the weights shifts: what the file says about itself, else what the options say.

    Raises:
        DirectionUnknown: neither does. UsageError: they contradict each other.
    """
    if asked.tsn:  # asks what the weights know without their shift, whichever they were trained with
        return TemporalShift(direction="none")
    found, _ = checkpoints.shift_of(asked.subject, model, asked.averaged, asked.shift)
    shift = replace(
        found,
        proportion=found.proportion if asked.shift_share is None else asked.shift_share,
        place=asked.shift_place or found.place,
        padding=asked.shift_padding or found.padding,
    )
    if shift != found and read_meta(asked.subject) is not None:
        raise UsageError(
            f"'{asked.subject}' was trained with another shift.",
            found=f"proportion {shift.proportion:g}, place {shift.place}, padding {shift.padding}",
            allowed=f"proportion {found.proportion:g}, place {found.place}, padding {found.padding}",
            hint="leave these options out",
        )
    return shift


def _clips(asked: EvalRequest, cache: Path, model: Trainable | Subject) -> Store:
    store = opened(asked.data, cache, model, videos=asked.videos, least=asked.least)
    check_labels(
        store, model.labels, "compile the ONNX file with --labels" if isinstance(model, Subject) else None
    )
    return spread(store, asked.clips)
