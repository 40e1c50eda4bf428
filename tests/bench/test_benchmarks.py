"""The programs in benchmarks/: what can be known without measuring."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from tsm_edge import models, target
from tsm_edge.errors import UsageError, VerificationError
from tsm_edge.processes import cc
from tsm_edge.smoothing import Smoother

NAMES = [
    "ablations",
    "arm_instructions",
    "arm_precision",
    "false_alarms",
    "family",
    "family_accuracy",
    "gpu_step",
    "half_accuracy",
    "kernel_choices",
    "latency_model",
    "mca",
    "page_viewers",
    "people",
    "ptx_kernels",
    "quantised_accuracy",
    "shift_copies",
    "shift_cost",
    "sinks",
    "step_time",
    "table",
    "taught",
    "x86_int8",
]


@pytest.fixture
def program(repository, monkeypatch):
    """Return program(name): the benchmark as a module."""
    folder = repository / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))

    def load(name):
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", folder / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)  # where dataclasses look for their module
        spec.loader.exec_module(module)
        return module

    yield load
    helpers = ("_common", "_arm_goals", "_footage", "_processors", "_speedup", "_intervals")
    for helper in (*helpers, "arm_instructions", "table"):
        sys.modules.pop(helper, None)


def test_the_list_is_complete(repository):
    assert sorted(path.stem for path in (repository / "benchmarks").glob("[a-z]*.py")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_takes_json_and_output(repository, name):
    command = [sys.executable, repository / "benchmarks" / f"{name}.py", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--json" in done.stdout and "--output FILE" in done.stdout


def test_the_copies_of_a_shift_are_a_share_of_what_its_blocks_read(program):
    """A state of the online form is an eighth of a block's input; a window reads that of each of its frames."""
    module = program("shift_copies")
    shifted = {form: pair[0] for form, pair in module.forms(models.load("tsm-mobilenetv2")).items()}
    assert module.read(shifted["stream"]) == module.read(shifted["lagged"]) == 8 * 27_048
    assert module.read(shifted["clip"]) == module.WINDOW.frames * 8 * 27_048
    plain = [pair[1] for pair in module.forms(models.load("tsm-mobilenetv2")).values()]
    assert all(model.shift.direction == "none" for model in plain)


def test_every_kernel_choice_is_a_fact_that_can_be_denied(program, tmp_path, monkeypatch):
    module, compiled = program("kernel_choices"), []
    monkeypatch.setattr(
        module.pipeline, "compile", lambda *_: compiled.append(module.cpu.machine(target.load("x86-64")))
    )
    honest = module.cpu.machine(target.load("x86-64"))
    for fact, _ in module.CHOICES.values():
        module.compiled(tmp_path / fact, "tsm-mobilenetv2", fact)
        assert replace(honest, **{fact: False}) == compiled.pop()
    module.compiled(tmp_path / "all", "tsm-mobilenetv2")
    assert compiled == [honest] == [module.cpu.machine(target.load("x86-64"))]


@pytest.mark.parametrize("name", models.names())
def test_a_network_without_its_shifts(program, name):
    tsm = models.load(name, size=64)
    tsn = program("shift_cost").without_shift(tsm)
    assert tsm.signature.states and not tsn.signature.states
    assert tsn.name == name.replace("tsm-", "tsn-")
    assert (tsn.macs, tsn.parameters_count) == (tsm.macs, tsm.parameters_count)


def test_without_an_emulator_the_count_is_skipped_and_says_so(program, monkeypatch, tmp_path, capsys):
    module = program("arm_instructions")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(
        sys, "argv", ["arm_instructions.py", "--json", "--output", str(tmp_path / "out.json")]
    )
    options = module._common.parser("").parse_args(["--json", "--output", str(tmp_path / "out.json")])
    options.target, options.model = module.TARGET, module.MODEL
    module._common.main(options, module.measure, module.show)
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((tmp_path / "out.json").read_text())
    assert document["benchmark"] == "arm_instructions"
    assert "apt install qemu-user" in document["skipped"]
    assert "instructions_per_frame" not in document


