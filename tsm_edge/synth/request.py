"""What the user asked `tsm-edge synth` for, checked as far as the options alone can tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import UnknownName, UsageError
from . import LABELS, shards
from .draw import usual_frames
from .files import REEL, older_store, older_videos, video_of
from .shards import Shard
from .sheet import SHEET

#: clips that are rendered where nothing is said: of a store or as videos, and of a sheet
CLIPS, SHEET_CLIPS = 2200, 2 * len(LABELS)
MOST_ROWS = 10 * len(LABELS)  # of a sheet: at 512 pixels it is half a gigabyte in memory


@dataclass(frozen=True)
class Request:
    """The options of ``tsm-edge synth`` by their names; None where not given."""

    out: Path
    split: str
    clips: int | None
    seed: int
    size: int
    frames: int | None
    videos: bool
    only: str | None
    reel: str | None
    sheet: bool
    shard: str | None
    join: tuple[Path, ...]
    overwrite: bool
    jobs: int
    as_json: bool

    def __post_init__(self) -> None:
        kinds = {
            "--videos": self.videos,
            "--reel": self.reel is not None,
            "--sheet": self.sheet,
            "--join": self.join,
        }
        given = [name for name, value in kinds.items() if value]
        if self.shard is not None:
            given += ["--shard"] if given and given != ["--videos"] else []
        if len(given) > 1:
            raise UsageError(
                "Each of these writes something else.", found=" and ".join(given), allowed="one of them"
            )
        if self.sheet and self.count > MOST_ROWS:
            raise UsageError(
                "A sheet has a row for each clip.", found=f"{self.count} clips", allowed=f"1..{MOST_ROWS}"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that are asked for, in their usual order."""
        names = self.only.split(",") if self.only else list(LABELS)
        for name in names:
            if name not in LABELS:
                raise UnknownName.of("label", name, LABELS)
        return tuple(label for label in LABELS if label in names)

    @property
    def count(self) -> int:
        """How many clips there are in all parts."""
        return self.clips or (SHEET_CLIPS if self.sheet else CLIPS)

    @property
    def length(self) -> int:
        """Frames of a clip."""
        return self.frames or usual_frames(self.split)

    @property
    def indices(self) -> list[int]:
        """The numbers of the clips that are rendered here."""
        mine = Shard.parse(self.shard) if self.shard is not None else Shard()
        return mine.of(shards.numbers(self.count, self.labels))

    @property
    def recipe(self) -> dict[str, object]:
        """What all parts of a rendering have in common."""
        facts = {name: getattr(self, name) for name in ("split", "seed", "size")}
        return {"clips": self.count, **facts, "frames": self.length}

    def older(self) -> list[Path]:
        """What OUT holds already of what will be written."""
        if self.sheet:
            return [path for path in (self.out / SHEET,) if path.exists()]
        if self.reel is not None:
            return [
                path for path in (self.out / REEL, (self.out / REEL).with_suffix(".json")) if path.exists()
            ]
        if not self.videos:
            return older_store(self.out)
        if self.shard is None:
            return older_videos(self.out, self.labels)
        return [path for path in (video_of(self.out, index) for index in self.indices) if path.exists()]
