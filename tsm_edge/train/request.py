"""What the user asked `tsm-edge train` for, checked as far as the options alone can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .. import models
from ..commands.form_options import usage_errors
from ..commands.model_options import network_of
from ..errors import CheckpointError, EdgeError, UsageError
from ..models import TemporalShift
from ..weights.meta import WeightsMeta, read_meta
from . import checkpoint, few
from .labels import permutation, read_pairs, reversal
from .settings import Settings

DEFAULT_MODEL, DEFAULT_SIZE = "tsm-mobilenetv2", 128
#: frames of a clip and how they are picked; of new classes on trained weights, which know neighbours at their own rate
USUAL_LOOK, TAUGHT_LOOK = (8, "segments"), (24, "dense")


@dataclass(frozen=True)
class Request:
    """The options of ``tsm-edge train`` by their names; None where not given."""

    data: tuple[Path, ...]
    out: Path
    videos: Path | None
    labels: Path | None
    held_out: tuple[Path, ...]
    cache: Path | None
    model: str | None
    width: float | None
    size: int | None
    frames: int | None
    take_frames: int
    sampling: str | None
    epochs: int
    batch: int
    lr: float
    init: Path | None
    averaged: bool | None
    tsn: bool
    shift: str
    shift_share: float
    shift_place: str
    shift_padding: str
    temporal_pool: bool
    no_flip: bool
    mirrored: str
    reverse: bool
    strength: float
    warm_start_share: float
    freeze: int | None
    seed: int
    threads: int | None
    device: str
    half: bool
    resume: bool
    overwrite: bool
    as_json: bool

    def __post_init__(self) -> None:
        if self.resume and self.init:
            raise UsageError(
                "--init begins a training, --resume goes on with one.", found="both", allowed="one of them"
            )
        if self.freeze and self.init is None and not self.resume:
            raise UsageError("--freeze keeps layers of trained weights as they are.", hint="name them with --init")
        if self.averaged is not None and self.init is None:
            raise UsageError("--ema chooses between the weights of a checkpoint.", hint="name it with --init")
        if self.model in models.shipped():
            raise UsageError(
                f"'{self.model}' is a trained model, not a network.",
                allowed=", ".join(models.names()),
                hint=f"train on from its weights: --init {self.model}",
            )

    @property
    def init_file(self) -> Path | None:
        """The file behind --init: a path, or the name of a model that comes trained."""
        if self.init is None or self.init.exists():
            return self.init
        if str(self.init) in models.shipped():
            return models.shipped_file(str(self.init))
        raise CheckpointError(
            f"'{self.init}' cannot be read.",
            found="no such file",
            allowed=f"a checkpoint, or a trained model: {', '.join(models.shipped())}",
        )

    @property
    def variant(self) -> TemporalShift:
        """The kind of shift."""
        direction = "none" if self.tsn else self.shift
        return TemporalShift(direction, self.shift_share, self.shift_place, self.shift_padding)

    def network(self, labels: tuple[str, ...]) -> models.Model:
        """The network that is trained: what the options say, else what the file of --init says about itself.

        Raises:
            UsageError: an option is out of its range, or the file is of another network than --model.
        """
        meta = self._init_meta()
        name = self.model or (network_of(meta.model) if meta else self._begun.model if self._begun else DEFAULT_MODEL)
        if meta is not None and network_of(meta.model) != name:
            raise UsageError(
                f"'{self.init}' was trained for another network.", found=name, allowed=network_of(meta.model)
            )
        said = meta.parameters if meta else self._begun.parameters if self._begun else {}
        asked = {"width": self.width, "size": self.size, "temporal_pool": self.temporal_pool or None}
        shape = {"size": DEFAULT_SIZE, **{key: said[key] for key in asked if key in said}}
        shape.update({key: value for key, value in asked.items() if value is not None})
        with usage_errors():
            return models.load_from(name, shape, labels)

    def teaches(self, labels: Sequence[str]) -> bool:
        """Whether these labels hold classes that the trained weights of --init do not know."""
        meta = self._init_meta()
        return meta is not None and not set(labels) <= set(meta.labels)

    def look(self, labels: Sequence[str]) -> tuple[int, str]:
        """Frames of a clip, and how they are picked (:mod:`.sampling`)."""
        begun = self._begun
        frames, way = TAUGHT_LOOK if self.teaches(labels) else USUAL_LOOK
        if begun is not None:
            frames, way = begun.frames, begun.way
        return self.frames or frames, self.sampling or way

    def frozen(self, model: models.Model, clips: int) -> int:
        """How many layers stay as they begin; UsageError where there are not so many."""
        if self.freeze is not None:
            most = len(model.layers) - 1
            if self.freeze > most:
                raise UsageError("There are not so many layers to freeze.", found=self.freeze, allowed=f"0..{most}")
            return self.freeze
        if self._begun is not None:
            return self._begun.frozen
        return few.usual(model) if self.teaches(model.labels) and clips <= few.FEW else 0

    @cached_property
    def _begun(self) -> Settings | None:
        """Settings of the training that --resume goes on with; None where there is none that can be read."""
        try:
            return Settings.from_json(checkpoint.load(self.out / checkpoint.LAST)["settings"]) if self.resume else None
        except (EdgeError, OSError, KeyError, TypeError):  # told by whoever goes on with it
            return None

    def _init_meta(self) -> WeightsMeta | None:
        return None if self.init_file is None else read_meta(self.init_file)

    def settings(self, model: models.Model, clips: int) -> Settings:
        """The training of this model on so many clips."""
        names, (frames, way) = list(model.labels), self.look(model.labels)
        mirrored = () if self.no_flip else tuple(permutation(names, read_pairs(self.mirrored)))
        return Settings(
            model=model.name,
            parameters=dict(model.parameters),
            labels=model.labels,
            frames=frames,
            take_frames=self.take_frames,
            way=way,
            epochs=self.epochs,
            batch=self.batch,
            lr=self.lr,
            strength=self.strength,
            mirrored=mirrored,
            reversed_=tuple(reversal(names)) if self.reverse else (),
            warm_start_share=self.warm_start_share,
            frozen=self.frozen(model, clips),
            variant=self.variant,
            seed=self.seed,
            rate_fps=model.preprocess.rate_fps,
            data=f"{clips} clips of {names_of(self.data)}",
        )


def names_of(data: Sequence[Path]) -> str:
    """The names of what is trained on, in words."""
    return ", ".join(f"'{each.resolve().name}'" for each in data)
