"""The formats of frames: one set of names, conversions against floating point and OpenCV, shapes that are refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tsm_edge import pixels
from tsm_edge.errors import FrameError

RUNTIME = Path(__file__).resolve().parents[2] / "compile" / "runtime"
LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


def test_the_names_are_those_of_the_header_and_of_the_command():
    header = (RUNTIME / "tsm_edge.h").read_text()
    formats, standards = "(BGR|RGB|GREY|YUYV|NV12|YUV420)", r"(BT\d+(?:_FULL)?)"
    for names, prefix in ((pixels.FORMATS, formats), (pixels.STANDARDS, standards)):
        declared = re.findall(rf"TSM_{prefix} = (\d)", header)
        assert {name.lower().replace("_", "-"): int(number) for name, number in declared} == names
    options = (RUNTIME / "command" / "options.c").read_text()
    for table, names in (("format_names", pixels.FORMATS), ("color_names", pixels.STANDARDS)):
        listed = re.search(rf"{table}\[\] = {{(.*?), NULL}}", options)
        assert listed and re.findall(r'"([^"]+)"', listed[1]) == list(names)


def test_the_coefficients_are_those_of_the_c_code():
    code = (RUNTIME / "pixels.c").read_text()
    rows = re.findall(r"\[TSM_(\w+)\] = {([^}]*)}", code)
    found = {name.lower().replace("_", "-"): tuple(map(int, row.split(", "))) for name, row in rows}
    assert found == {name: pixels.matrix(name) for name in pixels.STANDARDS}


@pytest.mark.parametrize("color", pixels.STANDARDS)
def test_conversion_is_the_nearest_level(color):
    """Every U and V with some Y, against the definition in floating point."""
    red, blue = LUMA[color.split("-")[0]]
    for y in (0, 16, 77, 128, 235, 255):
        u, v = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
        luma = np.full((512, 512), y, np.uint8)
        found = pixels.to_rgb((luma, u, v), "yuv420", color)[::2, ::2].astype(np.float64)
        full = color.endswith("full")
        e = (y - (0 if full else 16)) / (255 if full else 219)
        b, r = ((plane.astype(np.float64) - 128) / (255 if full else 224) for plane in (u, v))
        exact_red, exact_blue = e + 2 * (1 - red) * r, e + 2 * (1 - blue) * b
        exact_green = (e - red * exact_red - blue * exact_blue) / (1 - red - blue)
        exact = np.clip(255 * np.stack([exact_red, exact_green, exact_blue], axis=2), 0, 255)
        assert np.abs(found - exact).max() <= 0.501


def test_opencv_is_within_one_level():
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    planar, packed = rng.integers(16, 236, (72, 64), dtype=np.uint8), rng.integers(16, 236, (48, 64, 2), dtype=np.uint8)
    for frame, format, code in (
        (planar, "yuv420", cv2.COLOR_YUV2RGB_I420),
        (planar, "nv12", cv2.COLOR_YUV2RGB_NV12),
        (packed, "yuyv", cv2.COLOR_YUV2RGB_YUY2),
    ):
        difference = pixels.to_rgb(frame, format).astype(int) - cv2.cvtColor(frame, code).astype(int)
        assert np.abs(difference).max() <= 1, format


@pytest.mark.parametrize(
    ("frame", "format", "found"),
    [
        (np.zeros((4, 4, 3), np.uint8), "grey", "uint8 [4, 4, 3]"),
        (np.zeros((4, 3, 2), np.uint8), "yuyv", "uint8 [4, 3, 2]"),
        (np.zeros((4, 4), np.uint8), "nv12", "uint8 [4, 4]"),
        (np.zeros((6, 5), np.uint8), "yuv420", "uint8 [6, 5]"),
        ((np.zeros((4, 4), np.uint8),) * 2, "yuv420", "tuple of uint8 [4, 4], uint8 [4, 4]"),
        ((np.zeros((4, 4), np.uint8),) * 3, "yuv420", "tuple of uint8"),
        ([], "nv12", "list of nothing"),
        (np.zeros((0, 4), np.uint8), "grey", "uint8 [0, 4]"),
        (np.zeros((4, 4), np.int8), "grey", "int8 [4, 4]"),
    ],
)
def test_frames_that_do_not_fit(frame, format, found):
    with pytest.raises(FrameError) as caught:
        pixels.split(frame, format)
    assert found in str(caught.value.found) and caught.value.allowed


def test_an_unknown_standard():
    with pytest.raises(FrameError, match="standard of color"):
        pixels.to_rgb(np.zeros((4, 4), np.uint8), "grey", "bt2020")
