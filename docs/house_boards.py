"""The tables of modelled figures: a frame on every board, the model's error, and how busy inner loops are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PRECISIONS = ("fp32", "fp16", "int8")
HEADER = ("target", *(f"{precision}, 1 / 4 threads" for precision in PRECISIONS), "published by others")
ERRORS = ("network", "precision", "threads", "measured, ms", "modelled, ms", "error", "of a layer, median")

LAYERS = ("network", "layers, measured, ms", "modelled, ms", "error of the sum", "of a layer, median")


def boards(rows: Sequence[dict[str, Any]], model: str) -> list[tuple[str, ...]]:
    """Modelled milliseconds of a frame of a model on every board, beside what others published."""
    found = [row for row in rows if row["model"] == model]
    return [
        (
            f"`{name}`",
            *(times([row for row in found if (row["target"], row["precision"]) == (name, p)]) for p in PRECISIONS),
            published([row for row in found if row["target"] == name]),
        )
        for name in dict.fromkeys(row["target"] for row in found)
    ]


def times(rows: Sequence[dict[str, Any]]) -> str:
    """One and four threads of a board in a precision, and what bounds them; nothing where it has not that precision."""
    for row in rows:
        bound = ", memory" if row["bound"] == "memory" else ""
        return f"{short(row['modelled_ms_1_thread'])} / **{short(row['modelled_ms_4_threads'])}**{bound}"
    return ""


def published(rows: Sequence[dict[str, Any]]) -> str:
    """Runtime, precision and milliseconds."""
    said = [f"{who} {row['precision']} {short(ms)}" for row in rows for who, ms in row["published_ms"]]
    return ", ".join(said)


def errors(runs: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The model against measured frames and layers."""
    return [
        (
            f"`{run['model']}`",
            run.get("precision", "fp32"),
            str(run["threads"]),
            short(run["frame_measured_ms"]),
            short(run["frame_modelled_ms"]),
            f"{run['frame_error_percent']:+.1f} %",
            f"{run['layer_error_percent_median']:.1f} %",
        )
        for run in runs
    ]


def layers_in_8_bits(runs: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The model against the sum of the profiled layers, in 8 bits on one thread."""
    found = []
    for run in runs:
        if (run["precision"], run["threads"]) == ("int8", 1):
            measured, modelled = (sum(layer[key] for layer in run["layers"]) for key in ("measured_ms", "modelled_ms"))
            error, median = f"{100 * (modelled / measured - 1):+.1f} %", f"{run['layer_error_percent_median']:.1f} %"
            found.append((f"`{run['model']}`", short(measured), short(modelled), error, median))
    return found


def short(value: float) -> str:
    """Milliseconds in two or three digits."""
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"
