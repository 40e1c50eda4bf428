"""What `tsm-edge bench` reports: one JSON document, or tables for people. Every figure has its unit in its key."""

from __future__ import annotations

from dataclasses import asdict

from .. import report
from ..terminal import say
from .accuracy import Clips
from .agreement import Agreement
from .ceiling import Ceiling
from .figures import ratio
from .per_op import NOT_COMPUTED, OpTime
from .session import Results
from .turns import Entry

_DIGITS = 4


class Fixed(float):
    """A number that prints with a fixed number of decimals, so that columns stand under each other."""

    def __str__(self) -> str:
        return f"{float(self):.3f}"


def document(results: Results) -> dict[str, object]:
    """Return the report as data."""
    model = results.manifest.model
    outcome, ours = results.outcome, results.entries[0]
    return {
        "bundle": str(results.bundle),
        "model": {"name": model.name, "parameters": model.parameters, "weights": model.weights.source},
        "target": results.manifest.target.name,
        "precision": results.manifest.precision,
        "threads": results.threads,
        "machine": results.machine,
        "method": {
            **asdict(results.rule),
            "pause_ms": results.turn.pause_secs * 1e3,
            "untimed_steps_a_turn": results.turn.untimed,
            "timed_steps_a_turn": results.turn.timed,
            "rounds": outcome.rounds,
            "seconds": round(outcome.seconds, 2),
            "ended_by": outcome.ended_by,
        },
        **({"data": _data(results.clips)} if results.clips else {}),
        "runners": [_runner(entry, ours) for entry in results.timed],
        "checked": [_checked(entry.agreement) for entry in results.entries if entry.agreement],
        **({"ceiling": _rounded(asdict(results.ceiling))} if results.ceiling else {}),
        **({"ops": _ops(results)} if results.ops else {}),
    }


def threads(count: int) -> str:
    """Return "1 thread", "2 threads"."""
    return f"{count} thread{'s' if count > 1 else ''}"


def show(results: Results, *, per_op: bool) -> None:
    """Print the report for people."""
    model, target = results.manifest.model, results.manifest.target
    say(f"{model.name} for {target.name}, {threads(results.threads)}, {results.manifest.precision}")
    clip = results.manifest.signature.clip_frames
    frames = f" over {clip} frames" if clip > 1 else ""
    count, seconds = results.timed[0].figures.runs, results.outcome.seconds
    say(f"{count} steps{frames} of each in {seconds:.1f} s; {_agreement(results)}")
    if results.outcome.ended_by == "max-secs":
        say(f"stopped by --max-secs {results.rule.max_secs:g} before --min-runs and --min-secs were reached")
    say()
    report.print_table(*_table(results))
    for entry in results.timed:
        if entry.runner.why:
            say(f"{entry.runner.name} in {entry.runner.precision}: {entry.runner.why}")
    if results.clips:
        say(f"top-1 of {len(results.clips.store)} clips of {_classes(results.clips)}, each from zero states")
    if per_op:
        _show_ops(results)
    say()


