"""Which decisions are events: each gesture once, idle never, its end on request."""

from __future__ import annotations

from tsm_edge.demo.events import RECORD, Events, Shown

IDLE = {"No gesture", "Doing other things"}
INDEX = {"No gesture": 0, "Doing other things": 1, "Swiping Left": 2, "Shaking Hand": 3}


def events_of(frames, **options):
    """Play (label, probability) frame by frame; gives the events."""
    events, found, before = Events(**options), [], None
    for number, (label, probability) in enumerate(frames):
        idle = label in IDLE
        changed = before is None or (label != before and not (idle and before in IDLE))
        before = label
        event = events.take(Shown(INDEX[label], label, probability, idle, changed, number / 12, number))
        if event is not None:
            found.append(event)
    return found


def told(frames, **options):
    """Frame, label and ended of the events."""
    return [(event.frame, event.label, event.ended) for event in events_of(frames, **options)]


def gestures(frames, **options):
    """Frame, label and ended of those that are no end of a gesture."""
    return [one for one in told(frames, **options) if not one[2]]


def test_a_gesture_is_told_once_however_long_it_is_shown():
    frames = [("No gesture", 0.9)] * 3 + [("Swiping Left", 0.8)] * 9 + [("No gesture", 0.5)] * 3
    assert gestures(frames) == [(3, "Swiping Left", "")]


def test_the_flicker_between_idle_labels_tells_nothing():
    frames = [("No gesture", 0.5), ("Doing other things", 0.5)] * 20
    assert told(frames) == []
    frames[20:20] = [("Swiping Left", 0.8)]
    assert told(frames) == [(20, "Swiping Left", ""), (21, "No gesture", "Swiping Left")]


def test_a_gesture_that_is_returned_to_is_told_again():
    there, away = ("Swiping Left", 0.8), ("No gesture", 0.8)
    assert gestures([there, away, there]) == [(0, "Swiping Left", ""), (2, "Swiping Left", "")]
    assert [label for _, label, _ in told([there, ("Shaking Hand", 0.9), there])] == [
        "Swiping Left",
        "Shaking Hand",
        "Swiping Left",
    ]


def test_the_first_gesture_needs_no_idle_before_it():
    assert told([("Shaking Hand", 0.9)]) == [(0, "Shaking Hand", "")]


def test_the_least_confidence_may_be_reached_later_and_is_told_once():
    rising = [("Swiping Left", p) for p in (0.75, 0.8, 0.9, 0.85, 0.95)]
    assert told(rising, min_confidence=0.9) == [(2, "Swiping Left", "")]
    assert told(rising, min_confidence=0.96) == []


def test_the_end_of_a_gesture_that_was_not_told_is_not_told():
    frames = [("Swiping Left", 0.8), ("No gesture", 0.99), ("Shaking Hand", 0.95), ("No gesture", 0.3)]
    assert told(frames, min_confidence=0.9) == [
        (2, "Shaking Hand", ""),
        (3, "No gesture", "Shaking Hand"),
    ]


def test_one_gesture_after_another_has_no_end_between():
    frames = [("Swiping Left", 0.8), ("Shaking Hand", 0.9), ("No gesture", 0.8)]
    assert told(frames)[1:] == [
        (1, "Shaking Hand", ""),
        (2, "No gesture", "Shaking Hand"),
    ]


def test_after_a_reset_the_same_gesture_is_new():
    events = Events()
    shown = Shown(2, "Swiping Left", 0.8, False, True, 0.0, 0)
    assert events.take(shown).label == "Swiping Left"
    events.forget()
    assert events.take(shown).label == "Swiping Left"
    events.forget()
    end = events.take(Shown(0, "No gesture", 0.8, True, True, 1.0, 12))
    assert end is not None and end.ended == "Swiping Left"


# -- The record -----------------------------------------------------------------------------------------------------


def test_the_record_is_what_the_page_of_the_documentation_says():
    found = events_of(
        [("Swiping Left", 0.87449), ("No gesture", 0.5)],
        source="cam\x1b[2J",
        model="net",
        run="0123456789ab",
        clock=lambda: 1764417600.1239,
    )
    gesture, end = (event.record() for event in found)
    assert gesture == {
        "schema": 1,
        "id": "0123456789ab-1",
        "kind": "gesture",
        "label": "Swiping Left",
        "index": 2,
        "probability": 0.8745,
        "ended": "",
        "time": "2025-11-29T12:00:00.123Z",
        "t_s": 0.0,
        "frame": 0,
        "source": "cam\\x1b[2J",
        "model": "net",
    }
    assert (end["id"], end["kind"], end["label"], end["ended"]) == (
        "0123456789ab-2",
        "idle",
        "No gesture",
        "Swiping Left",
    )
    kinds = {"integer": int, "string": str, "number": float}
    for record in (gesture, end):
        assert list(record) == [field.name for field in RECORD]
        assert all(type(record[field.name]) is kinds[field.type] for field in RECORD)


def test_no_two_runs_share_an_id():
    frames = [("Swiping Left", 0.8)]
    assert events_of(frames)[0].id != events_of(frames)[0].id
