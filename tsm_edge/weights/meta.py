"""What a .safetensors file of ours says about itself: the network, its classes, how it was trained. Needs no torch.

    tsm_edge   JSON: {schema, model, parameters {size, classes, width?}, labels, rate_fps, note, decision?, shift?,
               preprocess?}

``note`` is one line in plain words (the recipe). ``decision``: {window, agree, threshold}, where they were chosen for
these weights. ``shift``: the fields of :class:`tsm_edge.models.TemporalShift`, where it is not the online one.
``preprocess``: as in a manifest, where the pictures are prepared in another way than ImageNet's. A file without this
entry is somebody else's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypedDict

from ..decision import DecisionRule
from ..errors import CheckpointError, ModelError
from ..files import MIB, strict_json
from ..records import record_of
from ..signature import Preprocess, Scalar

SCHEMA, KEY = 1, "tsm_edge"
#: bytes and values of a header that is read for our entry; that of a hundred thousand tensors has as many
_LIMIT, _VALUES = 16 * MIB, 1 << 20


class Decision(TypedDict):
    """The part of :class:`DecisionRule` that is chosen for weights."""

    window: int
    agree: int
    threshold: float


@dataclass(frozen=True)
class WeightsMeta:
    """The network a file of weights belongs to."""

    model: str
    parameters: Mapping[str, Scalar]
    labels: tuple[str, ...]
    rate_fps: float
    note: str
    decision: Decision | None = None
    shift: Mapping[str, object] | None = None
    preprocess: Mapping[str, object] | None = None

    @property
    def rule(self) -> DecisionRule:
        """How the scores are decided on over time: as chosen for these weights, else the default."""
        rule, chosen = DecisionRule.for_labels(self.labels), self.decision
        if chosen is None:
            return rule
        return replace(rule, window=chosen["window"], agree=chosen["agree"], threshold=chosen["threshold"])

    @property
    def shape(self) -> dict[str, Scalar]:
        """The parameters but the number of classes, which the labels say."""
        return {key: value for key, value in self.parameters.items() if key != "classes"}

    @property
    def size(self) -> int:
        """Height and width of the network's input in pixels."""
        return int(self.parameters["size"])

    @property
    def width(self) -> float | None:
        """Factor on the channels; None for a network that has none."""
        return float(self.parameters["width"]) if "width" in self.parameters else None

    @property
    def pictures(self) -> Preprocess | None:
        """How the pictures are prepared; None for ImageNet's way."""
        return None if self.preprocess is None else Preprocess.from_json(self.preprocess)

    def pictures_at(self, size: int) -> Preprocess | None:
        """The same for an input of another size."""
        own = self.pictures
        if own is None or own.crop == (size, size):
            return own
        return replace(own, **{name: getattr(Preprocess.imagenet(size), name) for name in ("resize", "crop")})

    def to_text(self) -> dict[str, str]:
        """Return the metadata as safetensors stores it: texts by texts."""
        facts = {"schema": SCHEMA, **asdict(self)}
        for name in ("decision", "shift", "preprocess"):
            if facts[name] is None:
                del facts[name]
        return {KEY: json.dumps(facts, sort_keys=True, ensure_ascii=False)}

    @classmethod
    def from_text(cls, where: object, props: Mapping[str, str]) -> WeightsMeta | None:
        """Read what :meth:`to_text` wrote; None when there is none, CheckpointError when it cannot be understood."""
        if KEY not in props:
            return None
        try:
            return cls._of(strict_json.loads(props[KEY]))
        except (ValueError, TypeError, KeyError, AttributeError, ModelError) as error:
            raise CheckpointError(
                f"The metadata of '{where}' cannot be understood.",
                found=f"{type(error).__name__}: {error}",
                hint="it was written by another version of tsm-edge, or is damaged",
            ) from error

    @classmethod
    def _of(cls, facts: object) -> WeightsMeta:
        if not isinstance(facts, dict) or not isinstance(facts.get("labels"), list):
            raise ValueError("a value of a wrong type")
        if facts.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        meta = record_of(cls, {**facts, "labels": tuple(facts["labels"])})
        texts = (meta.model, meta.note, *meta.labels)
        if not all(isinstance(text, str) for text in texts) or not isinstance(meta.parameters, dict):
            raise ValueError("a value of a wrong type")
        size, width = meta.parameters.get("size"), meta.parameters.get("width", 1.0)
        if not isinstance(size, int) or not isinstance(width, (int, float)):
            raise ValueError(f"parameters {meta.parameters!r}")
        if (
            isinstance(meta.rate_fps, bool)
            or not isinstance(meta.rate_fps, (int, float))
            or meta.rate_fps <= 0
        ):
            raise ValueError(f"rate_fps {meta.rate_fps!r}")
        if not (meta.decision is None or set(meta.decision) == {"window", "agree", "threshold"}):
            raise ValueError(f"decision {meta.decision!r}")
        if not (meta.shift is None or set(meta.shift) == {"direction", "proportion", "place", "padding"}):
            raise ValueError(f"shift {meta.shift!r}")
        meta.rule, meta.pictures  # noqa: B018  a value outside its range is refused here
        return meta


def read_meta(path: str | Path) -> WeightsMeta | None:
    """Return the metadata of a safetensors file, whatever its ending; None for any other or one without ours."""
    path = Path(path)
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            start = file.read(9)
            length = int.from_bytes(start[:8], "little")
            if start[8:] != b"{" or not 1 < length <= min(_LIMIT, path.stat().st_size):
                return None
            header = strict_json.loads(b"{" + file.read(length - 1), _LIMIT, _VALUES)
        props = header.get("__metadata__", {}) if isinstance(header, dict) else {}
        return WeightsMeta.from_text(path, props) if isinstance(props, dict) else None
    except (
        OSError,
        ValueError,
    ):  # not our business here: the reader of the tensors says what is wrong with the file
        return None