def _table(results: Results) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Header and rows, one for a runtime."""
    header: tuple[str, ...] = ("ms a step", "precision")
    header += ("median", "p5", "p95", "min", "std dev", "open", "first", "warm")
    rows = [_row(entry) for entry in results.timed]
    if len(rows) > 1:
        header = (*header, "tsm-edge/this")
        rows = [(*row, Fixed(_ratio(results.entries[0], entry))) for row, entry in zip(rows, results.timed)]
    if results.clips:
        header = (*header, "top-1 %")
        rows = [(*row, f"{100 * (entry.top1 or 0.0):.1f}") for row, entry in zip(rows, results.timed)]
    return header, rows


def _classes(clips: Clips) -> str:
    """Return "12 classes", or "3 of 12 classes" where the clips show no more."""
    return f"{clips.classes if clips.shown == clips.classes else f'{clips.shown} of {clips.classes}'} classes"


def _data(clips: Clips) -> dict[str, object]:
    return {
        "clips": len(clips.store),
        "classes": clips.classes,
        "classes_shown": clips.shown,
        "labels": list(clips.store.labels),
    }


def _runner(entry: Entry, ours: Entry) -> dict[str, object]:
    figures = {key: round(value, _DIGITS) for key, value in asdict(entry.figures).items()}
    document = {
        "name": entry.runner.name,
        "version": entry.runner.version,
        "settings": entry.runner.settings,
        "precision": entry.runner.precision,
        **figures,
        "open_ms": round(entry.open_ns / 1e6, _DIGITS),
        "first_ms": round(entry.first_ns / 1e6, _DIGITS),
        "warm_ms": round(_warm_ms(entry), _DIGITS),
    }
    if entry.runner.why:
        document["why_not_the_bundles_precision"] = entry.runner.why
    if entry.top1 is not None:
        document["top1"] = round(entry.top1, _DIGITS)
    if entry is not ours:
        document["tsm_edge_over_this_ratio"] = round(_ratio(ours, entry), _DIGITS)
    return document


def _row(entry: Entry) -> tuple[object, ...]:
    f = entry.figures
    values = [f.median_ms, f.p5_ms, f.p95_ms, f.min_ms, f.stddev_ms]
    values += [entry.open_ns / 1e6, entry.first_ns / 1e6, _warm_ms(entry)]
    return (f"{entry.runner.name} {entry.runner.version}", entry.runner.precision, *map(Fixed, values))


def _warm_ms(entry: Entry) -> float:
    return sum(entry.warm_ns) / len(entry.warm_ns) / 1e6


def _ratio(ours: Entry, theirs: Entry) -> float:
    return ratio(ours.figures.median_ms, theirs.figures.median_ms)


def _checked(agreement: Agreement) -> dict[str, object]:
    return {
        "name": agreement.name,
        "reference": agreement.reference,
        "tolerance_relative": agreement.tolerance,
        "worst_relative": agreement.worst,
        "relative_to": "root mean square" if agreement.rms else "largest value",
        "steps": agreement.compared,
    }


def _agreement(results: Results) -> str:
    found = [entry.agreement for entry in results.entries if entry.agreement]
    what = "the scores of every step and the states of every turn"
    if all(agreement.tolerance == 0 for agreement in found):
        return f"{what} equal those of {found[0].name}"
    return f"{what} agree within {max(agreement.worst for agreement in found):.1e}"


def _ops(results: Results) -> list[dict[str, object]]:
    total = sum(op.ns for op in results.ops)
    return [
        {
            "kernel": op.kernel,
            "layer": op.layer,
            "schedule": op.schedule,
            "median_ms": round(op.ns / 1e6, 5),
            "share_percent": round(100 * op.ns / total, 2),
            "macs": op.macs,
            "bytes": op.bytes,
            "gflop_per_s": round(op.gflop_per_s, 2),
            "gb_per_s": round(op.gb_per_s, 2),
            "peak_percent": round(_peak_percent(op, results.ceiling), 1),
        }
        for op in results.ops
    ]


def _show_ops(results: Results) -> None:
    total = sum(op.ns for op in results.ops)
    say()
    rows = [
        (
            op.kernel,
            op.layer,
            op.schedule,
            Fixed(op.ns / 1e6),
            round(100 * op.ns / total, 1),
            round(op.gflop_per_s, 1),
            round(_peak_percent(op, results.ceiling)),
        )
        for op in results.ops
    ]
    report.print_table(("kernel", "layer", "schedule", "ms", "share %", "GFLOP/s", "% of peak"), rows)
    say(f"sum of the operations: {total / 1e6:.3f} ms, with the clock of each one running")
    if results.ceiling:
        say(
            f"peak: {results.ceiling.gflop_per_s:.1f} GFLOP/s, {results.ceiling.gb_per_s:.1f} GB/s "
            f"with {threads(results.ceiling.threads)}; {results.ceiling.method}"
        )
        if any(op.gflop_per_s > results.ceiling.gflop_per_s for op in results.ops):
            say(f"above 100 % of peak: {NOT_COMPUTED}")


def _peak_percent(op: OpTime, ceiling: Ceiling | None) -> float:
    return 100 * op.gflop_per_s / ceiling.gflop_per_s if ceiling else 0.0


def _rounded(values: dict[str, object]) -> dict[str, object]:
    return {key: round(value, 2) if isinstance(value, float) else value for key, value in values.items()}
