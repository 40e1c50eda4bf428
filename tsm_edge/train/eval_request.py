"""What the user asked `tsm-edge eval` for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..commands.form_options import usage_errors
from ..errors import UsageError
from ..models import read_labels
from ..models.clips import ClipModel
from .measure import Look

#: options that are called otherwise on the command line
_OPTION = {"name": "model", "averaged": "ema", "decided": "choose-decision"}
#: what a bundle says itself
_OF_WEIGHTS = ("name", "width", "size", "labels", "averaged", "decided")


@dataclass(frozen=True)
class EvalRequest:
    """The options of ``tsm-edge eval`` by their names; None where not given.

    name: of the network. way: how the frames of a clip are picked (:mod:`.sampling`). decided: the file of weights that
    gets a chosen decision. most_wrong: percent of gestures. most_alarms: a minute without gestures.
    """

    subject: Path
    data: Path
    videos: Path | None
    cache: Path | None
    frames: int | None
    way: str
    clips: int | None
    name: str | None
    width: float | None
    size: int | None
    labels: Path | None
    tsn: bool
    shift: str | None
    shift_share: float | None
    shift_place: str | None
    shift_padding: str | None
    averaged: bool | None
    threads: int | None
    min_top1: float | None
    decided: Path | None
    most_wrong: float
    most_alarms: float
    plot: Path | None
    as_json: bool

    @property
    def look(self) -> Look:
        """Which frames of a clip are looked at."""
        return Look(self.frames or 0, self.way)

    def look_of_clips(self, model: ClipModel) -> Look:
        """The frames of a network of the family: as many as its clips have, picked as its papers do.

        Raises:
            UsageError: an option is none of such a network.
        """
        if self.frames not in (None, model.frames):
            raise UsageError(
                f"{model.name} looks at clips of a fixed number of frames.",
                found=f"--frames {self.frames}",
                allowed=model.frames,
            )
        given = {"width": self.width, "tsn": self.tsn or None, "ema": self.averaged, "choose-decision": self.decided}
        given |= {f"shift-{part}": getattr(self, f"shift_{part}") for part in ("share", "place", "padding")}
        for option, value in (given | {"shift": self.shift}).items():
            if value is not None:
                raise UsageError(f"--{option} says nothing of {model.name}.", found=value, hint="leave the option out")
        return Look(model.frames, self.way)

    @property
    def least(self) -> int:
        """Frames that a clip must have."""
        return max(2, (self.frames or 4) // 2)

    @cached_property
    def classes(self) -> tuple[str, ...] | None:
        """The names in the file of --labels."""
        with usage_errors():
            return read_labels(self.labels) if self.labels else None

    @property
    def is_bundle(self) -> bool:
        """Whether a bundle is measured, and not weights."""
        return (self.subject / "manifest.json").is_file()

    def check_bundle(self) -> None:
        """Refuse what a bundle says itself: UsageError."""
        for name in _OF_WEIGHTS:
            if getattr(self, name) is not None:
                raise UsageError(
                    "A bundle says itself what it is.",
                    found=f"--{_OPTION.get(name, name)}",
                    hint="leave the option out",
                )
