"""Write the tables of the documentation that are made of data: measured figures, facts of targets, errors.

    python docs/tables.py            rewrite what stands between the marks
    python docs/tables.py --check    exit with 1 when that would change something

A table stands between ``<!-- table: NAME -->`` and ``<!-- end of table -->``. tests/docs checks that all are current.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from tsm_edge import bundle, cli, errors, target
from tsm_edge.demo import events
from tsm_edge.demo.sinks.outbox import Counts

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "benchmarks"), str(ROOT / "docs")]

import _footage  # noqa: E402  (their folders have just been added)
import house_boards  # noqa: E402
import house_family  # noqa: E402
import house_tables  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
PAGE_NAMES = ("boards", "commands", "design", "errors", "events", "family", "gestures", "int8", "kernels", "precision")
PAGES = (ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in PAGE_NAMES))
HELP_WIDTH = 100  # characters of a line of docs/commands.md
PEERS = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "ncnn": "ncnn"}
ARM_PEERS = {**PEERS, "litert": "LiteRT"}
MARK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def result(name: str) -> Any:
    """One document of benchmarks/results."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def milliseconds(value: float) -> str:
    """Three significant digits."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def title(entry: dict[str, Any]) -> str:
    """The model and what differs from its defaults."""
    changed = [
        f"{name} {entry['parameters'][name]}"
        for name, default in (("width", 1.0), ("size", 224))
        if entry["parameters"].get(name, default) != default
    ]
    return ", ".join([f"`{entry['model']}`", *changed])


def timings(full_size_only: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of step_time.json with the title of their model."""
    for entry in result("step_time")["models"]:
        name = title(entry)
        if not full_size_only or "," not in name:
            for row in entry["rows"]:
                yield name, row


def speed() -> str:
    """Milliseconds a frame of the full-size networks, beside the best peer's."""
    rows = []
    for name, row in timings(full_size_only=True):
        peer = row["best_peer"]
        ours, theirs = (milliseconds(row["median_ms"][key]) for key in ("tsm-edge", peer))
        ratio = f"{row['tsm_edge_over_best_peer']:.2f}"
        rows.append((name, str(row["threads"]), f"**{ours}**", f"{theirs} ({PEERS[peer]})", ratio))
    return table(("model", "threads", "tsm-edge, ms", "best peer, ms", "ratio"), rows)


def all_speeds() -> str:
    """Milliseconds a frame of every network and runtime."""
    rows = []
    for name, row in timings(full_size_only=False):
        times = [milliseconds(row["median_ms"][key]) for key in PEERS]
        ours = f"**{milliseconds(row['median_ms']['tsm-edge'])}**"
        rows.append((name, str(row["threads"]), ours, *times, f"{row['tsm_edge_over_best_peer']:.2f}"))
    return table(("model", "threads", "tsm-edge", *PEERS.values(), "tsm-edge / best peer"), rows)


def figures() -> str:
    """What else was measured, one row each."""
    steps, arm = result("step_time")["models"], result("arm_instructions")
    one = next(entry for entry in steps if title(entry) == "`tsm-mobilenetv2`")
    memory = one["rows"][0]["memory"]
    floor = arm["multiply_add_floor_per_frame"] / 1e6
    rows = [
        (
            f"`{entry['model']}` with its shifts / without them, on 1 and on 2 threads",
            " and ".join(f"{row['tsm_over_tsn_of_spells']:.3f}" for row in entry["rows"]),
            "`benchmarks/shift_cost.py`",
        )
        for entry in result("shift_cost")["models"]
    ]
    speedup = next(row for row in result("table")["rows"] if "speed-up" in row["figure"])
    rows += [
        (
            "`tsm-mobilenetv2`: speed-up by a second thread",
            f"{speedup['measured']:.2f}",
            "`benchmarks/step_time.py`",
        ),
        (
            "`tsm-mobilenetv2` for a Cortex-A72: instructions a frame, counted under qemu",
            f"{arm['instructions_per_frame'] / 1e6:.1f} M; ncnn {arm['ncnn_instructions_per_frame'] / 1e6:.1f} M; "
            f"multiply-adds alone {floor:.1f} M",
            "`benchmarks/arm_instructions.py`",
        ),
        ("its bundle", f"{one['bundle_bytes'] / 2**20:.1f} MiB", "`benchmarks/step_time.py`"),
        (
            "its native command: peak memory, and what of it is neither weights nor a stream's",
            f"{memory['peak_rss_mib']:.1f} MiB, {memory['overhead_mib']:.1f} MiB",
            "`benchmarks/step_time.py`",
        ),
        (
            "largest difference of its scores from the peers', relative",
            f"{max(check['worst_relative'] for row in one['rows'] for check in row['checked']):.0e}",
            "`benchmarks/step_time.py`",
        ),
    ]
    return table(("", "measured", "by"), rows)


