"""Where the frames of a recording go on its constant rate."""

from __future__ import annotations

from tsm_edge.demo.timeline import Timeline


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
