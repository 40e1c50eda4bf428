"""How pictures become the input of an ONNX file: options, the file's metadata, and what is assumed."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from tsm_edge.cli import cli
from tsm_edge.compile.frontend import calibration_data, calibration_options, picture_options, preprocessing
from tsm_edge.compile.frontend.preprocessing import MEAN, STD, PictureOptions, decide
from tsm_edge.errors import UsageError
from tsm_edge.signature import FITS, MODEL_COLORS, Preprocess, TensorSpec

SQUARE, WIDE, GREY = (1, 3, 224, 224), (1, 3, 24, 32), (1, 1, 24, 32)


def how(shape: tuple[int, ...], own: Preprocess | None = None, **given: Any) -> Preprocess:
    found = decide(TensorSpec("x", shape), PictureOptions(**given), own).preprocess
    assert found is not None
    return found


def test_nothing_given() -> None:
    assert how(SQUARE) == Preprocess.imagenet(224)
    assert how(WIDE) == Preprocess((27, 37), (24, 32), MEAN, STD, "rgb", 12.0)
    assert how(GREY) == Preprocess((27, 37), (24, 32), (0,), (1,), "grey", 12.0)
    assert how(SQUARE, color="bgr").mean == MEAN[::-1]


@pytest.mark.parametrize(
    ("given", "scale", "mean", "std"),
    [
        ({"range": "0..1"}, 255, 0, 1),
        ({"range": "0..255"}, 1, 0, 1),
        ({"range": "-1..1"}, 127.5, 1, 1),
        ({"range": "-1..1", "mean": (0.5,)}, 127.5, 1.5, 1),
        ({"mean": (0.5,)}, 255, 0.5, 1),
        ({"std": (2.0,)}, 255, 0, 2),
        ({"range": "0..255", "mean": (127.5,), "std": (58.0,)}, 1, 127.5, 58),
    ],
)
def test_ranges(given: dict[str, Any], scale: float, mean: float, std: float) -> None:
    found = how(SQUARE, **given)
    assert (found.scale, found.mean, found.std) == (scale, (mean,) * 3, (std,) * 3)
    found = how(GREY, **given)
    assert (found.scale, found.mean, found.std) == (scale, (mean,), (std,))


def test_sizes() -> None:
    assert how(SQUARE, resize=(256,)).resize == (256, 256)
    assert how(WIDE, resize=(48,)).resize == (48, 64)
    assert how(WIDE, resize=(30, 40)).resize == (30, 40)
    assert how(WIDE, fit="stretch").resize == how(WIDE).crop == (24, 32)
    assert how(WIDE, fit="stretch", resize=(30, 40)).fit == "stretch"
    assert how(WIDE, crop=(24, 32)) == how(WIDE)


OWN = Preprocess((30, 40), (24, 32), (0.1, 0.2, 0.3), (1, 2, 3), "rgb", 25.0)


def test_the_files_own_metadata_and_options_over_it() -> None:
    assert how(WIDE, OWN) == OWN
    found = how(WIDE, OWN, color="bgr", rate=8.0)
    assert found == Preprocess((30, 40), (24, 32), (0.3, 0.2, 0.1), (3, 2, 1), "bgr", 8.0)
    text = decide(TensorSpec("x", WIDE), PictureOptions(color="bgr", rate=8.0), OWN).text
    assert text.endswith("(from the file's metadata, changed by --color, --rate)")


@pytest.mark.parametrize(
    ("shape", "given", "says"),
    [
        (WIDE, {"color": "grey"}, "grey is for one channel"),
        (GREY, {"color": "rgb"}, "grey is for one channel"),
        (GREY, {"mean": (1.0, 2.0, 3.0)}, "one finite number a channel, 1 for grey"),
        (WIDE, {"std": (0.0,)}, "std must be positive"),
        (WIDE, {"resize": (20, 32)}, "1 <= crop <= resize"),
        (WIDE, {"crop": (32, 24)}, "--crop is not the size of the network's input"),
        ((1, 2, 24, 32), {"mean": (0.0,)}, "2 channels"),
        ((1, 24, 32, 3), {"rate": 3.0}, "channels last"),
    ],
)
def test_options_that_do_not_fit(shape: tuple[int, ...], given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as refused:
        decide(TensorSpec("x", shape), PictureOptions(**given), None)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ((1, 24, 32, 3), "channels last"),
        ((1, 24, 32, 1), "channels last"),
        ((1, 2, 24, 32), "2 channels"),
        ((1, 3, 8, 24, 32), "5 dimensions"),
        ((1, 64), "2 dimensions"),
    ],
)
def test_a_network_that_the_demo_cannot_feed_is_told_so(shape: tuple[int, ...], says: str) -> None:
    found = decide(TensorSpec("x", shape), PictureOptions(), None)
    assert found.preprocess is None
    assert (
        found.text.startswith("preprocessing: none, the demo cannot feed this network: ")
        and says in found.text
    )


def text(**given: Any) -> str:
    return decide(TensorSpec("x", WIDE), PictureOptions(**given), None).text


def test_what_is_assumed_is_said() -> None:
    assert text() == (
        "preprocessing: cover 27x37, centre 24x32, rgb, "
        "(byte / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], 12 frames/s "
        "(assumed; set with --mean --std --range --color --rate --resize --fit)"
    )
    assert text(range="0..255", color="bgr").endswith(
        "bgr, (byte - 0) / 1, 12 frames/s (--rate --resize --fit assumed)"
    )
    assert text(range="0..1", color="rgb", rate=5.0, resize=(24, 32)).endswith("5 frames/s (as given)")


def test_the_options_know_what_there_is() -> None:
    assert picture_options.COLORS == MODEL_COLORS
    assert picture_options.FITS == FITS
    assert tuple(preprocessing.RANGES) == picture_options.RANGES
    assert tuple(vars(PictureOptions())) == picture_options.NAMES
    assert tuple(vars(calibration_data.CalibrationOptions())) == calibration_options.NAMES


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        ("net.onnx", ["--mean", "a,b,c"], "--mean needs numbers"),
        ("net.onnx", ["--mean", "1,2"], "--mean needs numbers"),
        ("net.onnx", ["--std", "nan"], "--std needs numbers"),
        ("net.onnx", ["--resize", "0x5"], "--resize needs a size"),
        ("net.onnx", ["--crop", "5x"], "--crop needs a size"),
        ("net.onnx", ["--rate", "-3"], "--rate needs frames a second"),
        ("net.onnx", ["--rate", "inf"], "--rate needs frames a second"),
        ("net.onnx", ["--range", "0..2"], "0..255"),
        ("tsm-mobilenetv2", ["--color", "bgr"], "--color is for ONNX files"),
        ("gestures", ["--range", "-1..1"], "--range is for ONNX files"),
    ],
)
def test_bad_options_are_refused_before_anything_is_loaded(model: str, options: list[str], says: str) -> None:
    result = CliRunner().invoke(cli, ["compile", model, "--target", "local", *options])
    assert result.exit_code == 2, result.output
    assert says in result.stderr
