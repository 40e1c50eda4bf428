"""The sampler and the decision: shared vectors that C and Python both pass, and random streams without a difference."""

from __future__ import annotations

import ctypes as c
import json
import math
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from time_lab import CSampler, CSmoother, number, uneven, walk

from tsm_edge.decision import SCORES, DecisionRule
from tsm_edge.errors import FrameError
from tsm_edge.runtime import abi
from tsm_edge.sampling import Sampler
from tsm_edge.smoothing import Smoother, probabilities_of

HERE = Path(__file__).resolve().parent
VECTORS = HERE.parent / "vectors"
#: the second may fuse a product and a sum
C_FLAGS = ("-O1", "-O3 -march=native")


def vectors(name: str) -> list[Any]:
    cases = json.loads((VECTORS / name).read_text())
    return [pytest.param(case, id=case["name"]) for case in cases]


@pytest.fixture(scope="module")
def built(build, library) -> Callable[[str], c.CDLL]:
    """built(flags) -> a libtsm.so, built once."""
    made: dict[str, c.CDLL] = {}

    def get(flags: str) -> c.CDLL:
        if flags not in made:
            made[flags] = abi.load(build("libtsm.so", library, "-shared", "-fPIC", *flags.split()))
        return made[flags]

    return get


@pytest.fixture(params=C_FLAGS)
def compiled(request, built) -> c.CDLL:
    return built(request.param)


@pytest.fixture(params=["python", *C_FLAGS])
def implementation(request) -> c.CDLL | None:
    """A library, or None for Python."""
    return None if request.param == "python" else request.getfixturevalue("built")(request.param)


@pytest.fixture
def sampler(implementation) -> Callable[[float], Any]:
    return Sampler if implementation is None else lambda rate: CSampler(implementation, rate)


@pytest.fixture
def smoother(implementation) -> Iterator[Callable[..., Any]]:
    if implementation is None:
        yield lambda classes, scores, **rule: Smoother(DecisionRule(**rule), scores, ("",) * classes)
        return
    made = []

    def make(classes: int, scores: str, **rule: Any) -> CSmoother:
        made.append(CSmoother(implementation, classes, scores, **rule))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("case", vectors("sampler.json"))
def test_vectors_of_the_sampler(sampler, case):
    one = sampler(case["rate"])
    assert [one.take(number(stamp)) for stamp in case["stamps"]] == case["steps"]
    assert (one.missed, one.stalls, one.repeated) == (case["missed"], case["stalls"], case["repeated"])


def fields(decision: Any) -> list[Any]:
    """What a vector holds of a decision, the probability with all its bits."""
    return [
        decision.index,
        int(decision.changed),
        int(decision.idle),
        decision.raw_index,
        decision.probability.hex(),
    ]


@pytest.mark.parametrize("case", vectors("decision.json"))
def test_vectors_of_the_decision(smoother, case):
    rule = {key: case[key] for key in ("window", "agree", "threshold")} | {"idle": tuple(case["idle"])}
    one = smoother(case["classes"], case["scores"], **rule)
    for row, expected in zip(case["rows"], case["decisions"], strict=True):
        if expected is None:
            with pytest.raises(FrameError):
                one.push([number(value) for value in row])
        else:
            decision = one.push(row)
            assert fields(decision) == expected
            assert one.probabilities[decision.index] == decision.probability


def test_random_stamps_give_the_same_steps(compiled):
    rng = np.random.default_rng(14)
    kinds: set[int] = set()
    for _ in range(300):
        rate = float(rng.choice([12, 12.5, 30000 / 1001, 5, 30, 1, 100]))
        ours, other = Sampler(rate), CSampler(compiled, rate)
        for stamp in uneven(rng, 200):
            steps = ours.take(stamp)
            assert other.take(stamp) == steps
            kinds.add(steps)
        assert (other.missed, other.stalls, other.repeated) == (ours.missed, ours.stalls, ours.repeated)
    assert kinds == set(range(7))


def test_random_scores_give_the_same_decisions(compiled):
    rng = np.random.default_rng(15)
    changes = 0
    for turn in range(120):
        classes, scores = int(rng.integers(1, 30)), SCORES[turn % 4]
        idle = sorted(rng.choice(classes, int(rng.integers(0, min(classes, 3) + 1)), replace=False).tolist())
        rule = {
            "window": int(rng.integers(1, 12)),
            "agree": int(rng.integers(1, 5)),
            "threshold": float(rng.choice([0, 0.25, 0.5, 0.75, rng.random()])),
            "idle": tuple(idle),
        }
        ours = Smoother(DecisionRule(**rule), scores, ("",) * classes)
        other = CSmoother(compiled, classes, scores, **rule)
        for at, row in enumerate(walk(rng, 120, classes, scores)):
            if at == 90:
                ours.reset()
                other.reset()
            mine = ours.push(row)
            assert fields(other.push(row.tolist())) == fields(mine)
            assert other.probabilities.tobytes() == ours.probabilities.tobytes()
            changes += mine.changed
        other.close()
    assert changes > 500


@pytest.mark.parametrize("scores", SCORES)
def test_probabilities_are_equal_bit_for_bit(compiled, scores):
    rng = np.random.default_rng(16)
    for row in walk(rng, 200, 27, scores):
        out = (c.c_double * 27)()
        status = compiled.tsm_probabilities(SCORES.index(scores), (c.c_float * 27)(*row.tolist()), 27, out)
        assert status == abi.OK
        assert np.array(out).tobytes() == probabilities_of(scores, row).tobytes()


def test_bad_rates_are_refused(compiled):
    one = abi.Sampler()
    for rate in (0.0, -1.0, math.nan, math.inf, -math.inf):
        assert compiled.tsm_sampler_init(c.byref(one), rate) == abi.ARGUMENT
        assert compiled.tsm_sampler_take(c.byref(one), 0.0) == 0


@pytest.mark.parametrize("sanitizer", ["address,undefined"])
def test_decision_under_sanitizers(build, runtime, sanitizer):
    """Arguments that are refused, memory that runs out, pushes that change nothing."""
    sources = [HERE / "unit_time.c", *(runtime / f"{name}.c" for name in ("decision", "sampler", "message"))]
    flags = (f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", "-Wl,--wrap=calloc")
    done = subprocess.run(
        [build("unit_time", sources, *flags)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok ") == 5
