"""The records of a bundle's ``manifest.json``. They follow the format that is specified in ``tsm_edge.bundle``.

Every record is frozen and checks itself when it is built; whatever breaks a rule raises ``BundleError`` with the name
``manifest-malformed``. The checks of a field derive from its annotation, so a new field is one line here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import NoReturn, Protocol, runtime_checkable

from ..decision import SCORES, DecisionRule
from ..errors import BundleError, ModelError
from ..records import Record, record_of
from ..signature import Preprocess, Scalar, Signature
from ..target import CPU_FEATURES, FAMILIES, LIBCS, LINKS, EdgeTarget

#: what a file of a bundle may be called; no folders, nothing hidden
FILE_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*")
#: the parameter that is no network's: which layers of an int8 bundle compute in floats
FLOAT_LAYERS = "float_layers"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def malformed(path: str, found: object, allowed: object) -> NoReturn:
    """Raise the error ``manifest-malformed`` for the key at ``path``."""
    raise BundleError(
        f"manifest.json: bad value of '{path}'.",
        name="manifest-malformed",
        found=repr(found),
        allowed=allowed,
        hint="compile the bundle again",
    )


@dataclass(frozen=True)
class WeightsInfo:
    """Where the weights came from; ``sha256`` is that of the checkpoint file, empty when there was none."""

    source: str
    note: str
    sha256: str

    def __post_init__(self) -> None:
        _one_of("model.weights.source", self.source, ("default", "file", "seeded", "onnx"))
        if self.sha256 and not _SHA256.fullmatch(self.sha256):
            malformed("model.weights.sha256", self.sha256, "64 hexadecimal digits or nothing")


@dataclass(frozen=True)
class ModelInfo:
    """The network and the parameters it was built with."""

    name: str
    parameters: dict[str, Scalar]
    weights: WeightsInfo
    source: str

    def __post_init__(self) -> None:
        _one_of("model.source", self.source, ("zoo", "onnx"))
        for name, least in (("delay_frames", 0), ("clip_frames", 1), ("window_stride", 1), ("seen_frames", 1)):
            value = self.parameters.get(name, least)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 1000:
                malformed(f"model.parameters.{name}", value, f"an integer from {least} to 1000")

    @property
    def delay_frames(self) -> int:
        """Frames by which an answer is behind the newest frame: those of a network that looks into the future, or of a
        clip before its last one. To the first so many frames there is no answer.
        """
        return int(self.parameters.get("delay_frames", 0))

    @property
    def clip_frames(self) -> int:
        """Frames that the network takes at once: 1 where it runs frame by frame."""
        return int(self.parameters.get("clip_frames", 1))

    @property
    def window_stride(self) -> int:
        """New frames from one run of the network to the next."""
        return int(self.parameters.get("window_stride", 1))

    @property
    def seen_frames(self) -> int:
        """Frames that an answer of a stream of the family is computed from, the newest one and those it keeps features
        of; to the first ones, frames that have not come yet are zeros. 1 for a network that shifts.
        """
        return int(self.parameters.get("seen_frames", 1))

    @property
    def float_layers(self) -> str:
        """Of an int8 bundle the layers that compute in floats, and in which: "float16: a, b"; empty without any."""
        return str(self.parameters.get(FLOAT_LAYERS, ""))

    @property
    def form(self) -> str:
        """How it runs: "stream", "lagged" (a stream with a delay) or "clip" (a sliding window)."""
        if self.clip_frames > 1:
            return "clip"
        return "lagged" if self.delay_frames else "stream"


@dataclass(frozen=True)
class TargetInfo:
    """The facts of the target that are checked when the bundle is opened."""

    name: str
    family: str
    arch: str
    os: str
    libc: str
    glibc: str
    link: str
    requires: tuple[str, ...]
    fallback: str

    def __post_init__(self) -> None:
        _one_of("target.family", self.family, FAMILIES)
        _one_of("target.arch", self.arch, tuple(CPU_FEATURES))
        _one_of("target.os", self.os, ("linux",))
        _one_of("target.libc", self.libc, LIBCS)
        _one_of("target.link", self.link, LINKS)
        for feature in self.requires:
            _one_of("target.requires", feature, CPU_FEATURES[self.arch])
        if not re.fullmatch(r"[0-9]{1,4}\.[0-9]{1,4}" if self.libc == "glibc" else "", self.glibc):
            malformed("target.glibc", self.glibc, 'a version like "2.27" for glibc, otherwise nothing')

    @classmethod
    def of(cls, target: EdgeTarget) -> TargetInfo:
        """Take over what a bundle records of ``target``."""
        shared = {f.name: getattr(target, f.name) for f in fields(cls) if f.name not in ("os", "requires")}
        return cls(**shared, os="linux", requires=target.cpu.requires)


@dataclass(frozen=True)
class PlanInfo:
    """Sizes of the plan: number of kernel calls, bytes of each memory (of one stream), MACs of one step."""

    steps: int
    arena_bytes: int
    state_bytes: int
    weights_bytes: int
    scratch_bytes: int
    macs: int


@dataclass(frozen=True)
class DeviceInfo:
    """What the kernels ask of a GPU, for a reader without the library: the library checks it when it is opened.

    ``api`` is the driver's interface. For CUDA, ``compute_capability`` (53 is 5.3) and ``driver_cuda`` (10020 is 10.2)
    are the least that will do, ``ptx_isa`` (64 is 6.4) is that of the program; all three are 0 for OpenCL.
    ``group_threads`` and ``shared_bytes`` are the largest of any launch.
    """

    api: str
    compute_capability: int
    ptx_isa: int
    driver_cuda: int
    group_threads: int
    shared_bytes: int

    def __post_init__(self) -> None:
        _one_of("device.api", self.api, ("cuda", "opencl"))
        if self.group_threads < 1:
            malformed("device.group_threads", self.group_threads, "1 or more")
        for name in ("compute_capability", "ptx_isa", "driver_cuda"):
            if bool(getattr(self, name)) != (self.api == "cuda"):
                malformed(f"device.{name}", getattr(self, name), "above 0 for cuda, otherwise 0")


@dataclass(frozen=True)
class FileEntry:
    """What one file must be."""

    sha256: str
    bytes: int

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            malformed("files.….sha256", self.sha256, "64 hexadecimal digits")


@dataclass(frozen=True)
class Manifest:
    """All of ``manifest.json`` but its ``format`` number. ``preprocess`` is None for a network that takes no picture;
    ``scores`` is one of ``decision.SCORES``; ``files`` is empty until :func:`tsm_edge.bundle.write` fills it in."""

    model: ModelInfo
    labels: tuple[str, ...]
    preprocess: Preprocess | None
    signature: Signature
    target: TargetInfo
    backend: str
    precision: str
    threads: int
    plan: PlanInfo
    compiler: dict[str, str]
    scores: str = "logits"
    decision: DecisionRule = DecisionRule()
    device: DeviceInfo | None = None
    files: dict[str, FileEntry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        classes = self.signature.outputs[0].shape[-1]
        if self.labels and len(self.labels) != classes:
            malformed(
                "labels", f"{len(self.labels)} labels", f"none, or one for each of the {classes} classes"
            )
        if self.decision.idle and self.decision.idle[-1] >= classes:
            malformed("decision.idle", self.decision.idle, f"indices below {classes}, the number of classes")
        _one_of("precision", self.precision, ("float32", "float16", "int8"))
        _one_of("scores", self.scores, SCORES)
        if (self.device.api if self.device else "cpu") != self.target.family:
            malformed("device", self.device, "the requirements of target.family, or null for family cpu")
        if not 1 <= self.threads <= 64:
            malformed("threads", self.threads, "1 to 64")
        for name in self.files:
            if not FILE_NAME.fullmatch(name) or name == "manifest.json":
                malformed("files", name, "plain file names, and not manifest.json itself")

    @property
    def library(self) -> str:
        """Name of the file with the kernels, the weights and the runtime."""
        return "libtsm.a" if self.target.link == "static" else "libtsm.so"

    @property
    def half_sums(self) -> bool:
        """Whether float16 is summed in float16, too: on a processor with that arithmetic, not on a GPU."""
        return self.precision == "float16" and self.device is None and "fp16" in self.target.requires

    def with_files(self, files: Mapping[str, FileEntry]) -> Manifest:
        """Return a copy that lists ``files``; all files that the format needs must be among them."""
        for name in (self.library, "tsm-edge-run", "tsm_edge.h", "plan.txt"):
            if name not in files:
                malformed("files", ", ".join(sorted(files)) or "nothing", f"{name} among them")
        return replace(self, files=dict(sorted(files.items())))

    def to_json(self) -> dict[str, object]:
        """Return the manifest as plain JSON data, without ``format``."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_json(cls, data: object) -> Manifest:
        """Read what :meth:`to_json` wrote; BundleError ``manifest-malformed`` when it breaks a rule."""
        try:
            manifest = _record(cls, "", data)
            return manifest.with_files(manifest.files)
        except ModelError as error:
            malformed(
                "signature, preprocess or decision",
                error.found,
                f"{error.what} {error.allowed or ''}".strip(),
            )


