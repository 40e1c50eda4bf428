"""What the user asked `tsm-edge eval` for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..commands.form_options import usage_errors
from ..errors import UsageError
from ..models import read_labels
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
