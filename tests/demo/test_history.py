"""Which label was shown when."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from tsm_edge.demo.history import History, Span, segments


def told(history, labels, rate=1.0):
    for number, label in enumerate(labels):
        history.add("abc".index(label), label, number / rate)
    return history.spans()


def test_a_label_lasts_until_the_next():
    assert told(History(), "aabbba") == (
        Span(0, "a", 0.0, 2.0),
        Span(1, "b", 2.0, 5.0),
        Span(0, "a", 5.0, 5.0),
    )


def test_old_spans_are_forgotten_and_a_long_one_is_kept_whole():
    history = History(keep_s=3)
    spans = told(history, "abc" * 50)
    assert [span.end_s for span in spans] == [146.0, 147.0, 148.0, 149.0, 149.0]
    history.clear()
    assert history.spans() == ()
    assert told(history, "a" * 100) == (Span(0, "a", 0.0, 99.0),)


def test_idle_classes_are_one_span():
    history = History()
    for second, (index, label) in enumerate([(0, "a"), (1, "b"), (0, "a"), (2, "c"), (1, "b")]):
        history.add(index, label, second, idle=index < 2)
    assert [(span.label, span.start_s, span.end_s) for span in history.spans()] == [
        ("a", 0, 3),
        ("c", 3, 4),
        ("b", 4, 4),
    ]


def test_segments_are_shares_of_the_timeline():
    spans = told(History(), "aaabbc")
    assert [astuple(part) for part in segments(spans, 4.0)] == [
        (0, "a", 0.0, 0.5, False),
        (1, "b", 0.5, 1.0, False),
        (2, "c", 1.0, 1.0, False),
    ]
    young = segments(spans, 10.0)  # what lies before the beginning stays empty
    assert young[0].begin == pytest.approx(0.5)
    assert young[-1].end == 1.0
    assert segments((), 4.0) == []
