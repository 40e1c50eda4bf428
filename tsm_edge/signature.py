"""The shape of one step: input, named states, outputs, and how a picture becomes the input tensor.

All shapes are logical NCHW, whatever layout the compiled kernels use inside. Everything here is frozen and checks
itself when it is built, so after construction nobody has to check again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import ModelError
from .records import record_of

#: bytes of one element, by dtype name; the dtypes a step may use
DTYPE_BYTES = {"float32": 4}
#: the orders of colour channels a frame may have
COLORS = ("rgb", "bgr")
#: the channels a network may expect
MODEL_COLORS = (*COLORS, "grey")
#: how a picture is brought to the size of ``Preprocess.resize``
FITS = ("cover", "stretch")


#: a parameter of a network, as JSON and the manifest have it
Scalar = str | int | float | bool


@dataclass(frozen=True)
class TensorSpec:
    """Name, logical NCHW shape and dtype of one tensor.

    Raises:
        ModelError: empty name, empty shape, an extent below 1, an unknown dtype.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ModelError("A tensor needs a name.", found=repr(self.name), allowed="a non-empty string")
        if not all(_is_int(extent) for extent in self.shape):
            raise ModelError(
                f"Tensor '{self.name}': the shape must be integers.", found=self.shape, allowed="integers"
            )
        object.__setattr__(self, "shape", tuple(int(extent) for extent in self.shape))
        if not self.shape or min(self.shape) < 1:
            raise ModelError(
                f"Tensor '{self.name}': bad shape.",
                found=self.shape,
                allowed="one or more extents of 1 and more",
            )
        if self.dtype not in tuple(DTYPE_BYTES):  # a list from a file is not hashable
            raise ModelError(
                f"Tensor '{self.name}': unknown dtype.", found=self.dtype, allowed=", ".join(DTYPE_BYTES)
            )

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes, without padding."""
        return self.size * DTYPE_BYTES[self.dtype]

    def to_json(self) -> dict[str, object]:
        """Return the tensor as plain JSON data."""
        return {"name": self.name, "shape": list(self.shape), "dtype": self.dtype}

    @classmethod
    def from_json(cls, data: object) -> TensorSpec:
        """Read what :meth:`to_json` wrote; ModelError when a key is missing, unknown or of the wrong type."""
        table = _expect_keys("tensor", data, ("name", "shape", "dtype"))
        return record_of(cls, {**table, "shape": tuple(_as_list("shape", table["shape"]))})


@dataclass(frozen=True)
class StatePair:
    """One state: the tensor a step reads and the name of the output that becomes its value for the next step."""

    input: TensorSpec
    output_name: str

    def __post_init__(self) -> None:
        if not isinstance(self.output_name, str) or not self.output_name:
            raise ModelError(
                f"State '{self.input.name}' needs the name of its output.", found=self.output_name
            )
        if self.output_name == self.input.name:
            raise ModelError(
                f"State '{self.input.name}': input and output must have different names.",
                found=self.output_name,
            )

    def to_json(self) -> dict[str, object]:
        """Return the pair as plain JSON data."""
        return {"input": self.input.to_json(), "output_name": self.output_name}

    @classmethod
    def from_json(cls, data: object) -> StatePair:
        """Read what :meth:`to_json` wrote."""
        table = _expect_keys("state", data, ("input", "output_name"))
        return record_of(cls, {**table, "input": TensorSpec.from_json(table["input"])})


@dataclass(frozen=True)
class Signature:
    """Inputs, states and outputs of one step. Every tensor name occurs once."""

    inputs: tuple[TensorSpec, ...]
    states: tuple[StatePair, ...]
    outputs: tuple[TensorSpec, ...]

    def __post_init__(self) -> None:
        for field in ("inputs", "states", "outputs"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        if not self.inputs or not self.outputs:
            raise ModelError(
                "A step needs at least one input and one output.",
                found=f"{len(self.inputs)} inputs, {len(self.outputs)} outputs",
            )
        names = [tensor.name for tensor in (*self.inputs, *self.outputs)]
        names += [name for pair in self.states for name in (pair.input.name, pair.output_name)]
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            raise ModelError("Tensor names of a step must differ.", found="twice: " + ", ".join(twice))

    @property
    def clip_frames(self) -> int:
        """Frames that a step takes at once: 1, but for a network that is given whole clips."""
        shape = self.inputs[0].shape
        return shape[0] if len(shape) == 4 else 1

    @property
    def state_bytes(self) -> int:
        """Bytes of all states of one stream, without padding."""
        return sum(pair.input.nbytes for pair in self.states)

    def to_json(self) -> dict[str, object]:
        """Return the signature as plain JSON data."""
        return {
            "inputs": [tensor.to_json() for tensor in self.inputs],
            "states": [pair.to_json() for pair in self.states],
            "outputs": [tensor.to_json() for tensor in self.outputs],
        }

    @classmethod
    def from_json(cls, data: object) -> Signature:
        """Read what :meth:`to_json` wrote; ModelError when anything is missing, unknown or wrong."""
        table = _expect_keys("signature", data, ("inputs", "states", "outputs"))
        return cls(
            tuple(TensorSpec.from_json(item) for item in _as_list("inputs", table["inputs"])),
            tuple(StatePair.from_json(item) for item in _as_list("states", table["states"])),
            tuple(TensorSpec.from_json(item) for item in _as_list("outputs", table["outputs"])),
        )


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes the input: resize, cut out the centre, scale and normalise.

    Args:
        resize: (height, width), pixels. With ``fit`` "cover" the picture keeps its ratio and is scaled until it just
            covers this size, the longer side rounded down; with "stretch" it gets exactly this size.
        crop: (height, width) of the centre that is kept, the network's input; at most ``resize``.
        mean, std: one number a channel in the order of ``color``; a value becomes (byte / ``scale`` - mean) / std.
        color: "rgb", "bgr", or "grey": one channel, the luma of ITU-R BT.601 computed after the crop.
        rate_fps: frames a second that the network was trained at.
        fit: "cover" or "stretch".
        scale: what a byte is divided by: 255 for a range of 0..1, 1 for 0..255.

    Raises:
        ModelError: a size below 1, a crop larger than the resize, a std of 0, a number of means that is not the number
            of channels, an unknown colour order or fit.
    """

    resize: tuple[int, int]
    crop: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    color: str
    rate_fps: float
    fit: str = "cover"
    scale: float = 255.0

    def __post_init__(self) -> None:
        for field in ("resize", "crop"):
            object.__setattr__(self, field, tuple(_as_list(field, getattr(self, field))))
        sides = (*self.resize, *self.crop)
        if len(self.resize) != 2 or len(self.crop) != 2 or not all(_is_int(side) for side in sides):
            raise ModelError(
                "Preprocessing: resize and crop are (height, width).",
                found=f"resize {self.resize}, crop {self.crop}",
                allowed="two integers each",
            )
        if not all(1 <= crop <= resize for crop, resize in zip(self.crop, self.resize)):
            raise ModelError(
                "Preprocessing: crop and resize do not fit.",
                found=f"resize {self.resize}, crop {self.crop}",
                allowed="1 <= crop <= resize for height and width",
            )
        if self.color not in MODEL_COLORS:
            raise ModelError(
                "Preprocessing: unknown color.", found=self.color, allowed=", ".join(MODEL_COLORS)
            )
        if self.fit not in FITS:
            raise ModelError("Preprocessing: unknown fit.", found=self.fit, allowed=", ".join(FITS))
        for field in ("mean", "std"):
            values = _as_list(field, getattr(self, field))
            if len(values) != self.channels or not all(_is_finite(value) for value in values):
                raise ModelError(
                    f"Preprocessing: bad {field}.",
                    found=values,
                    allowed=f"one finite number a channel, {self.channels} for {self.color}",
                )
            object.__setattr__(self, field, tuple(map(float, getattr(self, field))))
        if min(self.std) <= 0:
            raise ModelError("Preprocessing: std must be positive.", found=self.std, allowed="above 0")
        for field in ("rate_fps", "scale"):
            value = getattr(self, field)
            if not _is_finite(value) or value <= 0:
                raise ModelError(f"Preprocessing: bad {field}.", found=value, allowed="above 0")
            object.__setattr__(self, field, float(value))

    @property
    def channels(self) -> int:
        """Number of channels of the network's input."""
        return 1 if self.color == "grey" else 3

    def to_json(self) -> dict[str, object]:
        """Return the preprocessing as plain JSON data."""
        return {
            "resize": list(self.resize),
            "crop": list(self.crop),
            "mean": list(self.mean),
            "std": list(self.std),
            "color": self.color,
            "rate_fps": self.rate_fps,
            "fit": self.fit,
            "scale": self.scale,
        }

    @classmethod
    def square(
        cls,
        resize: int,
        crop: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        color: str,
        rate_fps: float,
    ) -> Preprocess:
        """Short side to ``resize`` pixels, centre ``crop`` x ``crop``, mean and std of pixels in 0..1."""
        return cls((resize, resize), (crop, crop), mean, std, color, rate_fps)

    @classmethod
    def imagenet(cls, size: int, rate_fps: float = 12.0) -> Preprocess:
        """What TSM was trained with: short side to 256/224 of `size` pixels, centre crop, ImageNet statistics on RGB.

        12 frames a second is the rate of Jester and Something-Something.
        """
        return cls.square(
            round(size * 256 / 224), size, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb", rate_fps
        )

    @classmethod
    def from_json(cls, data: object) -> Preprocess:
        """Read what :meth:`to_json` wrote; ModelError when anything is missing, unknown or wrong."""
        keys = ("resize", "crop", "mean", "std", "color", "rate_fps", "fit", "scale")
        return record_of(cls, _expect_keys("preprocess", data, keys))


def _is_int(value: object) -> bool:
    # beyond 2^53 a reader that keeps numbers as doubles would see another one
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _as_list(field: str, value: object) -> list[object]:
    if not isinstance(value, (list, tuple)):
        raise ModelError(f"'{field}' must be a list.", found=type(value).__name__, allowed="a list")
    return list(value)


def _expect_keys(kind: str, data: object, keys: tuple[str, ...]) -> Mapping[str, object]:
    """The object that ``data`` is, with these keys and no others; ModelError otherwise."""
    if not isinstance(data, Mapping):
        raise ModelError(f"A {kind} must be an object.", found=type(data).__name__, allowed=", ".join(keys))
    if set(data) != set(keys):
        missing = ", ".join(key for key in keys if key not in data) or "nothing"
        unknown = ", ".join(sorted(str(key) for key in data if key not in keys)) or "nothing"
        raise ModelError(
            f"A {kind} has the wrong keys.",
            found=f"missing {missing}; unknown {unknown}",
            allowed=", ".join(keys),
        )
    return data
