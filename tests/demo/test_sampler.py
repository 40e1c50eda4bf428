"""Sampling by time stamps: which frames the model sees."""

from __future__ import annotations

import math
import random

import pytest

from tsm_edge.demo.sampler import Sampler, Stamps, Timeline


def taken(stamps: list[float], rate: float) -> tuple[list[int], Sampler]:
    sampler = Sampler(rate)
    return [index for index, t_s in enumerate(stamps) if sampler.take(t_s)], sampler


def test_60_to_12_is_every_fifth_frame():
    indices, sampler = taken([n / 60 for n in range(600)], 12)
    assert indices == list(range(0, 600, 5))
    assert sampler.empty_ticks == 0


def test_30_to_12_alternates_two_and_three():
    indices, sampler = taken([n / 30 for n in range(300)], 12)
    assert {b - a for a, b in zip(indices, indices[1:])} == {2, 3}
    assert len(indices) == 120
    assert sampler.empty_ticks == 0


def test_stamps_in_whole_milliseconds_change_nothing():
    exact, _ = taken([n / 60 for n in range(600)], 12)
    rounded, _ = taken([math.floor(1000 * n / 60) / 1000 for n in range(600)], 12)
    assert rounded == exact


def test_10_to_12_takes_every_frame_and_counts_the_ticks_without_one():
    indices, sampler = taken([n / 10 for n in range(101)], 12)
    assert indices == list(range(101))
    assert sampler.empty_ticks == 20  # 10 seconds of 12 ticks, 100 frames after the first


@pytest.mark.parametrize("seed", range(5))
def test_a_trembling_camera_at_the_models_rate_loses_nothing(seed):
    rng = random.Random(seed)
    stamps = [n / 12 + rng.uniform(-0.012, 0.012) for n in range(500)]
    indices, sampler = taken([stamps[0], *sorted(stamps[1:])], 12)
    assert indices == list(range(500))
    assert sampler.empty_ticks == 0


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
    assert sampler.empty_ticks in (22, 23, 24)  # two seconds at 12 a second


def test_a_frame_delivered_twice_or_going_back_is_not_taken():
    indices, _ = taken([0.0, 0.5, 0.5, 0.4, 1.0], 12)
    assert indices == [0, 1, 4]


def test_the_first_stamp_is_where_time_begins():
    shifted, _ = taken([1e6 + n / 60 for n in range(120)], 12)
    assert shifted == list(range(0, 120, 5))


def test_a_long_run_does_not_drift():
    indices, sampler = taken([n / 60 for n in range(3600 * 60)], 12)
    assert indices == list(range(0, 3600 * 60, 5))
    assert sampler.empty_ticks == 0


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match="rate"):
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


def test_a_recording_at_the_frames_own_rate_repeats_nothing():
    line = Timeline(12)
    assert [line.repeats(n / 12) for n in range(100)] == [0] * 100
    assert line.written == 100


def test_a_recording_keeps_time_over_gaps_and_leaves_out_what_is_too_fast():
    line = Timeline(10)
    assert [line.repeats(t) for t in (0.0, 0.1, 0.5, 0.51, 0.6)] == [0, 0, 3, None, 0]
    assert line.written == 7


def test_an_hour_of_sleep_is_not_recorded():
    line = Timeline(10, longest_gap_s=2)
    assert [line.repeats(t) for t in (0.0, 0.1, 3600.0, 3600.1, 3600.3)] == [0, 0, 20, 0, 1]


def test_a_recording_that_starts_late_starts_at_once():
    line = Timeline(10)
    assert [line.repeats(t) for t in (7.0, 7.1)] == [0, 0]
