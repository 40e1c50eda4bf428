"""The bar under the picture: everything is inside it, at every size and for every label."""

from __future__ import annotations

import numpy as np
import pytest

from tsm_edge.demo import overlay
from tsm_edge.demo.overlay import PAPER, WARN_PAPER, Status, drawable, fit, layout, render

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


def status(label: str = "Swiping Left", note: str = "") -> Status:
    return Status(label, 0.874, 1234.56, 123.4, 123456, note)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("note", NOTES)
def test_boxes_lie_inside_the_bar_and_apart(size, label, note):
    plan = layout(*size, status(label, note))
    boxes = [text.box for text in plan.texts if text.text]
    for x0, y0, x1, y1 in boxes:
        assert 0 <= x0 < x1 <= plan.width
        assert 0 <= y0 < y1 <= plan.height
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)


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
    bar = picture[height:].astype(int)
    paper = np.empty_like(bar)
    paper[:] = PAPER
    paper[plan.note_top :] = WARN_PAPER
    ink = np.abs(bar - paper).max(axis=2) > 8
    for text in plan.texts:
        x0, y0, x1, y1 = text.box
        assert not text.text.strip() or ink[y0:y1, x0:x1].any(), text
        ink[y0:y1, x0:x1] = False
    assert not ink.any()


@pytest.mark.parametrize("size", [(320, 240), (1920, 1080)])
def test_ordinary_labels_are_whole_and_large_enough(size):
    plan = layout(*size, status("Turning Hand Counterclockwise", NOTES[1]))
    assert [text.text for text in plan.texts] == [
        "Turning Hand Counterclockwise",
        "87%",
        "model 1234.6 ms | 123.4 FPS | dropped 123456",
        NOTES[1],
    ]
    heights = [box[3] - box[1] for box in (text.box for text in plan.texts)]
    assert min(heights) >= size[1] / 40
    assert min(heights) >= 11
    assert plan.height <= 0.3 * size[1]


def test_a_label_that_cannot_fit_ends_in_dots():
    plan = layout(320, 240, status("Pulling Two Fingers In " * 9))
    assert plan.texts[0].text.startswith("Pulling Two Fingers In")
    assert plan.texts[0].text.endswith("...")
    assert plan.texts[0].scale == pytest.approx(overlay.SMALLEST)


def test_text_without_any_room_is_left_out():
    assert fit("anything", 3, 1.0, 1)[0] == ""


@pytest.mark.parametrize("size", SIZES)
def test_the_bars_height_depends_on_size_and_note_only(size):
    for note in NOTES:
        heights = {layout(*size, status(label, note)).height for label in LABELS}
        assert len(heights) == 1
        assert (size[1] + heights.pop()) % 2 == 0
    assert layout(*size, status(note=NOTES[1])).height > layout(*size, status()).height


def test_texts_are_one_line_and_ascii_where_the_font_knows_no_more(monkeypatch):
    monkeypatch.setattr(overlay, "_UNICODE", False)
    assert drawable("é\tgalopp\n手") == "e galopp ?"
    monkeypatch.setattr(overlay, "_UNICODE", True)
    assert drawable("é\tgalopp\n手") == "é galopp 手"
