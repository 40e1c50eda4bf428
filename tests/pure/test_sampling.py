"""Sampling by time stamps: on which frames the model steps, and how often."""

from __future__ import annotations

import math
import random

import pytest

from tsm_edge.errors import UsageError
from tsm_edge.sampling import MAX_STEPS, Sampler, Stamps


def taken(stamps: list[float], rate: float) -> tuple[list[int], Sampler]:
    sampler = Sampler(rate)
    return [index for index, t_s in enumerate(stamps) if sampler.take(t_s)], sampler


def test_60_to_12_is_every_fifth_frame():
    indices, sampler = taken([n / 60 for n in range(600)], 12)
    assert indices == list(range(0, 600, 5))
    assert sampler.missed == 0


def test_30_to_12_alternates_two_and_three():
    indices, sampler = taken([n / 30 for n in range(300)], 12)
    assert {b - a for a, b in zip(indices, indices[1:])} == {2, 3}
    assert len(indices) == 120
    assert sampler.missed == 0


def test_stamps_in_whole_milliseconds_change_nothing():
    exact, _ = taken([n / 60 for n in range(600)], 12)
    rounded, _ = taken([math.floor(1000 * n / 60) / 1000 for n in range(600)], 12)
    assert rounded == exact


def test_a_slower_source_is_repeated_to_the_models_rate():
    sampler = Sampler(12)
    steps = [sampler.take(n / 10) for n in range(101)]
    assert set(steps) == {1, 2}
    assert sum(steps) == 121  # 10 seconds of 12 ticks and the first
    assert (sampler.repeated, sampler.missed, sampler.stalls) == (20, 0, 0)


@pytest.mark.parametrize(("fps", "each"), [(6, 2), (4, 3), (3, 4), (2, MAX_STEPS)])
def test_each_frame_of_a_source_at_a_fraction_of_the_rate_is_worth_as_many_steps(fps, each):
    sampler = Sampler(12)
    assert [sampler.take(n / fps) for n in range(50)] == [1] + [each] * 49
    assert sampler.missed == 0


def test_a_source_too_slow_to_make_up_for_is_stepped_on_once_a_frame_and_reported():
    sampler = Sampler(12)
    assert [sampler.take(float(n)) for n in range(10)] == [1] * 10
    assert (sampler.missed, sampler.stalls, sampler.repeated) == (9 * 11, 9, 0)


@pytest.mark.parametrize(
    "fps", [8.5, 10, 12, 14.985, 15, 23.976, 24, 25, 29.97, 30, 48, 50, 59.94, 60, 90, 120, 240]
)
@pytest.mark.parametrize("rate", [5, 12, 12.5, 30])
def test_the_number_of_steps_is_the_rate_times_the_time(fps, rate):
    if fps * 6 < rate:
        return
    for origin in (0.0, -5.0, 1.7e9):
        sampler = Sampler(rate)
        steps = sum(sampler.take(origin + n / fps) for n in range(int(20 * fps)))
        assert abs(steps - 20 * rate) <= 1 + rate / fps
        assert sampler.missed == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_trembling_camera_at_the_models_rate_loses_nothing(seed):
    rng = random.Random(seed)
    stamps = [n / 12 + rng.uniform(-0.012, 0.012) for n in range(500)]
    indices, sampler = taken([stamps[0], *sorted(stamps[1:])], 12)
    assert indices == list(range(500))
    assert sampler.missed == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_trembling_30_fps_camera_is_sampled_evenly(seed):
    rng = random.Random(seed)
    stamps = sorted(n / 30 + rng.uniform(-0.01, 0.01) for n in range(900))
    indices, _ = taken(stamps, 12)
    assert abs(len(indices) - 360) <= 1
    gaps = [stamps[b] - stamps[a] for a, b in zip(indices, indices[1:])]
    assert max(abs(gap - 1 / 12) for gap in gaps) < 0.06


def test_a_stall_is_not_followed_by_a_burst():
    before = [n / 30 for n in range(30)]
    after = [before[-1] + 2.0 + n / 30 for n in range(30)]
    indices, sampler = taken(before + after, 12)
    taken_after = [index for index in indices if index >= 30]
    assert taken_after[0] == 30  # the first frame after the stall is worth seeing at once
    assert len(taken_after) in (12, 13)
    assert min(after[b - 30] - after[a - 30] for a, b in zip(taken_after, taken_after[1:])) > 0.03
    assert sampler.missed in (22, 23, 24)  # two seconds at 12 a second


def test_stamps_that_are_no_numbers_change_nothing():
    sampler = Sampler(12)
    stamps = [math.nan, math.inf, 0.0, math.nan, 1 / 12, -math.inf, math.inf, 2 / 12]
    assert [sampler.take(t) for t in stamps] == [0, 0, 1, 0, 1, 0, 0, 1]
    assert (sampler.missed, sampler.stalls) == (0, 0)


def test_one_stamp_far_off_costs_no_more_than_an_uneven_step():
    for odd in (1e300, 1e9, -1e9, -1e300, 10.0, -10.0):
        sampler = Sampler(12)
        stamps = [n / 12 for n in range(20)] + [odd] + [n / 12 for n in range(21, 40)]
        assert [sampler.take(t) for t in stamps] == [1] * 40
        assert sampler.stalls == 2
        assert 0 <= sampler.missed <= 2**53


def test_a_clock_that_is_set_back_does_not_stop_the_model():
    sampler = Sampler(12)
    steps = [sampler.take(100 + n / 30) for n in range(60)] + [sampler.take(n / 30) for n in range(60)]
    assert sum(steps[60:]) == 24
    assert sampler.stalls == 1


def test_a_frame_delivered_twice_or_going_back_is_not_taken():
    indices, _ = taken([0.0, 0.5, 0.5, 0.4, 1.0], 12)
    assert indices == [0, 1, 4]


def test_the_first_stamp_is_where_time_begins():
    shifted, _ = taken([1e6 + n / 60 for n in range(120)], 12)
    assert shifted == list(range(0, 120, 5))


def test_a_long_run_does_not_drift():
    indices, sampler = taken([n / 60 for n in range(3600 * 60)], 12)
    assert indices == list(range(0, 3600 * 60, 5))
    assert sampler.missed == 0


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(UsageError, match="rate"):
        Sampler(rate)
    with pytest.raises(ValueError, match="rate"):
        Stamps(rate)


def test_good_file_stamps_are_kept_but_start_at_zero():
    stamps = Stamps(25)
    assert [stamps.next(t) for t in (5.0, 5.1, 5.35)] == pytest.approx([0.0, 0.1, 0.35])
    assert stamps.reliable


@pytest.mark.parametrize(
    "broken",
    [[0.0, 0.0, 0.0, 0.0], [0.0, 0.04, 0.02, 0.06], [0.0, 0.04, math.nan, 0.5], [math.nan, 1.0, 2.0, 9.0]],
)
def test_broken_file_stamps_are_replaced_by_counting(broken):
    stamps = Stamps(25)
    assert [stamps.next(t) for t in broken] == pytest.approx([0.0, 0.04, 0.08, 0.12])
    assert not stamps.reliable
