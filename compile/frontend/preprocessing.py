"""How pictures become the input of an ONNX file: what its author says in options or metadata, and what is assumed.

Without options or metadata, a colour picture is prepared as torchvision does for ImageNet, at the 12 frames a second of
the gesture data sets; what was assumed is printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tsm_edge.errors import ModelError, UsageError
from tsm_edge.signature import Preprocess, TensorSpec

#: ImageNet's, of red, green and blue in 0..1
MEAN: tuple[float, ...] = (0.485, 0.456, 0.406)
STD: tuple[float, ...] = (0.229, 0.224, 0.225)
RATE_FPS = 12.0
#: ratio of the short side after resizing to the crop, as torchvision evaluates
MARGIN = 256 / 224
#: range of the values before mean and std -> what a byte is divided by, what is subtracted then
RANGES = {"0..1": (255.0, 0.0), "0..255": (1.0, 0.0), "-1..1": (127.5, 1.0)}


@dataclass(frozen=True)
class PictureOptions:
    """The options of `tsm-edge compile` that say how pictures are prepared; None where one is not given.

    resize, crop: (height, width), or (side,).
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    range: str | None = None
    color: str | None = None
    rate: float | None = None
    resize: tuple[int, ...] | None = None
    crop: tuple[int, ...] | None = None
    fit: str | None = None

    def names(self) -> list[str]:
        """The options that are given, as they are written."""
        return [f"--{name}" for name, value in vars(self).items() if value is not None]


NOTHING = PictureOptions()


@dataclass(frozen=True)
class Decided:
    """How pictures are prepared, or None where the demo cannot feed the network; `text` says it in one line."""

    preprocess: Preprocess | None
    text: str


def decide(frame: TensorSpec, given: PictureOptions, own: Preprocess | None) -> Decided:
    """The preprocessing of an input: from the options, else the file's own metadata, else the defaults.

    Raises:
        UsageError: an option that does not fit the input.
    """
    why = no_picture(frame.shape)
    if why is not None:
        if given.names():
            raise UsageError(
                f"{given.names()[0]} is for networks that take a picture, and '{frame.name}' is none.",
                found=why,
                allowed="[1, 3, height, width] or [1, 1, height, width]",
            )
        return Decided(None, f"preprocessing: none, the demo cannot feed this network: {why}")
    channels, height, width = frame.shape[1:]
    if given.crop is not None and both(given.crop) != (height, width):
        raise UsageError(
            "--crop is not the size of the network's input.",
            found=by(both(given.crop)),
            allowed=by((height, width)),
        )
    base = own or assumed(channels, (height, width), given)
    how = merged(base, given)
    if how.channels != channels or how.crop != (height, width):
        raise UsageError(
            "The preprocessing is not that of the network's input.",
            found=f"{how.channels} channels, {by(how.crop)}",
            allowed=f"{channels} channels, {by((height, width))}",
            hint="--color grey is for one channel, rgb and bgr are for three",
        )
    return Decided(how, f"preprocessing: {words(how)} ({source(given, own)})")


def no_picture(shape: Sequence[int]) -> str | None:
    """Why an input is no picture of the demo, or None where it is one."""
    found = str(list(shape))
    if len(shape) != 4:
        return f"its input {found} has {len(shape)} dimensions, a picture has 4"
    if shape[1] in (1, 3):
        return None
    if shape[3] in (1, 3):
        return f"its input {found} has the channels last; export it with the channels first, [1, 3, height, width]"
    return f"its input {found} has {shape[1]} channels, a picture has 3, or 1 for grey"


def assumed(channels: int, size: tuple[int, int], given: PictureOptions) -> Preprocess:
    """The defaults: ImageNet's statistics for colours, plain numbers for grey."""
    color = given.color or ("grey" if channels == 1 else "rgb")
    resize = size if given.fit == "stretch" else grown(size, MARGIN)
    plain = channels == 1 or color == "grey" or given.range or given.mean or given.std
    if plain:
        count = 1 if color == "grey" else 3
        return Preprocess(resize, size, (0.0,) * count, (1.0,) * count, color, RATE_FPS)
    mean, std = (MEAN[::-1], STD[::-1]) if color == "bgr" else (MEAN, STD)
    return Preprocess(resize, size, mean, std, color, RATE_FPS)


