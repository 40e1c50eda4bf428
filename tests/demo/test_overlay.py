"""The panel under the picture: everything is inside it, at every size and for every label."""

from __future__ import annotations

import numpy as np
import pytest

from tsm_edge.demo import text
from tsm_edge.demo.colours import DIM_INK, INK, PANEL, TRACK, WARN, bgr, class_colour, contrast
from tsm_edge.demo.history import Span
from tsm_edge.demo.overlay import TOP, Score, Status, layout, render
from tsm_edge.demo.text import drawable, fit

SIZES = [
    (64, 48),
    (160, 120),
    (320, 240),
    (480, 360),
    (640, 480),
    (641, 361),
    (1280, 720),
    (1080, 1920),
    (1920, 1080),
]
LABELS = [
    "No",
    "Turning Hand Counterclockwise",
    "Pulling Two Fingers In " * 9,
    "gjpqy|_",
    "",
    "Ä" * 40,
    "手势",
]
NOTES = ["", "untrained weights: predictions mean nothing yet"]


def status(label: str = "Swiping Left", note: str = "", probability: float = 0.874) -> Status:
    top = (Score(3, label, probability), Score(4, "No gesture", 0.1), Score(5, label, 0.0))
    spans = (Span(4, "No gesture", 0, 8.2, True), Span(3, label, 8.2, 12.9), Span(4, "No gesture", 12.9, 13, True))
    return Status(label, probability, 1234.56, 123.4, 123456, note, top, spans)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("note", NOTES)
def test_texts_lie_inside_the_panel_and_apart(size, label, note):
    plan = layout(*size, status(label, note))
    boxes = [one.box for one in plan.texts if one.text]
    for x0, y0, x1, y1 in boxes:
        assert 0 <= x0 < x1 <= plan.width
        assert 0 <= y0 < y1 <= plan.height
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)
    for rect in plan.rects:
        assert 0 <= rect.x0 <= rect.x1 <= plan.width
        assert 0 <= rect.y0 < rect.y1 <= plan.height


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("label", LABELS)
def test_the_ink_stays_inside_its_boxes(size, label):
    """The boxes are only as good as OpenCV's measure of its font: look at the pixels."""
    width, height = size
    image = np.full((height, width, 3), 7, np.uint8)
    shown = status(label, NOTES[1])
    plan = layout(width, height, shown)
    picture = render(image, shown)
    assert picture.shape == (height + plan.height, width, 3)
    assert (picture[:height] == 7).all()  # nothing is drawn over the picture
    bare = np.empty((plan.height, width, 3), int)
    bare[:] = bgr(PANEL)
    for x0, y0, x1, y1, colour in plan.rects:
        bare[y0:y1, x0:x1] = bgr(colour)
    ink = np.abs(picture[height:] - bare).max(axis=2) > 8
    for one in plan.texts:
        x0, y0, x1, y1 = one.box
        assert not one.text.strip() or ink[y0:y1, x0:x1].any(), one
        ink[y0:y1, x0:x1] = False
    assert not ink.any()


@pytest.mark.parametrize("size", [(320, 240), (640, 480), (1920, 1080)])
def test_ordinary_labels_are_whole_and_large_enough(size):
    plan = layout(*size, status("Turning Hand Counterclockwise", NOTES[1]))
    texts = [one.text for one in plan.texts]
    decision = ["Turning Hand Counterclockwise", "87%"]
    assert texts[:8] == [*decision, *decision, "No gesture", "10%", decision[0], "0%"]
    assert "model 1234.6 ms | 123.4 FPS | dropped 123456" in texts
    assert texts[-1] == NOTES[1]
    heights = [one.box[3] - one.box[1] for one in plan.texts]
    assert min(heights) >= size[1] / 50
    assert min(heights) >= 11
    assert plan.height <= 0.57 * size[1]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("probability", [0.0, 0.004, 0.5, 1.0])
def test_bars_are_as_long_as_their_probability(size, probability):
    plan = layout(*size, status(probability=probability))
    track, bar = plan.rects[:2]
    assert track.colour == TRACK
    assert bar.colour == class_colour(3)
    assert (bar.x0, bar.y0, bar.y1) == (track.x0, track.y0, track.y1)
    assert bar.x1 - bar.x0 == pytest.approx(probability * (track.x1 - track.x0), abs=0.51)


