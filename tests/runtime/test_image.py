"""The image path of the library against Pillow and numpy, bit by bit."""

from __future__ import annotations

import ctypes
from mmap import PAGESIZE

import numpy as np
import pytest
from PIL import Image

from tsm_edge import frames, pixels
from tsm_edge.signature import Preprocess

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
BGR, RGB = 0, 1


class TsmImage(ctypes.Structure):
    _fields_ = (
        ("pixels", ctypes.c_void_p),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("stride", ctypes.c_size_t),
        ("format", ctypes.c_int),
    )


class Library:
    """A tiny model whose state 0 is the frame that the image path made."""

    def __init__(self, path, crop, resize, threads, shape=None):
        self.crop, self.resize = crop, resize
        self.shape = shape or (3, crop, crop)
        self.calls = ctypes.CDLL(str(path))
        self.calls.tsm_error.restype = ctypes.c_char_p
        error, model, self.stream = ctypes.create_string_buffer(512), ctypes.c_void_p(), ctypes.c_void_p()
        assert self.calls.tsm_open(ctypes.byref(model), error, ctypes.c_size_t(512)) == 0, error.value
        arguments = (model, threads, ctypes.byref(self.stream), error, ctypes.c_size_t(512))
        assert self.calls.tsm_stream_new(*arguments) == 0, error.value

    def read(self, pixels, width, stride, pixel_format):
        image = TsmImage(pixels.ctypes.data, width, len(pixels), stride, pixel_format)
        status = self.calls.tsm_step_image(self.stream, ctypes.byref(image))
        assert status == 0, self.calls.tsm_error(self.stream)
        return self.state()

    def state(self):
        out = np.empty(self.shape, np.float32)
        place, size = ctypes.c_void_p(out.ctypes.data), ctypes.c_size_t(out.size)
        assert self.calls.tsm_state_get(self.stream, ctypes.c_size_t(0), place, size) == 0
        return out


#: crop below resize, equal to it, not a multiple of a block, and the shape of a real model
SHAPES = ((20, 24, 1), (31, 31, 2), (224, 256, 2))


@pytest.fixture(scope="module", params=SHAPES, ids=lambda shape: f"crop{shape[0]}of{shape[1]}")
def library_of(request, build, library):
    crop, resize, threads = request.param
    macros = (f"-DTINY_CROP={crop}", f"-DTINY_RESIZE={resize}", "-shared", "-fPIC", "-fvisibility=hidden")
    return Library(build(f"libtiny{crop}.so", library, *macros), crop, resize, threads)


def resized(rgb, resize):
    """Pillow, one axis after the other: horizontal first, in every version of Pillow.

    Pillow 13 runs the vertical pass first where a picture loses more than twice as many rows as columns, which moves a
    few bytes by one. The runtime keeps the order that Pillow had when the models were trained.
    """
    height, width = rgb.shape[:2]
    short = min(width, height)
    wide, tall = int(resize * width / short), int(resize * height / short)
    return Image.fromarray(rgb).resize((wide, height), Image.BILINEAR).resize((wide, tall), Image.BILINEAR)


def expected(rgb, crop, resize):
    """torchvision's Resize, CenterCrop, ToTensor and Normalize."""
    picture = resized(rgb, resize)
    left, top = (int(round((side - crop) / 2.0)) for side in picture.size)
    pixels = np.asarray(picture.crop((left, top, left + crop, top + crop)), np.float32)
    return ((pixels / np.float32(255) - MEAN) / STD).transpose(2, 0, 1)


def sizes(resize):
    """Named sizes, then random ones: width, height."""
    yield from ((640, 480), (480, 640), (resize, resize), (1, 1), (1, 7), (9, 1), (2, 3), (1920, 1080))
    yield from ((resize - 1, resize + 1), (resize + 1, resize), (2 * resize, 2 * resize + 1), (37, 351))
    rng = np.random.default_rng(resize)
    for _ in range(40):
        width, height = (int(side) for side in rng.integers(1, 500, 2))
        if max(width, height) < 60 * min(width, height):  # a strip of one pixel would be resized to a mile
            yield width, height