def merged(base: Preprocess, given: PictureOptions) -> Preprocess:
    """`base` with what is given in its place; UsageError names an option that does not fit."""
    try:
        how = recolored(base, given)
        if given.fit is not None:
            how = replace(how, fit=given.fit)
        if given.resize is not None:
            how = replace(how, resize=resized(given.resize, how))
        return how if given.rate is None else replace(how, rate_fps=given.rate)
    except ModelError as error:
        raise UsageError(error.what, found=error.found, allowed=error.allowed, hint=error.hint) from error


def recolored(base: Preprocess, given: PictureOptions) -> Preprocess:
    """`base` with what --color, --range, --mean and --std change."""
    color = given.color or base.color
    scale, offset = RANGES[given.range] if given.range else (base.scale, 0.0)
    mean, std = base.mean, base.std
    if given.range:
        mean, std = (0.0,), (1.0,)
    elif {color, base.color} == {"rgb", "bgr"}:
        mean, std = mean[::-1], std[::-1]
    count = 1 if color == "grey" else 3
    mean = per_channel(given.mean if given.mean is not None else mean, count)
    std = per_channel(given.std if given.std is not None else std, count)
    return replace(base, color=color, scale=scale, mean=tuple(value + offset for value in mean), std=std)


def per_channel(values: tuple[float, ...], count: int) -> tuple[float, ...]:
    """A single number repeated for all channels."""
    return values * count if len(values) == 1 else values


def resized(given: tuple[int, ...], how: Preprocess) -> tuple[int, int]:
    """--resize: both sides, or the short one with the ratio of the network's input."""
    if len(given) == 2 or how.crop[0] == how.crop[1]:
        return both(given)
    return grown(how.crop, given[0] / min(how.crop))


def grown(size: tuple[int, int], factor: float) -> tuple[int, int]:
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def both(sides: tuple[int, ...]) -> tuple[int, int]:
    return sides[0], sides[-1]


def by(size: tuple[int, int]) -> str:
    """A size as the options write it: height, then width."""
    return f"{size[0]}x{size[1]}"


def words(how: Preprocess) -> str:
    """The preprocessing in one line; sizes are height x width."""
    cut = f", centre {by(how.crop)}" if how.crop != how.resize else ""
    scaled = "" if how.scale == 1 else f" / {how.scale:g}"
    mean, std = (listed(values) for values in (how.mean, how.std))
    return f"{how.fit} {by(how.resize)}{cut}, {how.color}, (byte{scaled} - {mean}) / {std}, {how.rate_fps:g} frames/s"


def listed(values: tuple[float, ...]) -> str:
    """Numbers, once where all are equal."""
    kept = values[:1] if len(set(values)) == 1 else values
    text = ", ".join(f"{value:g}" for value in kept)
    return f"[{text}]" if len(kept) > 1 else text


def source(given: PictureOptions, own: Preprocess | None) -> str:
    """Who says so."""
    names = ", ".join(given.names())
    if own is not None:
        return f"from the file's metadata{f', changed by {names}' if names else ''}"
    # a range says what the values are, so that mean 0 and std 1 are no guess
    decided = {
        *given.names(),
        *(("--mean", "--std") if given.range or given.mean or given.std else ()),
        "--crop",
    }
    decided |= {"--range"} if given.mean or given.std else set()
    decided |= {"--fit"} if given.resize else set()
    left = [f"--{name}" for name in vars(PictureOptions()) if f"--{name}" not in decided]
    if not left:
        return "as given"
    if not names:
        return "assumed; set with " + " ".join(left)
    return f"{' '.join(left)} assumed"