def test_fewer_classes_than_bars_leave_empty_tracks():
    plan = layout(320, 240, Status("a", 1.0, 1.0, 1.0, 0, top=(Score(0, "a", 1.0),)))
    assert [rect.colour for rect in plan.rects].count(TRACK) == TOP + 1  # and the timeline's
    assert [one.text for one in plan.texts[2:4]] == ["a", "100%"]


@pytest.mark.parametrize("size", [(320, 240), (1920, 1080)])
def test_the_timeline_shows_the_last_ten_seconds(size):
    plan = layout(*size, status())
    strip = [rect for rect in plan.rects if rect.colour == TRACK][-1]
    wide = strip.x1 - strip.x0
    parts = [r for r in plan.rects if r.y0 == strip.y0 and r.colour not in (TRACK, PANEL)]
    assert [part.colour for part in parts] == [
        class_colour(4, idle=True),
        class_colour(3),
        class_colour(4, idle=True),
    ]
    edges = [(part.x0 - strip.x0) / wide for part in parts] + [(parts[-1].x1 - strip.x0) / wide]
    assert edges == pytest.approx([0.0, 0.52, 0.99, 1.0], abs=1.5 / wide)
    row = [one.text for one in plan.texts if strip.y0 <= one.y <= strip.y1]
    assert row == ["No gesture", "Swiping Left"]  # the last part is too short for its name


@pytest.mark.parametrize("size", [(64, 48), (320, 240), (1920, 1080)])
def test_while_nothing_is_recognised_no_number_stands_beside_the_label(size):
    shown = status()
    idle = Status("No gesture", None, 1.0, 12.0, 0, "", shown.top, shown.spans)
    with_number, without = layout(*size, shown), layout(*size, idle)
    assert without.height == with_number.height
    assert len(without.texts) == len(with_number.texts) - 1
    assert without.texts[0].text == "No gesture"


def test_a_label_that_cannot_fit_ends_in_dots():
    plan = layout(320, 240, status("Pulling Two Fingers In " * 9))
    assert plan.texts[0].text.startswith("Pulling Two Fingers In")
    assert plan.texts[0].text.endswith("...")
    assert plan.texts[0].scale == pytest.approx(text.SMALLEST)


def test_large_texts_are_shortened_before_they_get_tiny():
    plan = layout(1920, 1080, status("Pulling Two Fingers In " * 9))
    assert plan.texts[0].text.endswith("...")
    assert plan.texts[0].scale == pytest.approx(text.SHRINK * 1.8)


def test_text_without_any_room_is_left_out():
    assert fit("anything", 3, 1.0, 1)[0] == ""


@pytest.mark.parametrize("size", SIZES)
def test_the_panels_height_depends_on_size_and_note_only(size):
    for note in NOTES:
        heights = {layout(*size, status(label, note)).height for label in LABELS}
        assert len(heights) == 1
        assert (size[1] + heights.pop()) % 2 == 0
    assert layout(*size, status(note=NOTES[1])).height > layout(*size, status()).height


def test_every_colour_carries_white_text_and_stands_out():
    """WCAG 2: 4.5 to 1 for text, 3 to 1 for the shapes that carry meaning."""
    for index in range(200):
        colour = class_colour(index)
        assert contrast(colour, INK) >= 4.5, index
        assert contrast(colour, PANEL) >= 3, index
    for paper in (PANEL, TRACK, WARN, class_colour(0, idle=True)):
        assert contrast(paper, INK) >= 4.5
    assert contrast(PANEL, DIM_INK) >= 4.5
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)


def test_neighbours_in_the_list_of_labels_look_different():
    colours = np.array([class_colour(index) for index in range(12)], int)
    for i in range(12):
        for j in range(i):
            assert np.abs(colours[i] - colours[j]).max() >= 24, (i, j)
    assert class_colour(3, idle=True) == class_colour(9, idle=True)


def test_texts_are_one_line_and_ascii_where_the_font_knows_no_more(monkeypatch):
    monkeypatch.setattr(text, "_UNICODE", False)
    assert drawable("é\tgalopp\n手") == "e galopp ?"
    assert drawable("\x1b[2J\u202e手") == "\\x1b[2J\\u202e?"
    monkeypatch.setattr(text, "_UNICODE", True)
    assert drawable("é\tgalopp\n手") == "é galopp 手"
