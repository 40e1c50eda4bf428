"""One colour for each class, the same in the picture and on the page.

Hues follow each other by the golden angle, so that neighbours in the list of labels differ most. Every colour is
dark enough for white text on it (contrast 4.5 to 1 and more) and light enough to stand out from the panel
(3 to 1), the two limits of WCAG 2. A class that means "nothing to report" is grey.
"""

from __future__ import annotations

import colorsys

Rgb = tuple[int, int, int]

PANEL: Rgb = (20, 23, 28)
TRACK: Rgb = (45, 50, 58)
INK: Rgb = (255, 255, 255)
DIM_INK: Rgb = (190, 197, 207)
WARN: Rgb = (176, 42, 42)
GREY: Rgb = (108, 114, 124)

_GOLDEN = 0.6180339887498949
_LUMINANCE = 0.165  # (0.165 + 0.05) lies 4.9 below white and 3.7 above the panel


def class_colour(index: int, *, idle: bool = False) -> Rgb:
    """Return the colour of class ``index``; ``idle``: it means "nothing to report"."""
    if idle:
        return GREY
    hue = (0.58 + index * _GOLDEN) % 1.0
    low, high = 0.0, 1.0  # the lightness at which this hue has the luminance wanted
    for _ in range(12):
        middle = (low + high) / 2
        if luminance(_bytes(colorsys.hls_to_rgb(hue, middle, 0.72))) < _LUMINANCE:
            low = middle
        else:
            high = middle
    return _bytes(colorsys.hls_to_rgb(hue, low, 0.72))


def luminance(colour: Rgb) -> float:
    """Return the relative luminance, 0 to 1, as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Rgb, other: Rgb) -> float:
    """Return the contrast of two colours, 1 to 21, as WCAG 2 defines it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def css(colour: Rgb) -> str:
    """Return ``colour`` as a style sheet spells it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def bgr(colour: Rgb) -> Rgb:
    """Return ``colour`` in OpenCV's order."""
    return colour[::-1]


def _bytes(colour: tuple[float, float, float]) -> Rgb:
    red, green, blue = (round(255 * value) for value in colour)
    return red, green, blue