def arm_counts() -> str:
    """Instructions of a frame on ARM cores, ours and the best peer's in the same precision."""
    rows = []
    for row in result("arm_precision")["ratios"]:
        ours, theirs = ("not counted" if row[key] is None else f"{row[key] / 1e6:.1f}" for key in ("tsm_edge", "peer"))
        found = "" if row["ratio"] is None else f"{row['ratio']:.3f}"
        ratio = f"**{found}**" if row["met"] else f"{found}, missed" if found else ""
        peer = f"{theirs} ({ARM_PEERS[row['best_peer']]})" if row["best_peer"] else theirs
        core = {"a72": "Cortex-A72", "a76": "Cortex-A76"}.get(row["core"], row["core"])
        bounds = [f"{row[key]:.2f}" for key in ("must", "aim")]
        rows.append((f"`{row['model']}`", core, row["precision"], ours, peer, ratio, *bounds))
    return table(("network", "core", "precision", "tsm-edge, M", "best peer, M", "ratio", "must", "aim"), rows)


def bytes_on_x86() -> str:
    """A step in 8 bits on x86 beside our float32 and the peers in 8 bits."""
    rows = []
    for row in result("x86_int8")["rows"]:
        for runner, median in row["median_ms"].items():
            over = "" if runner == "tsm-edge int8" else f"{row['int8_over'][runner]:.2f}"
            name = runner.rpartition(" ")[0]
            words = (PEERS.get(name, name), runner.rpartition(" ")[2])
            rows.append((f"`{row['model']}`", str(row["threads"]), *words, milliseconds(median), over))
    return table(("network", "threads", "runtime", "precision", "ms", "ours in int8 over it"), rows)


def accuracies() -> str:
    """What rounding costs the shipped network on rendered clips, in each precision."""
    half, whole = result("half_accuracy"), result("quantised_accuracy")
    taken = next(one for one in whole["methods"] if one["chosen"])
    rows = []
    for model, precision, one in ((half["model"], "fp16", half), (whole["model"], "int8", taken)):
        top1 = f"{100 * one['top1_float32']:.1f} %, {100 * one['top1']:.1f} %"
        worst = one["worst_class"]
        lost = f"{100 * worst['lost']:.1f} points" if worst["lost"] > 0 else "nothing"
        equal, off = f"{100 * one['frames_equal']:.2f} %", f"{100 * one['largest_difference']:.1f} %"
        clips = f"{one['clips']}, {one['frames']}"
        rows.append((f"`{model}`", precision, clips, top1, lost, equal, off, "yes" if one["ok"] else "no"))
    header = ("network", "precision", "clips, frames", "top-1 in float32, rounded", "most lost of a class")
    return table((*header, "same answer", "largest difference", "within bounds"), rows)