def test_the_plugin_counts(program, tmp_path):
    module = program("arm_instructions")
    device = target.load(module.TARGET)
    missing = module.what_is_missing(device)
    if missing:
        pytest.skip(missing)
    program_c = tmp_path / "loop.c"
    program_c.write_text(
        "int main(int argc, char **argv) { (void)argv; volatile int n = 0;"
        " for (int i = 0; i < argc * 1000; i++) n = n + 1; return 0; }"
    )
    pytest.importorskip("ziglang")
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl", "-O1", str(program_c)]
    subprocess.run([*zig, "-o", str(tmp_path / "loop")], check=True, capture_output=True)
    plugin = str(module.plugin(device, tmp_path))

    def count(*arguments):
        command = [device.emulator.program, "-plugin", plugin, str(tmp_path / "loop"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stderr.split("guest-instructions")[1])

    more = count("x") - count()  # one more argument: a thousand more turns of a loop of a few instructions
    assert 3000 <= more <= 8000
    assert more == pytest.approx(count("x", "y") - count("x"), rel=0.05)


def test_arm_counts_are_judged_against_the_best_peer_of_the_same_precision(program):
    goals = program("arm_precision")._arm_goals
    (goal,) = goals.chosen(["tsm-mobilenetv2"], ["a76"], ["int8"])
    row = {"model": goal.model, "core": goal.core, "precision": goal.precision}
    rows = [
        {**row, "runtime": "tsm-edge", "instructions_per_frame": 84},
        {**row, "runtime": "ncnn", "instructions_per_frame": 150},
        {**row, "runtime": "litert", "instructions_per_frame": 100},
        {**row, "runtime": "onnxruntime", "not_counted": "crashed"},
        {**row, "precision": "fp16", "runtime": "ncnn", "instructions_per_frame": 50},
    ]
    (found,) = goals.judged([goal], rows)
    assert (found["best_peer"], found["ratio"], found["met"]) == ("litert", 0.84, True)
    assert goals.judged([replace(goal, must=0.83)], rows)[0]["met"] is False
    for one in (rows[:1], rows[1:]):
        (found,) = goals.judged([goal], one)
        assert found["ratio"] is None and found["met"] is None


def test_false_alarms_are_changes_to_a_gesture(program, monkeypatch, tmp_path):
    """A made-up model that answers by the brightness of a frame; a video that is dark, bright and dark again."""
    module = program("false_alarms")
    video = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 12, (64, 48))
    for at in range(72):
        video.write(np.full((48, 64, 3), 200 if 24 <= at < 48 else 20, np.uint8))
    video.release()

    def step(image):
        assert image.shape == (48, 48, 3)
        return np.array([0.0, 9.0, 0.0] if image.mean() < 99 else [0.0, 0.0, 9.0])

    labels = ("Doing other things", "No gesture", "Swiping Left")
    stream = SimpleNamespace(step=step, close=lambda: None)
    model = SimpleNamespace(stream=lambda: stream, smoother=lambda: Smoother(labels=labels))
    seconds, alarms = module.watch(model, tmp_path / "v.avi", "left", False, 12.0, 10**6)
    assert seconds == pytest.approx(71 / 12) and alarms == {"Swiping Left": 1}
    seconds, alarms = module.watch(model, tmp_path / "v.avi", "left", True, 12.0, 1.5)
    assert seconds == pytest.approx(1.5, abs=0.1) and not alarms
    views = list(module.passes([tmp_path / "v.avi"]))
    assert len(views) == len(set(views)) == 6
    assert list(module.passes([tmp_path / "v.avi"], again=False)) == views[:3]
    wide = np.arange(8)[None, :, None] * np.ones((4, 1, 3), int)
    assert [module.square(wide, view)[0, 0, 0] for view in module.VIEWS] == [0, 2, 4]
    assert [module.square(wide.swapaxes(0, 1), view)[0, 0, 0] for view in module.VIEWS] == [0, 2, 4]


