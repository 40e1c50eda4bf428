"""Preprocessing: bit-equal to Pillow, and the steps around the resize."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tsm_edge import frames
from tsm_edge.errors import FrameError
from tsm_edge.signature import Preprocess

HOW = Preprocess.square(36, 32, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb", 12.0)
WIDE = Preprocess((30, 40), (24, 36), HOW.mean, HOW.std, "bgr", 12.0)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def stripes(height, width):
    """Black and white columns: the hardest case for antialiasing and for clipping."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, ::2] = 255
    return image


@pytest.mark.parametrize(
    ("height", "width"),
    [
        (48, 64),
        (64, 48),
        (100, 176),
        (37, 53),
        (36, 36),
        (36, 50),
        (20, 20),
        (7, 9),
        (1, 1),
        (1, 5),
        (480, 641),
    ],
)
@pytest.mark.parametrize("picture", [noise, stripes])
def test_resize_is_bit_equal_to_pillow(height, width, picture):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    source = picture(height, width)
    size = frames.fitted_size(width, height, HOW)
    expected = np.asarray(image.fromarray(source).resize(size, image.Resampling.BILINEAR))
    found = frames.resize(source, *size)
    assert np.array_equal(found, expected)


def test_one_colour_stays_exactly_that_colour():
    assert (frames.resize(np.full((31, 47, 3), 255, np.uint8), 17, 90) == 255).all()
    assert (frames.resize(np.full((31, 47, 3), 1, np.uint8), 17, 90) == 1).all()


@pytest.mark.parametrize(
    ("size", "fitted"),
    [((640, 480), (341, 256)), ((480, 640), (256, 341)), ((176, 100), (450, 256)), ((256, 256), (256, 256))],
)
def test_the_long_side_is_rounded_down(size, fitted):
    assert frames.fitted_size(*size, Preprocess.imagenet(224)) == fitted


@pytest.mark.parametrize(
    ("size", "fitted"),
    [((640, 480), (40, 30)), ((480, 640), (40, 53)), ((1920, 1080), (53, 30)), ((40, 30), (40, 30))],
)
def test_a_rectangle_is_just_covered(size, fitted):
    assert frames.fitted_size(*size, WIDE) == fitted
    assert frames.fitted_size(*size, dataclasses.replace(WIDE, fit="stretch")) == (40, 30)
    assert frames.preprocess(noise(*size[::-1]), WIDE).shape == (1, 3, 24, 36)


def test_grey_is_bit_equal_to_pillow():
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    rgb = noise(24, 36)
    assert np.array_equal(frames.luma(rgb)[:, :, 0], np.asarray(image.fromarray(rgb).convert("L")))
    how = Preprocess((24, 36), (24, 36), (0.5,), (0.5,), "grey", 12.0, scale=1.0)
    found = frames.preprocess(rgb, how, format="rgb")
    assert found.shape == (1, 1, 24, 36)
    assert np.array_equal(found[0, 0], (frames.luma(rgb)[:, :, 0].astype(np.float32) - 0.5) / 0.5)
    assert np.array_equal(found, frames.preprocess(rgb[:, :, ::-1], how))


@pytest.mark.parametrize(("size", "corner"), [(4, 0), (5, 0), (6, 1), (7, 2), (8, 2), (9, 2)])
def test_the_corner_of_the_crop_is_rounded_half_to_even(size, corner):
    image = np.arange(size, dtype=np.uint8)[:, None, None].repeat(size, 1)
    assert frames.centre_crop(image, (4, 4))[0, 0, 0] == corner


def test_normalise():
    image = np.zeros((2, 2, 3), np.uint8)
    image[..., 1] = 255
    out = frames.normalise(image, Preprocess.square(2, 2, (0.5, 0.5, 0.5), (0.25, 0.5, 1.0), "rgb", 12.0))
    assert out.shape == (1, 3, 2, 2) and out.dtype == np.float32 and out.flags.c_contiguous
    assert [float(out[0, c, 0, 0]) for c in range(3)] == [-2.0, 1.0, -0.5]


def test_channels_are_put_in_the_order_of_the_model():
    frame = noise(48, 64)
    as_bgr = frames.preprocess(frame, HOW)
    as_rgb = frames.preprocess(frame[:, :, ::-1], HOW, format="rgb")
    assert as_bgr.shape == (1, 3, 32, 32)
    assert np.array_equal(as_bgr, as_rgb)
    assert not np.array_equal(as_bgr, frames.preprocess(frame, HOW, format="rgb"))


def test_a_constant_picture():
    frame = np.full((50, 60, 3), (30, 20, 10), np.uint8)  # blue, green, red
    out = frames.preprocess(frame, HOW)
    for channel, (value, mean, std) in enumerate(zip((10, 20, 30), HOW.mean, HOW.std)):
        assert out[0, channel] == pytest.approx((value / 255 - mean) / std, abs=1e-6)


@pytest.mark.parametrize(
    ("frame", "part"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((4, 4), np.uint8), "[4, 4]"),
        (np.zeros((4, 4, 4), np.uint8), "[4, 4, 4]"),
        (np.zeros((0, 4, 3), np.uint8), "[0, 4, 3]"),
        ([[1]], "list"),
    ],
)
def test_bad_frames(frame, part):
    with pytest.raises(FrameError) as caught:
        frames.preprocess(frame, HOW)
    assert part in str(caught.value.found)


def test_bad_format():
    with pytest.raises(FrameError, match="pixel format"):
        frames.preprocess(noise(4, 4), HOW, format="yuv")