def test_equal_to_pillow_bit_by_bit(library_of):
    rng = np.random.default_rng(7)
    for width, height in sizes(library_of.resize):
        padding, pixel_format = int(rng.integers(0, 7)), int(rng.integers(0, 2))
        stride = 3 * width + padding
        pixels = rng.integers(0, 256, (height, stride), dtype=np.uint8)
        image = pixels[:, : 3 * width].reshape(height, width, 3)
        rgb = np.ascontiguousarray(image if pixel_format == RGB else image[..., ::-1])
        found = library_of.read(pixels, width, stride, pixel_format)
        assert np.array_equal(found, expected(rgb, library_of.crop, library_of.resize)), (width, height)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (320, 240), (1280, 720), (100, 200)])
def test_the_reference_is_pillow_in_one_call(size):
    """For the frames of cameras the two passes are what Image.resize does."""
    rgb = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    both = resized(rgb, 256)
    direct = Image.fromarray(rgb).resize(both.size, Image.BILINEAR)
    assert np.array_equal(np.asarray(both), np.asarray(direct))


def test_extremes_keep_their_value(library_of):
    for value in (0, 255):
        pixels = np.full((50, 70 * 3), value, np.uint8)
        found = library_of.read(pixels, 70, 210, BGR)
        assert np.array_equal(found, expected(pixels.reshape(50, 70, 3), library_of.crop, library_of.resize))


def test_a_model_that_wants_bgr(build, library):
    path = build(
        "libbgr.so", library, "-DTINY_COLOR=TSM_MODEL_BGR", "-shared", "-fPIC", "-fvisibility=hidden"
    )
    model = Library(path, 20, 24, 1)
    pixels = np.random.default_rng(3).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    found = model.read(pixels.reshape(40, 150), 50, 150, BGR)
    assert np.array_equal(found, expected(pixels, 20, 24))  # mean and std go by the model's channels


@pytest.mark.parametrize("pixel_format", [BGR, RGB])
@pytest.mark.parametrize("fit", ["cover", "stretch"])
@pytest.mark.parametrize("color", ["rgb", "bgr", "grey"])
def test_rectangles_colours_and_ranges_are_those_of_the_reference(build, library, color, fit, pixel_format):
    """A rectangle of odd sides; a grey network with a range of 0..255 as well."""
    channels, scale = (1, 1.0) if color == "grey" else (3, 255.0)
    how = Preprocess(
        (30, 47),
        (23, 41),
        tuple(MEAN.tolist())[:channels],
        tuple(STD.tolist())[:channels],
        color,
        12.0,
        fit,
        scale,
    )
    macros = [f"-DTINY_COLOR=TSM_MODEL_{color.upper()}", f"-DTINY_STRETCH={int(fit == 'stretch')}"]
    macros += ["-DTINY_RESIZE=30", "-DTINY_RESIZE_WIDTH=47", "-DTINY_CROP=23", "-DTINY_CROP_WIDTH=41"]
    macros += [f"-DTINY_SCALE={scale}f", "-shared", "-fPIC", "-fvisibility=hidden"]
    model = Library(build(f"lib{color}{fit}.so", library, *macros), 0, 0, 2, (channels, 23, 41))
    rng = np.random.default_rng(5)
    for width, height in ((640, 480), (480, 640), (47, 30), (1, 1), (61, 17), (90, 300)):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        found = model.read(pixels.reshape(height, 3 * width), width, 3 * width, pixel_format)
        expected = frames.preprocess(pixels, how, format="rgb" if pixel_format == RGB else "bgr")
        assert np.array_equal(found, expected[0]), (width, height)