def test_footage_is_named_by_its_packages(program, tmp_path):
    footage = program("false_alarms")._footage
    with pytest.raises(UsageError, match="--fetch"):
        footage.found(tmp_path)
    places = [place for package in footage.PACKAGES for place in package.places]
    assert len(places) == len(set(places))
    for place in places:
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    assert len(footage.found(tmp_path)) == len(places)
    assert all(package.licence and package.version for package in footage.PACKAGES)


def test_figures_of_people_are_held_against_their_bounds(program, tmp_path):
    """Documents as `eval` and the other benchmarks print them, made up."""
    module = program("people")
    takes = {
        "decision": {"window": 3, "agree": 2, "threshold": 0.7}, "announced": 0.9, "announced_as_another": 0.05,
        "false_alarms": 1, "quiet_minutes": 2.0, "median_delay_s": 0.3,
    }  # fmt: skip
    form = {"top1": 0.96, "recall": {"Swiping Left": 0.74, "No gesture": 1.0}}
    people = {"clips": 22, "forms": {"online": form}, "takes": takes}
    rows = {row["figure"]: row for row in module.people_rows(people)}
    assert [row["met"] for row in rows.values()] == [True, False, True, False, True]
    assert rows["the class of them that is recognised least"]["note"] == "Swiping Left"
    silent = {**people, "takes": {**takes, "median_delay_s": None}}
    assert len(list(module.people_rows(silent))) == 4, "where nothing is announced nothing is late"
    (found,) = module.tsn_rows({"trained": False, "forms": {"clip": {"top1": 0.4}}})
    assert not found["met"] and found["aim"] is None
    cost = list(module.cost_rows(module.cost(SimpleNamespace(weights=models.shipped_file("gestures")))))
    assert [row["met"] for row in cost] == [True, True]


def test_figures_of_other_weights_are_not_taken_again(program, tmp_path, monkeypatch):
    module, runs = program("people"), []
    monkeypatch.setitem(module.FIGURES, "cost", (lambda options: runs.append(1) or {"macs": 1}, None))
    options = SimpleNamespace(data=tmp_path, reuse=True)
    assert module.document("cost", "a", options) == module.document("cost", "a", options) == {"macs": 1}
    assert len(runs) == 1
    module.document("cost", "b", options)
    assert len(runs) == 2


def test_what_is_taught_and_what_is_measured_share_no_clip(program):
    module = program("taught")
    plans = module.plans(4)
    assert {len(shown) for shown in plans.values()} == {4 * 6}
    sittings = {name: {(s.session.body, s.session.number) for s in shown} for name, shown in plans.items()}
    assert sittings["taught"] == {(module.BODY, 0)}
    assert all(body == module.BODY and number for body, number in sittings["same_person"])
    assert module.BODY not in {body for body, _ in sittings["other_people"]}


def test_a_paired_ratio_does_not_see_that_a_minute_was_slow(program):
    """A runner that takes 1.1 of the other's time, in 40 turns of 5; most of one's turns fall into a slow minute."""
    module = program("shift_cost")
    rng = np.random.default_rng(0)
    slow = np.where(np.arange(40) < 21, 1.5, 1.0)[:, None]
    times = [
        (scale * slow * rng.uniform(1.0, 1.01, (40, 5)) * 1e6).astype(int).ravel() for scale in (1.1, 1.0)
    ]
    one, other = (module.Entry(None, times_ns=list(turns)) for turns in times)
    assert np.median(module._common.paired(one, other)) == pytest.approx(1.1, abs=0.005)
    other.times_ns[5 * 20 : 5 * 21] = [1_000_000] * 5  # the medians of all steps now tell another story
    assert abs(one.figures.median_ms / other.figures.median_ms - 1.1) > 0.05
    assert np.median(module._common.paired(one, other)) == pytest.approx(1.1, abs=0.005)


