"""What an exported ONNX file says about itself in its metadata: the one home of the keys, for writer and reader.

    tsm_edge.schema      "2"
    tsm_edge.model       the model's name
    tsm_edge.parameters  JSON: {"size": 224, "classes": 27, …}
    tsm_edge.labels      JSON: ["…", …], one a class
    tsm_edge.preprocess  JSON: as in a bundle's manifest
    tsm_edge.states      JSON: [["cache0", "cache0_out"], …], input and output of every state, in order
    tsm_edge.weights     JSON: {"source": …, "note": …, "sha256": …}, as in a bundle's manifest

Needs no onnx: a file's metadata is a plain dict of texts here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ..bundle.manifest import FILE_NAME, WeightsInfo
from ..errors import EdgeError, ImportFailed
from ..files import strict_json
from ..records import record_of
from ..signature import Preprocess, Scalar

if TYPE_CHECKING:
    from ..models import Model
from ..models.clips import ClipModel

SCHEMA = 2  # 1 knew squares only
_PREFIX = "tsm_edge."


@dataclass(frozen=True)
class OnnxMeta:
    """The metadata of a file that tsm-edge wrote; ``states`` are pairs of input and output names."""

    model: str
    parameters: dict[str, Scalar]
    labels: tuple[str, ...]
    preprocess: Preprocess
    states: tuple[tuple[str, str], ...]
    weights: WeightsInfo

    @classmethod
    def of(cls, model: Model | ClipModel, weights: WeightsInfo) -> OnnxMeta:
        """Describe a model of ours."""
        pairs = tuple((pair.input.name, pair.output_name) for pair in model.signature.states)
        return cls(model.name, dict(model.parameters), model.labels, model.preprocess, pairs, weights)

    def to_props(self) -> dict[str, str]:
        """Return the metadata as ONNX stores it."""
        facts = {
            "parameters": self.parameters,
            "labels": self.labels,
            "preprocess": self.preprocess.to_json(),
            "states": self.states,
            "weights": asdict(self.weights),
        }
        texts = {key: json.dumps(value, sort_keys=True, ensure_ascii=False) for key, value in facts.items()}
        return {
            _PREFIX + key: text for key, text in {"schema": str(SCHEMA), "model": self.model, **texts}.items()
        }

    @classmethod
    def from_props(cls, props: Mapping[str, str]) -> OnnxMeta | None:
        """Read what :meth:`to_props` wrote; None for a file of another program.

        Raises:
            ImportFailed: the metadata is damaged, or of a newer tsm-edge.
        """
        schema = props.get(_PREFIX + "schema")
        if schema is None:
            return None
        if schema != str(SCHEMA):
            raise ImportFailed(
                "The ONNX file's metadata has another version.",
                found=schema,
                allowed=SCHEMA,
                hint="export it again with this tsm-edge, or compile it with the one that wrote it",
            )
        try:
            model = props[_PREFIX + "model"]
            if not FILE_NAME.fullmatch(model):  # it names a folder
                raise ValueError(f"model {model!r}")
            facts = {key: strict_json.loads(props[_PREFIX + key]) for key in _JSON_KEYS}
            return cls(
                model,
                _parameters(facts["parameters"]),
                _texts(facts["labels"]),
                Preprocess.from_json(facts["preprocess"]),
                _pairs(facts["states"]),
                _weights(facts["weights"]),
            )
        except (KeyError, TypeError, ValueError, EdgeError) as error:
            raise ImportFailed(
                "The ONNX file's metadata of tsm-edge is damaged.",
                found=f"{type(error).__name__}: {error}",
                hint="export the file again",
            ) from error


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("no list of texts")
    return tuple(value)


def _parameters(value: object) -> dict[str, Scalar]:
    if not isinstance(value, dict) or not all(isinstance(item, (str, int, float)) for item in value.values()):
        raise ValueError("parameters that are no object of scalars")
    return value


def _pairs(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list):
        raise ValueError("no list of states")
    return tuple((before, after) for before, after in map(_texts, value))


def _weights(value: object) -> WeightsInfo:
    if not isinstance(value, dict):
        raise ValueError("weights that are no object")
    return record_of(WeightsInfo, value)


_JSON_KEYS = ("parameters", "labels", "preprocess", "states", "weights")