def test_no_byte_beyond_the_image_is_read(build, library):
    """The picture ends where its memory ends; the page behind it cannot be read."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    base = libc.mmap(None, 4 * PAGESIZE, 3, 0x22, -1, 0)  # read and write, private and anonymous
    assert libc.mprotect(ctypes.c_void_p(base + 3 * PAGESIZE), ctypes.c_size_t(PAGESIZE), 0) == 0
    crop = 31
    path = build(
        "libedge.so", library, f"-DTINY_CROP={crop}", f"-DTINY_RESIZE={crop}", "-shared", "-fPIC", "-O2"
    )
    model = Library(path, crop, crop, 1)
    for side in (crop, crop + 1, 40, 60):
        bytes_ = side * side * 3
        view = (ctypes.c_uint8 * bytes_).from_address(base + 3 * PAGESIZE - bytes_)
        pixels = np.frombuffer(view, np.uint8).reshape(side, side * 3)
        pixels[:] = np.arange(bytes_, dtype=np.uint32).reshape(pixels.shape) % 251
        found = model.read(pixels, side, side * 3, RGB)
        assert np.array_equal(found, expected(pixels.reshape(side, side, 3).copy(), crop, crop))


# -- Frames of several planes ------------------------------------------------------------------------------------------


class TsmFrame(ctypes.Structure):
    _fields_ = (
        ("planes", ctypes.c_void_p * 3),
        ("strides", ctypes.c_size_t * 3),
        *((name, ctypes.c_int32) for name in ("chroma_step", "width", "height", "format", "color")),
    )


HOW = Preprocess.square(24, 20, tuple(MEAN.tolist()), tuple(STD.tolist()), "rgb", 12.0)


@pytest.fixture(scope="module")
def small(build, library):
    """On two threads, under the sanitizer of undefined behaviour."""
    flags = ("-shared", "-fPIC", "-fvisibility=hidden", "-fsanitize=undefined", "-fno-sanitize-recover=all")
    return Library(build("libsmall.so", library, *flags), 20, 24, 2)


def planes_of(format, height, width, rng, pad=0):
    """Random planes of a format, rows `pad` bytes apart, as the views that Python's Stream takes, and in memory."""
    half = ((height + 1) // 2, (width + 1) // 2)
    shapes = {
        "bgr": [(height, 3 * width)],
        "rgb": [(height, 3 * width)],
        "grey": [(height, width)],
        "yuyv": [(height, 4 * half[1])],
        "nv12": [(height, width), (half[0], 2 * half[1])],
        "yuv420": [(height, width), half, half],
    }[format]
    memory = [rng.integers(0, 256, (rows, row + pad), dtype=np.uint8) for rows, row in shapes]
    views = [plane[:, : plane.shape[1] - pad] for plane in memory]
    if format in ("bgr", "rgb"):
        return views[0].reshape(height, width, 3), memory
    if format == "nv12":
        return (views[0], views[1].reshape(*half, 2)), memory
    if format == "yuv420":
        return tuple(views), memory
    return (views[0].reshape(height, -1, 2) if format == "yuyv" else views[0]), memory


def step_frame(model, memory, height, width, format, color, chroma_step=0):
    strides = [plane.strides[0] for plane in memory]
    frame = TsmFrame(
        (ctypes.c_void_p * 3)(*(plane.ctypes.data for plane in memory)),
        (ctypes.c_size_t * 3)(*strides),
        *(chroma_step, width, height, pixels.FORMATS[format], pixels.STANDARDS[color]),
    )
    status = model.calls.tsm_step_frame(model.stream, ctypes.byref(frame))
    assert status == 0, model.calls.tsm_error(model.stream)
    return model.state()


@pytest.mark.parametrize("color", pixels.STANDARDS)
@pytest.mark.parametrize("format", pixels.FORMATS)
def test_every_format_is_the_reference_bit_by_bit(small, format, color):
    rng = np.random.default_rng(11)
    for width, height in ((64, 48), (33, 57), (1, 1), (2, 3), (25, 24)):
        frame, memory = planes_of(format, height, width, rng, pad=int(rng.integers(0, 5)))
        found = step_frame(small, memory, height, width, format, color)
        if format == "yuyv" and width % 2:  # numpy's form has whole pairs; the last pixel is beyond the picture
            frame = pixels.to_rgb(frame, format, color)[:, :width]
            expected = frames.preprocess(frame, HOW, format="rgb")
        else:
            expected = frames.preprocess(frame, HOW, format=format, color=color)
        assert np.array_equal(found, expected[0]), (width, height)


@pytest.mark.parametrize("first", ["u", "v"])
def test_androids_interleaved_planes(small, first):
    """YUV_420_888 with a pixel stride of 2: the same samples as of three planes."""
    rng = np.random.default_rng(2)
    (y, u, v), _ = planes_of("yuv420", 31, 47, rng)
    both = np.ascontiguousarray(np.stack([u, v] if first == "u" else [v, u], axis=2))
    flat = both.reshape(len(u), -1)
    memory = [y, flat[:, 0:] if first == "u" else flat[:, 1:], flat[:, 1:] if first == "u" else flat[:, 0:]]
    found = step_frame(small, memory, 31, 47, "yuv420", "bt601", chroma_step=2)
    assert np.array_equal(found, frames.preprocess((y, u, v), HOW, format="yuv420")[0])