@runtime_checkable
class _Document(Protocol):
    """A record that writes its own JSON."""

    def to_json(self) -> dict[str, object]: ...


def _plain(value: object) -> object:
    if isinstance(value, _Document):
        return value.to_json()
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _record(kind: type[Record], path: str, data: object) -> Record:
    names = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]  # every kind is a dataclass
    table = _object(path or "the document", data)
    if set(table) != set(names):
        missing = ", ".join(sorted(set(names) - set(table))) or "nothing"
        unknown = ", ".join(sorted(set(table) - set(names))) or "nothing"
        malformed(path or "the document", f"missing {missing}; unknown {unknown}", ", ".join(names))
    prefix = path + "." if path else ""
    return record_of(kind, {name: _READERS[str(f.type)](prefix + name, table[name]) for name, f in names.items()})


def _object(path: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        malformed(path, value, "an object")
    return value


def _string(path: str, value: object) -> str:
    if not isinstance(value, str):
        malformed(path, value, "a string")
    return value


def _count(path: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        malformed(path, value, "an integer from 0 to 2^53 - 1")
    return value


def _number(path: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        malformed(path, value, "a number")
    return value


def _counts(path: str, value: object) -> tuple[int, ...]:
    if not isinstance(value, list):
        malformed(path, value, "a list of integers")
    return tuple(_count(f"{path}[{i}]", item) for i, item in enumerate(value))


def _scalar(path: str, value: object) -> Scalar:
    if not isinstance(value, (str, int, float)):
        malformed(path, value, "a string, a number or a truth value")
    return value


def _one_of(path: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        malformed(path, value, ", ".join(allowed))


def _strings(path: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        malformed(path, value, "a list of strings")
    return tuple(_string(f"{path}[{i}]", item) for i, item in enumerate(value))


def _map(reader: Callable[[str, object], object]) -> Callable[[str, object], dict[str, object]]:
    return lambda path, value: {
        key: reader(f"{path}.{key}", item) for key, item in sorted(_object(path, value).items())
    }


_READERS: dict[str, Callable[[str, object], object]] = {
    "str": _string,
    "int": _count,
    "float": _number,
    "tuple[int, ...]": _counts,
    "tuple[str, ...]": _strings,
    "dict[str, str]": _map(_string),
    "dict[str, Scalar]": _map(_scalar),
    "dict[str, FileEntry]": _map(lambda path, value: _record(FileEntry, path, value)),
    "ModelInfo": lambda path, value: _record(ModelInfo, path, value),
    "WeightsInfo": lambda path, value: _record(WeightsInfo, path, value),
    "TargetInfo": lambda path, value: _record(TargetInfo, path, value),
    "DecisionRule": lambda path, value: _record(DecisionRule, path, value),
    "DeviceInfo | None": lambda path, value: None if value is None else _record(DeviceInfo, path, value),
    "PlanInfo": lambda path, value: _record(PlanInfo, path, value),
    "Signature": lambda path, value: Signature.from_json(_object(path, value)),
    "Preprocess | None": lambda path, value: (
        None if value is None else Preprocess.from_json(_object(path, value))
    ),
}
