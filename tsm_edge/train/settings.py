"""Everything that decides how a training goes, in one record that a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from ..errors import UsageError
from ..models import TemporalShift
from ..records import record_of
from ..signature import Scalar
from .sampling import WAYS

#: fields of older checkpoints -> their names now
RENAMED = {"rested": "warm_start_share"}


@dataclass(frozen=True)
class Settings:
    """One training.

    frames: of a clip that the network sees. take_frames: of a take. way: how those of a clip are picked
    (:mod:`.sampling`). batch: clips a step. lr: the highest learning rate. average: share of the old weights that the
    averaged ones keep each step; 0 for no averaging. consensus: weight of the loss of the clip's answer against that of
    the single frames. mirrored, reversed_, strength: see :mod:`.augment`. warm_start_share: share of the steps
    whose states start as if the first frame had been seen for ever, as before a running camera, and not empty. frozen:
    layers, from the input on, that stay as they begin; with any, the statistics of all batch norms stay, too.
    """

    model: str
    parameters: Mapping[str, Scalar]
    labels: tuple[str, ...]
    frames: int = 8
    way: str = "segments"
    epochs: int = 20
    batch: int = 32
    lr: float = 1e-3
    weight_decay: float = 0.02
    dropout: float = 0.3
    smoothing: float = 0.05
    consensus: float = 0.5
    average: float = 0.998
    strength: float = 1.0
    take_frames: int = 24
    mirrored: tuple[int, ...] = ()
    reversed_: tuple[int, ...] = ()
    warm_start_share: float = 0.0
    frozen: int = 0
    variant: TemporalShift = TemporalShift()
    seed: int = 0
    rate_fps: float = 12.0
    data: str = ""

    def __post_init__(self) -> None:
        if self.way not in WAYS:
            raise UsageError("Unknown way to pick frames.", found=self.way, allowed=", ".join(WAYS))
        if not 0 <= self.warm_start_share <= 1:
            raise UsageError("Bad share of warm starts.", found=self.warm_start_share, allowed="0..1")
        if not 0 <= self.strength <= 2:
            raise UsageError("Bad strength of augmentation.", found=self.strength, allowed="0..2")

    def to_json(self) -> dict[str, object]:
        """Return the settings as plain data."""
        facts = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in facts.items()}

    @classmethod
    def from_json(cls, facts: Mapping[str, object]) -> Settings:
        """Read what :meth:`to_json` wrote."""
        lists = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
        known = {RENAMED.get(key, key): value for key, value in lists.items()}
        variant = known["variant"]
        if not isinstance(variant, Mapping):
            raise TypeError("variant is no object")
        return record_of(cls, {**known, "variant": record_of(TemporalShift, variant)})

    def differing(self, other: Settings) -> list[str]:
        """Names of the settings in which two trainings differ."""
        return [f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)]
