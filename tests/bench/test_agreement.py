"""Comparing outputs: what is close enough, what is not, and what is refused whatever the reference says."""

from __future__ import annotations

import numpy as np
import pytest

from tsm_edge.bench.agreement import Agreement, check_alive, difference
from tsm_edge.errors import VerificationError


def floats(*values):
    return np.array(values, np.float32)


def test_the_difference_is_relative_to_the_largest_value():
    assert difference(floats(1, 99), floats(0, 100)) == pytest.approx(0.01)
    assert difference(floats(0, -100), floats(0, -100)) == 0


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (floats(1, np.nan), floats(1, 2)),
        (floats(1, 2), floats(1, np.nan)),
        (floats(1, np.inf), floats(1, np.inf)),
        (floats(1, 2, 3), floats(1, 2)),
        (floats(), floats(1)),
    ],
)
def test_what_is_never_close(found, wanted):
    assert difference(found, wanted) == float("inf")


def test_all_zero_equals_all_zero_only():
    assert difference(floats(0, 0), floats(0, 0)) == 0
    assert difference(floats(0, 1e-20), floats(0, 0)) > 1


def test_shapes_may_differ_where_the_numbers_are_the_same():
    assert difference(floats(1, 2), floats(1, 2).reshape(1, 2)) == 0


def test_the_worst_difference_is_remembered():
    agreement = Agreement("a", "b", 0.1)
    agreement.compare(0, [floats(100), floats(10)], [floats(100), floats(10.5)])
    agreement.compare(1, [floats(100)], [floats(101)])
    assert agreement.worst == pytest.approx(0.5 / 10.5)
    assert agreement.compared == 2


def test_a_difference_above_the_tolerance_is_named():
    with pytest.raises(VerificationError, match="a does not compute what b computes; no time") as caught:
        Agreement("a", "b", 1e-4).compare(
            7, [floats(1), floats(1), floats(1)], [floats(1), floats(1), floats(1.01)]
        )
    assert "state 1 of step 7: 9.9e-03 relative" in str(caught.value)
    assert caught.value.exit_code == 3


def test_tolerance_zero_asks_for_equal_numbers():
    agreement = Agreement("a", "b", 0.0)
    agreement.compare(0, [floats(1)], [floats(1)])
    with pytest.raises(VerificationError, match="equal numbers"):
        agreement.compare(1, [np.nextafter(floats(1), 2)], [floats(1)])


def test_a_missing_state_is_refused():
    with pytest.raises(VerificationError, match="other states"):
        Agreement("a", "b", 1.0).compare(0, [floats(1)], [floats(1), floats(2)])


def test_scores_that_are_alive():
    check_alive("a", [floats(1, 2), floats(1, 3)])
    check_alive("a", [floats(1, 2)])


@pytest.mark.parametrize("rows", [[floats(1, np.nan)], [floats(1, 2), floats(np.inf, 2)]])
def test_scores_that_are_no_numbers(rows):
    with pytest.raises(VerificationError, match="no finite numbers"):
        check_alive("a", rows)


def test_scores_that_never_change():
    with pytest.raises(VerificationError, match="same scores for every frame"):
        check_alive("a", [floats(1, 2)] * 3)