def test_the_speed_up_is_of_two_cores_that_share_a_cache(program):
    """Made-up intervals: those that begin or end on one core, or on cores without a common cache, are left out."""
    speedup = program("step_time")._speedup
    intervals = speedup._intervals
    good, far, crowded = intervals.Pair(50.0, 1.0), intervals.Pair(350.0, 1.01), intervals.Pair(62.0, 1.99)

    def figures(*rows):
        return speedup.summary([intervals.Interval(np.full(4, ratio), *pairs) for ratio, *pairs in rows])

    found = figures(
        (1.8, good, good), (1.5, good, far), (1.2, far, far), (1.0, crowded, crowded), (1.9, good, good)
    )
    rounds = found["two_thread_speedup_of_rounds"]
    assert found["two_thread_speedup"] == 1.85
    assert (rounds["rounds"], rounds["good"], rounds["of_all"]) == (20, 8, 1.5)
    assert figures((1.8, None, None), (1.2, None, None))["two_thread_speedup"] == 1.5
    never = figures((1.2, crowded, crowded), (1.0, crowded, crowded))
    assert (never["two_thread_speedup"], never["two_thread_speedup_of_rounds"]["good"]) == (1.1, 0)
    assert figures((1.4, far, far))["two_thread_speedup_of_rounds"]["good"] == 0


def test_a_speed_up_of_no_two_cores_is_measured_again(program, monkeypatch, tmp_path):
    """At the end, when the processors may be elsewhere; one that is of two cores stays."""
    module = program("step_time")
    again, counts = [], {"one": 0, "two": 8}

    def first(text, bundle, options):
        return {"two_thread_speedup": 1.4, "two_thread_speedup_of_rounds": {"good": counts[text]}}

    def second(bundle):
        again.append(bundle)
        return {"two_thread_speedup": 1.9}

    monkeypatch.setattr(module, "one_model", first)
    monkeypatch.setattr(module._speedup, "measure", second)
    found = module.measure(SimpleNamespace(models=["one", "two"]), tmp_path)["models"]
    assert again == [tmp_path / "one"] and [row["two_thread_speedup"] for row in found] == [1.9, 1.4]


def test_the_standard_error_of_a_median(program):
    """Of normal values it is 1.2533 sigma / sqrt(n); wild ones at both ends change nothing."""
    error = program("shift_cost")._intervals.standard_error
    values = np.random.default_rng(1).normal(1.0, 0.01, (300, 101))
    found = [error(row) for row in values]
    assert np.mean(found) == pytest.approx(1.2533 * 0.01 / np.sqrt(101), rel=0.1)
    ordered = np.sort(values[0])
    ordered[:20], ordered[-20:] = -1e6, 1e6
    assert error(np.random.default_rng(2).permutation(ordered)) == error(values[0])
    assert error(values[0][:3]) == float("inf")


def test_the_shift_is_timed_until_it_is_known_well_enough(program, monkeypatch):
    """Made-up intervals of four rounds: on while they differ, are few or on far cores, and to the cap at the latest."""
    module, entry, asked = program("shift_cost"), SimpleNamespace(), []
    near, far = module._intervals.Pair(50.0, 1.0), module._intervals.Pair(350.0, 1.0)

    def ends(ratios, seconds, pair=near):
        intervals = [module.Interval(np.full(4, ratio), pair, pair) for ratio in ratios]
        monkeypatch.setattr(module._intervals, "run", lambda *given: asked.append(given[-1](intervals, seconds)))
        module.timed([[entry], [entry]], [], 2, module.StopRule(160, 5.0, 60.0))
        return asked.pop()

    assert ends([1.001, 1.002] * 4, 5.0) and not ends([1.001, 1.002] * 4, 4.9)
    assert not ends([1.0, 1.1] * 4, 59.0) and ends([1.0, 1.1] * 4, 60.0)
    assert not ends([1.001, 1.002] * 3, 59.0) and not ends([1.001, 1.002] * 4, 59.0, far)