def targets() -> str:
    """Every target with its device, by family."""
    rows = []
    for family, kind in (("cpu", "processor"), ("cuda", "NVIDIA GPU"), ("opencl", "GPU with OpenCL")):
        known = {name: target.load(name) for name in target.names() if name != "local"}
        rows += [(f"`{n}`", kind, t.summary) for n, t in sorted(known.items()) if t.family == family]
    return table(("target", "runs on", "device"), [("`local`", "processor", "this machine, detected"), *rows])


def error_kinds() -> str:
    """Every class of errors, by identifier."""
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.EdgeError)
    ]
    rows = [
        (f"`{kind.identifier}`", str(kind.exit_code), first_line(kind), kind.cure)
        for kind in sorted(kinds, key=lambda kind: kind.identifier)
        if kind not in (errors.EdgeError, errors.BundleError)
    ]
    return table(("identifier", "exit code", "cause", "cure"), rows)


def first_line(thing: Any) -> str:
    """The first line of a docstring."""
    return str(thing.__doc__).partition("\n")[0]


def refusals() -> str:
    """Every rule that a bundle can break, in the order in which they are checked."""
    rules = re.findall(
        r"^\d+\.\s+``(\S+)``\s+(.*?)(?=^\d+\.|^\n)", str(bundle.__doc__), re.MULTILINE | re.DOTALL
    )
    rows = []
    for name, text in rules:
        code = errors.BundleError("", name=name).exit_code
        rows.append((f"`{name}`", str(code), " ".join(text.split()).replace("``", "`"), errors.CURES[name]))
    return table(("identifier", "exit code", "cause", "cure"), rows)


def commands() -> str:
    """What every verb prints with --help, and every verb of a verb."""
    group = click.Context(cli.cli, info_name="tsm-edge", **cli.cli.context_settings)
    parts = []
    for name in cli.VERBS:
        verb = cli.cli.get_command(group, name)
        assert verb is not None
        context = click.Context(verb, info_name=name, parent=group, terminal_width=HELP_WIDTH)
        texts = [verb.get_help(context)]
        for inner_name, inner in getattr(verb, "commands", {}).items():
            below = click.Context(inner, info_name=inner_name, parent=context, terminal_width=HELP_WIDTH)
            texts.append(inner.get_help(below))
        parts += [f"## {name}\n", *(f"```text\n{text}\n```\n" for text in texts)]
    return "\n".join(parts)


def people() -> str:
    """What the shipped model of gestures is held to."""
    rows = []
    for row in result("people")["rows"]:
        value, must, aim = (shown(row["figure"], row[key]) for key in ("measured", "must", "aim"))
        rows.append((row["figure"], f"**{value}**" if row["met"] else f"{value}, missed", must, aim, row["note"]))
    return table(("", "measured", "must", "aim", ""), rows)


def footage() -> str:
    """The recorded video on which false alarms are counted: packages, and what was announced in each."""
    found = result("people")["documents"]["footage"]["views"]
    rows = []
    for package in _footage.PACKAGES:
        views = [row for row in found if row["video"].startswith(f"{package.name}/")]
        once = {row["video"]: row["seconds"] for row in reversed(views)}
        alarms = sum(sum(row["false_alarms"].values()) for row in views)
        name = f"{package.kind}: `{package.name}` {package.version}"
        rows.append((name, package.shows, package.licence, f"{sum(once.values()) / 60:.1f}", str(alarms)))
    return table(("package", "shows", "licence", "minutes", "false alarms in three views"), rows)


def classes() -> str:
    """How often each class is recognised, and each gesture announced."""
    found = result("people")["documents"]["people"]
    recall, announced = next(iter(found["forms"].values()))["recall"], found["takes"]["by_class"]
    rows = []
    for label, share in recall.items():
        said = announced.get(label)
        parts = [f"{said[key] / said['gestures']:.0%}" for key in ("announced", "as_another")] if said else ["", ""]
        rows.append((label, f"{share:.0%}", *parts))
    return table(("class", "recognised", "announced", "announced as another"), rows)


