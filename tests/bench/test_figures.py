"""The arithmetic over times, and when to stop."""

from __future__ import annotations

import pytest

from tsm_edge.bench.figures import Figures, ratio
from tsm_edge.bench.stop import StopRule
from tsm_edge.errors import UsageError


def test_figures_of_known_times():
    figures = Figures.of([int(ms * 1e6) for ms in (5, 1, 4, 2, 3)])
    assert figures == Figures(
        runs=5,
        median_ms=3.0,
        p5_ms=pytest.approx(1.2),
        p95_ms=pytest.approx(4.8),
        min_ms=1.0,
        stddev_ms=2**0.5,
    )


def test_figures_of_one_step():
    assert Figures.of([2_500_000]) == Figures(1, 2.5, 2.5, 2.5, 2.5, 0.0)


def test_an_outlier_moves_the_deviation_and_not_the_median():
    figures = Figures.of([1_000_000] * 99 + [1_000_000_000])
    assert figures.median_ms == figures.p95_ms == 1.0
    assert figures.stddev_ms > 90


def test_no_steps_are_no_figures():
    with pytest.raises(UsageError, match="no step"):
        Figures.of([])


def test_the_ratio_is_below_one_for_the_faster():
    assert ratio(2.0, 4.0) == 0.5


@pytest.mark.parametrize(
    ("runs", "seconds", "ended_by"),
    [
        (0, 0.0, ""),
        (49, 59.9, ""),  # not enough runs
        (50, 1.9, ""),  # not enough seconds
        (50, 2.0, "enough"),
        (1000, 2.0, "enough"),
        (49, 60.0, "max-secs"),
        (50, 60.0, "enough"),
        (1, 61.0, "max-secs"),
    ],
)
def test_the_stop_rule(runs, seconds, ended_by):
    assert StopRule(50, 2.0, 60.0).ended_by(runs, seconds) == ended_by


@pytest.mark.parametrize("values", [(0, 1, 2), (-5, 1, 2), (1, -1, 2), (1, 3, 2), (1, float("nan"), 2)])
def test_bad_rules(values):
    with pytest.raises(UsageError):
        StopRule(*values)