def test_a_shift_away_from_two_near_cores_is_measured_again(program, monkeypatch, tmp_path):
    """Once, at the end, and only on the thread count that it was measured on."""
    module, calls = program("shift_cost"), []

    def one_row(pair, threads, options):
        calls.append((pair, threads))
        return {"threads": threads, "near": threads == 1 or len(calls) == 5, "call": len(calls)}

    monkeypatch.setattr(module, "one_row", one_row)
    monkeypatch.setattr(module, "compiled_pair", lambda name, folder: name)
    found = module.measure(SimpleNamespace(models=["a", "b"], threads=[1, 2]), tmp_path)
    assert calls == [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("a", 2), ("b", 2)]
    assert [row["call"] for model in found["models"] for row in model["rows"]] == [
        1,
        5,
        3,
        4,
    ]  # 6 was no better


def test_which_rounds_of_the_shift_count(program):
    """Those on two near cores where they are half of all; one thread is on one core anyway."""
    module = program("shift_cost")
    near, far = module._intervals.Pair(50.0, 1.0), module._intervals.Pair(350.0, 1.0)
    intervals = [module.Interval(np.full(4, 1.0), near, near), module.Interval(np.full(4, 2.0), far, near)]
    assert module.counted(intervals, 2) == (intervals[:1], True)
    assert module.counted([*intervals, intervals[1]], 2) == ([*intervals, intervals[1]], False)
    assert module.counted([*intervals, intervals[1]], 1) == ([*intervals, intervals[1]], True)
    assert list(module.medians(intervals)) == [1.0, 2.0] and module._intervals.rounds(intervals) == 8


def test_a_recorded_runner_runs_once(program, make):
    """It gives what it gave, scores and states, in every contest, and a wrong step in a later one is found."""
    module = program("shift_cost")
    log, ours = [], []
    intervals, frames = module._intervals, make.frames(16)
    entry = module.Entry(make.runner("a", ours))
    recorded = intervals.Replay(make.runner("b", log))
    other = module.Entry(recorded, reference=entry, timed=False)
    rule = intervals.STEPS
    intervals.contest([entry, other], frames, rule)
    steps = len(log)
    intervals.contest([entry, other], frames, rule)
    assert len(log) == steps < len(ours) and other.agreement.compared >= 20
    entry.runner.step = lambda frame: make.runner.step(entry.runner, frame) * 1.01
    with pytest.raises(VerificationError):
        intervals.contest([entry, other], frames, rule)


def test_two_processors_are_looked_at(program):
    """With one there is nothing to see."""
    processors = program("step_time")._speedup._intervals._processors
    everything = os.sched_getaffinity(0)
    if not cc.compilers() or len(everything) < 2:
        pytest.skip("no C compiler (install gcc), or one processor only")
    try:
        with processors.probe() as look:
            os.sched_setaffinity(0, sorted(everything)[:2])
            pair = look()
            assert 5 < pair.handover_ns < 1e6 and 0.9 < pair.slowdown < 100
            os.sched_setaffinity(0, sorted(everything)[:1])
            assert look() is None
    finally:
        os.sched_setaffinity(0, everything)


def test_the_table_knows_what_is_met(program):
    """Rows of made-up documents: ratios below their bounds are met, the speed-up above its own."""
    table = program("table")
    model = {
        "model": "tsm-mobilenetv2",
        "parameters": {"classes": 27, "size": 224, "width": 1.0},
        "compile_seconds": 61.0,
        "two_thread_speedup": 1.8,
        "two_thread_speedup_of_rounds": {
            "rounds": 24,
            "good": 20,
            "p10": 1.7,
            "p90": 1.9,
            "of_all": 1.75,
        },
        "rows": [
            {
                "threads": 1,
                "median_ms": {"tsm-edge": 7.0, "onnxruntime": 10.0},
                "best_peer": "onnxruntime",
                "tsm_edge_over_best_peer": 0.7,
            }
        ],
    }
    narrow = {**model, "parameters": {**model["parameters"], "width": 0.5}, "compile_seconds": None}
    narrow["rows"] = [{**model["rows"][0], "tsm_edge_over_best_peer": 0.86}]
    rows = list(table.peers({"models": [model, narrow]}))
    assert [(row["measured"], row["must"], row["met"]) for row in rows] == [
        (0.7, 0.75, True),
        (1.8, 1.75, True),
        (0.86, 0.85, False),
        (61.0, 60.0, False),
    ]
