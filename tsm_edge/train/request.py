"""What the user asked `tsm-edge train` for, checked as far as the options alone can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .. import models
from ..commands.form_options import usage_errors
from ..commands.model_options import network_of
from ..errors import CheckpointError, EdgeError, UsageError
from ..models import ONLINE, TemporalShift, clips
from ..signature import Scalar
from ..weights.meta import WeightsMeta, read_meta
from . import checkpoint, few
from .labels import permutation, read_pairs, reversal
from .network import Trainable, shift_in
from .settings import Settings

DEFAULT_MODEL, DEFAULT_SIZE = "tsm-mobilenetv2", 128
#: frames of a clip and how they are picked; of new classes on trained weights, which know neighbours at their own rate
USUAL_LOOK, TAUGHT_LOOK = (8, "segments"), (24, "dense")
#: what an option is for that says nothing of a network of the family
_WHY = {
    "width": "networks with a factor on their channels",
    "temporal-pool": "a ResNet of the zoo",
    "ema": "checkpoints of the zoo, which may hold two sets of weights",
    "freeze": "networks of the zoo, whose layers follow one another",
    "warm-start": "networks with states; a clip begins at its first frame",
}


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
    quantize: bool = False

    def __post_init__(self) -> None:
        if self.resume and self.init:
            raise UsageError(
                "--init begins a training, --resume goes on with one.", found="both", allowed="one of them"
            )
        if self.freeze and self.init is None and not self.resume:
            raise UsageError("--freeze keeps layers of trained weights as they are.", hint="name them with --init")
        if self.quantize:
            self._check_quantize()
        if self.averaged is not None and self.init is None:
            raise UsageError("--ema chooses between the weights of a checkpoint.", hint="name it with --init")
        if self.model in models.shipped():
            raise UsageError(
                f"'{self.model}' is a trained model, not a network.",
                allowed=", ".join(models.names()),
                hint=f"train on from its weights: --init {self.model}",
            )

    def _check_quantize(self) -> None:
        """UsageError for what --quantize needs, and for options that say nothing of it."""
        if self.init is None:
            raise UsageError(
                "--quantize trains what 8 bits lose of trained weights.",
                found="--resume" if self.resume else "no --init",
                allowed="--init WEIGHTS",
                hint="name weights of `tsm-edge train`, or a trained model: --init gestures",
            )
        for option, given in {"freeze": self.freeze, "device cuda": self.device == "cuda"}.items():
            if given:
                raise UsageError(
                    f"--{option} says nothing of --quantize.",
                    allowed="all layers, on the processor",
                    hint="leave it out",
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

    def network(self, labels: tuple[str, ...]) -> Trainable:
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
        if name in clips.names():
            return self._of_clips(name, said, labels)
        asked = {"width": self.width, "size": self.size, "temporal_pool": self.temporal_pool or None}
        shape = {"size": DEFAULT_SIZE, **{key: said[key] for key in asked if key in said}}
        shape.update({key: value for key, value in asked.items() if value is not None})
        with usage_errors():
            return models.load_from(name, shape, labels)

    def teaches(self, labels: Sequence[str]) -> bool:
        """Whether these labels hold classes that the trained weights of --init do not know."""
        meta = self._init_meta()
        return meta is not None and not set(labels) <= set(meta.labels)

    def _of_clips(self, name: str, said: Mapping[str, Scalar], labels: tuple[str, ...]) -> clips.ClipModel:
        """A network of the family; UsageError for an option that says nothing of it."""
        shift = {"tsn": self.tsn, "shift-share": self.shift_share != ONLINE.proportion}
        shift |= {"shift": self.shift != ONLINE.direction, "shift-place": self.shift_place != ONLINE.place}
        shift["shift-padding"] = self.shift_padding != ONLINE.padding
        for option, given in shift.items():
            if given:
                raise UsageError(
                    f"--{option} chooses a shift, and {name} has what its paper gave it.",
                    hint="leave the option out, or train a network of the zoo",
                )
        others = {"width": self.width, "temporal-pool": self.temporal_pool, "ema": self.averaged is not None}
        for option, found in (others | {"freeze": self.freeze, "warm-start": self.warm_start_share}).items():
            if found:
                raise UsageError(f"--{option} says nothing of {name}.", allowed=_WHY[option], hint="leave it out")
        size, frames = (None if said.get(key) is None else int(said[key]) for key in ("size", "clip_frames"))
        with usage_errors():
            return clips.load(
                name, size=self.size or size or DEFAULT_SIZE, labels=labels, frames=self.frames or frames
            )

    def look(self, model: Trainable) -> tuple[int, str]:
        """Frames of a clip, and how they are picked (:mod:`.sampling`); of the family as its papers do."""
        begun = self._begun
        if isinstance(model, clips.ClipModel):
            return model.frames, self.sampling or (begun.way if begun else USUAL_LOOK[1])
        frames, way = TAUGHT_LOOK if self.teaches(model.labels) else USUAL_LOOK
        if begun is not None:
            frames, way = begun.frames, begun.way
        return self.frames or frames, self.sampling or way

    def frozen(self, model: Trainable, count: int) -> int:
        """How many layers stay as they begin; UsageError where there are not so many."""
        if isinstance(model, clips.ClipModel):
            return 0
        if self.freeze is not None:
            most = len(model.layers) - 1
            if self.freeze > most:
                raise UsageError("There are not so many layers to freeze.", found=self.freeze, allowed=f"0..{most}")
            return self.freeze
        if self._begun is not None:
            return self._begun.frozen
        return few.usual(model) if self.teaches(model.labels) and count <= few.FEW else 0

    @cached_property
    def _begun(self) -> Settings | None:
        """Settings of the training that --resume goes on with; None where there is none that can be read."""
        try:
            return Settings.from_json(checkpoint.load(self.out / checkpoint.LAST)["settings"]) if self.resume else None
        except (EdgeError, OSError, KeyError, TypeError):  # told by whoever goes on with it
            return None

    def _init_meta(self) -> WeightsMeta | None:
        return None if self.init_file is None else read_meta(self.init_file)

    def settings(self, model: Trainable, count: int) -> Settings:
        """The training of this model on so many clips."""
        names, (frames, way) = list(model.labels), self.look(model)
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
            frozen=self.frozen(model, count),
            variant=shift_in(model) if isinstance(model, clips.ClipModel) else self.variant,
            seed=self.seed,
            rate_fps=model.preprocess.rate_fps,
            data=f"{count} clips of {names_of(self.data)}",
        )


def names_of(data: Sequence[Path]) -> str:
    """The names of what is trained on, in words."""
    return ", ".join(f"'{each.resolve().name}'" for each in data)
