"""From scores to a decision: what is shown, when it changes, and when it does not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tsm_edge.decision import DecisionRule, is_quiet
from tsm_edge.errors import FrameError, ModelError, UsageError
from tsm_edge.smoothing import Smoother, probabilities_of, softmax
from tsm_edge.smoothing import _exp as exponential


def smoother_of(labels=(), scores="logits", **rule):
    """One with the default rule for the labels, but for what is given."""
    return Smoother(replace(DecisionRule.for_labels(labels), **rule), scores, labels)


def sure(index, classes=3):
    return np.eye(classes, dtype=np.float32)[index] * 20


def shown(smoother, indices):
    return [smoother.push(sure(index)).index for index in indices]


def test_softmax():
    assert softmax([0, 0]).tolist() == [0.5, 0.5]
    assert softmax([1000, 0]).tolist() == [1.0, 0.0]
    assert softmax(np.array([1, 2, 3], np.float32)).sum() == pytest.approx(1)


def test_the_first_frame_decides():
    decision = smoother_of(labels=("a", "b", "c")).push(sure(1))
    assert (decision.index, decision.label, decision.changed, decision.raw_index) == (1, "b", True, 1)
    assert decision.probability == pytest.approx(1)


def test_one_odd_frame_changes_nothing():
    assert shown(smoother_of(window=1), [0, 0, 1, 0, 0]) == [0, 0, 0, 0, 0]


def test_two_that_agree_change_the_decision():
    smoother = smoother_of(window=1)
    assert shown(smoother, [0, 1]) == [0, 0]
    decision = smoother.push(sure(1))
    assert (decision.index, decision.changed) == (1, True)
    assert smoother.push(sure(1)).changed is False


def test_two_that_disagree_with_each_other_change_nothing():
    assert shown(smoother_of(window=1), [0, 1, 2, 1, 2]) == [0] * 5


def test_agree_one_follows_every_mean():
    assert shown(smoother_of(window=1, agree=1), [0, 1, 2]) == [0, 1, 2]


def test_the_window_is_a_mean_of_probabilities():
    smoother = smoother_of(window=4, agree=1)
    assert shown(smoother, [0, 0, 0, 0, 1, 1]) == [0] * 6
    decision = smoother.push(sure(1))
    assert decision.index == 1 and decision.probability == pytest.approx(0.75, abs=1e-6)


def test_the_mean_can_be_looked_at():
    smoother = smoother_of(window=4)
    assert smoother.probabilities.size == 0
    for index in (0, 0, 1, 2):
        decision = smoother.push(sure(index))
    assert smoother.probabilities.tolist() == pytest.approx([0.5, 0.25, 0.25], abs=1e-6)
    assert smoother.probabilities[decision.index] == decision.probability
    smoother.reset()
    assert smoother.probabilities.size == 0


def test_old_frames_leave_the_window():
    smoother = smoother_of(window=2, agree=1)
    shown(smoother, [0, 0, 0, 0, 1])
    assert smoother.push(sure(1)).probability == pytest.approx(1, abs=1e-6)


def test_a_loud_frame_counts_no_more_than_a_sure_one():
    smoother = smoother_of(window=3, agree=1)
    smoother.push(sure(0))
    smoother.push(sure(0))
    assert smoother.push(sure(1) * 1000).index == 0


def test_the_shown_probability_is_that_of_the_shown_class():
    smoother = smoother_of(window=2, agree=3)
    smoother.push(sure(0))
    smoother.push(sure(1))
    decision = smoother.push(sure(1))
    assert (decision.index, decision.raw_index) == (0, 1)
    assert decision.probability == pytest.approx(0, abs=1e-6)


def test_reset_forgets_everything():
    smoother = smoother_of(window=5)
    shown(smoother, [0, 0, 0])
    smoother.reset()
    decision = smoother.push(sure(2))
    assert (decision.index, decision.changed) == (2, True)


QUIET = ("Nothing", "wave", "point")


def test_a_class_must_be_likely_to_follow_a_quiet_one():
    """With a threshold of 0.6 of a window of four: three sure frames, and another one that agrees."""
    smoother = smoother_of(window=4, threshold=0.6, labels=QUIET)
    assert shown(smoother, [0, 0, 0, 0, 1, 1, 1, 1]) == [0, 0, 0, 0, 0, 0, 0, 1]
    weak = np.log([0.3, 0.4, 0.3])
    smoother.reset()
    assert [smoother.push(weak).index for _ in range(9)] == [0] * 9
    assert [smoother_of(window=1, agree=1).push(weak).index] == [1]


def test_what_is_shown_stays_until_something_else_is_likelier():
    smoother = smoother_of(window=2, agree=1, threshold=0.9, labels=QUIET)
    assert shown(smoother, [0, 1, 1]) == [0, 0, 1]
    assert smoother.push(np.log([0.4, 0.59, 0.01])).label == "wave"  # its mean is 0.8
    assert smoother.push(np.log([0.55, 0.44, 0.01])).label == "wave"  # 0.52
    assert smoother.push(np.log([0.55, 0.44, 0.01])).label == "Nothing"


def test_before_the_first_frames_it_was_quiet():
    smoother = smoother_of(window=4, agree=1, threshold=0.7, labels=("wave", "point", "doing other things"))
    decisions = [smoother.push(sure(0)) for _ in range(3)]
    assert [decision.label for decision in decisions] == ["doing other things"] * 2 + ["wave"]
    assert decisions[0].changed and decisions[2].changed


def test_quiet_labels_are_known_in_any_spelling():
    assert all(map(is_quiet, ("No gesture", "no gesture ", "Doing other things", "background")))
    assert not any(map(is_quiet, ("Swiping Left", "", "gesture")))


IDLE = ("wave", "No gesture", "Doing other things", "point")


def test_from_one_idle_class_to_another_is_no_change():
    smoother = smoother_of(window=1, agree=2, labels=IDLE, threshold=0.5)
    decisions = [smoother.push(sure(index, 4)) for index in (1, 2, 1, 1, 2, 2, 2, 1, 2, 1)]
    assert [decision.changed for decision in decisions] == [True] + [False] * 9
    assert all(decision.idle for decision in decisions)
    # the label follows where two steps agree on it
    assert [decision.index for decision in decisions] == [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]


def test_idle_classes_that_alternate_end_a_gesture():
    smoother = smoother_of(window=1, agree=3, labels=IDLE, threshold=0.5)
    decisions = [smoother.push(sure(index, 4)) for index in (0, 0, 0, 1, 2, 1, 2, 0, 0, 0)]
    assert [decision.idle for decision in decisions] == [False] * 5 + [True] * 4 + [False]
    assert [at for at, decision in enumerate(decisions) if decision.changed] == [0, 5, 9]


def test_gestures_that_alternate_do_not_agree():
    smoother = smoother_of(window=1, agree=2, labels=IDLE, threshold=0.5)
    decisions = [smoother.push(sure(index, 4)) for index in (1, 0, 3, 0, 3, 0)]
    assert not any(decision.changed for decision in decisions[1:])


def test_idle_classes_can_be_given_by_number():
    smoother = smoother_of(window=1, agree=1, labels=("a", "b", "c"), threshold=0.9, idle=(2,))
    assert smoother.push(np.log([0.5, 0.3, 0.2])).index == 2
    assert smoother_of(labels=IDLE, idle=()).push(sure(1, 4)).idle is False


@pytest.mark.parametrize("kind", ["probabilities", "sigmoid"])
def test_probabilities_are_taken_as_they_are(kind):
    values = np.array([0.9, 0.05, 0.05], np.float32)
    decision = smoother_of(window=1, scores=kind).push(values)
    assert decision.probability == float(np.float32(0.9))


def test_log_probabilities_and_logits_of_the_same_are_the_same():
    values = np.log([0.7, 0.2, 0.1])
    assert probabilities_of("log-probabilities", values) == pytest.approx([0.7, 0.2, 0.1], abs=1e-15)
    assert probabilities_of("logits", values + 3) == pytest.approx([0.7, 0.2, 0.1], abs=1e-15)


def test_a_rounding_error_beyond_the_range_is_clipped():
    assert probabilities_of("probabilities", [1.001, -0.001]).tolist() == [1.0, 0.0]
    assert probabilities_of("log-probabilities", [0.001, -800.0]).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("kind", "values"),
    [("probabilities", [3.0, 0.1]), ("sigmoid", [-0.5, 0.1]), ("log-probabilities", [0.5, -1])],
)
def test_scores_of_another_kind_are_refused(kind, values):
    with pytest.raises(FrameError, match="not what the model says"):
        probabilities_of(kind, values)


def test_an_unknown_kind_of_scores():
    with pytest.raises(UsageError, match="kind of scores"):
        probabilities_of("odds", [0.5])


def test_the_exponential_is_exact_to_the_last_digits():
    x = np.concatenate([-np.logspace(-12, math.log10(699.9), 4001), [0.0]])
    for at, value in zip(x, exponential(x)):
        assert value == pytest.approx(math.exp(at), rel=4e-16)


@pytest.mark.parametrize(
    "bad", [{"threshold": 1.5}, {"window": 0}, {"agree": 0}, {"window": 1.5}, {"agree": True}]
)
def test_bad_settings(bad):
    with pytest.raises(ModelError, match=next(iter(bad))):
        smoother_of(**bad)


@pytest.mark.parametrize("logits", [[], [[1, 2, 3]], [1, 2], [1, 2, float("nan")], [1, 2, float("inf")]])
def test_bad_scores(logits):
    smoother = smoother_of()
    smoother.push(sure(0))
    with pytest.raises(FrameError):
        smoother.push(logits)
    assert smoother.push(sure(0)).index == 0


def test_scores_must_match_the_labels_from_the_first_frame_on():
    with pytest.raises(FrameError):
        smoother_of(labels=("a", "b")).push(sure(0))