def record() -> str:
    """The fields of the record of an event."""
    return table(
        ("field", "type", ""), [(f"`{field.name}`", field.type, field.meaning) for field in events.RECORD]
    )


def example() -> str:
    """A record as a consumer gets it."""
    event = events.Event(
        7, "Swiping Left", 0.9512, 3.0833, 37, id="5f0c1b7a92d4-3", at=1764417600.25,
        source="camera 0", model="gestures",
    )
    return f"```json\n{json.dumps(event.record())}\n```\n"


def metrics() -> str:
    """What /metrics counts."""
    from prometheus_client.parser import text_string_to_metric_families as families

    from tsm_edge.demo.sinks.metrics import Metrics

    counts = Metrics(lambda: {"webhook": Counts()})
    counts.info(model="m", target="t")
    counts.of("camera 0")
    counts.event(events.Event(7, "Swiping Left", 0.9512, 3.0833, 37))
    rows = []
    for family in families(counts.text().decode()):
        if not family.name.endswith("_created"):
            labels = {name for sample in family.samples for name in sample.labels} - {"le"}
            total = "_total" if family.type == "counter" else ""
            rows.append((f"`{family.name}{total}`", family.type, ", ".join(sorted(labels)), family.documentation))
    return table(("metric", "type", "labels", ""), sorted(rows))


def shown(figure: str, value: float | None) -> str:
    """A figure of people.json: shares in percent, the rest as they are."""
    if value is None:
        return ""
    plain = any(word in figure for word in ("minute", "seconds", "MMAC", "MB"))
    return f"{value:.3g}" if plain else f"{value:.1%}"


def family() -> str:
    """The family of clip networks: own counts beside the papers'."""
    return table(house_family.HEADER, house_family.rows())


def family_times() -> str:
    """A clip of each network beside ONNX Runtime."""
    return table(house_family.TIMES, house_family.times(result("family")["models"]))


def kernels() -> str:
    """The schedules of both families."""
    header, *rows = house_tables.kernels()
    return table(header, rows)


def boards(model: str) -> str:
    """Modelled frames on every board."""
    return table(house_boards.HEADER, house_boards.boards(result("boards")["boards"], model))


def model_errors() -> str:
    """The latency model against this machine."""
    return table(house_boards.ERRORS, house_boards.errors(result("latency_model")["runs"]))


def model_errors_in_8_bits() -> str:
    """The latency model against layers in 8 bits."""
    return table(house_boards.LAYERS, house_boards.layers_in_8_bits(result("latency_int8")["runs"]))


TABLES: dict[str, Callable[[], str]] = {
    "record": record,
    "example": example,
    "metrics": metrics,
    "people": people,
    "footage": footage,
    "classes": classes,
    "speed": speed,
    "all-speeds": all_speeds,
    "figures": figures,
    "accuracies": accuracies,
    "bytes-on-x86": bytes_on_x86,
    "arm-counts": arm_counts,
    "boards-mobilenetv2": lambda: boards("tsm-mobilenetv2"),
    "boards-resnet50": lambda: boards("tsm-resnet50"),
    "boards-resnet18": lambda: boards("tsm-resnet18"),
    "model-errors": model_errors,
    "model-errors-int8": model_errors_in_8_bits,
    "targets": targets,
    "commands": commands,
    "errors": error_kinds,
    "refusals": refusals,
    "floors": house_tables.floors,
    "kernels": kernels,
    "family": family,
    "family-times": family_times,
}


def rewritten(text: str) -> str:
    """The page with all its tables made anew."""
    return MARK.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


def main() -> None:
    """Rewrite the pages, or check them."""
    stale = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        new = rewritten(text)
        if new != text:
            stale.append(str(page.relative_to(ROOT)))
            if "--check" not in sys.argv:
                page.write_text(new, encoding="utf-8")
    if "--check" in sys.argv and stale:
        sys.exit(f"not current: {', '.join(stale)}; python docs/tables.py rewrites them")


if __name__ == "__main__":
    main()
