"""Which devices a source needs, and whether the group of cameras may open them."""

from __future__ import annotations

import grp
import stat
from pathlib import Path

from ..sources.uri import Input

#: what `DeviceAllow=` calls the drivers of cameras; the last three are of camera modules on a ribbon cable
CAMERA = ("char-video4linux",)
MODULE = (*CAMERA, "char-media", "char-dma_heap", "char-drm")
GROUP = "video"


def needed(source: Input) -> tuple[str, ...] | None:
    """Return the groups of devices that a source needs; None if that cannot be known (a pipeline)."""
    return {"device": CAMERA, "csi": MODULE, "gst": None}.get(source.kind, ())


def closed(source: Input, folder: Path = Path("/dev")) -> list[str]:
    """Return the names of devices of the source that the group of cameras may not open, as on some systems."""
    found: list[Path] = []
    if source.kind == "csi":
        found = [*folder.glob("dma_heap/*"), *folder.glob("media*"), *folder.glob("video*")]
    elif source.kind == "device":
        found = [source.path.resolve()]
    return sorted(str(path.relative_to(folder)) for path in found if _is_closed(path) and path.is_relative_to(folder))


def _is_closed(path: Path) -> bool:
    try:
        facts = path.stat()
        group = grp.getgrgid(facts.st_gid).gr_name
    except (OSError, KeyError):
        return False  # it is not there (yet): nothing is known about it
    wanted = stat.S_IRGRP | stat.S_IWGRP
    return stat.S_ISCHR(facts.st_mode) and not (group == GROUP and facts.st_mode & wanted == wanted)


def rule(names: list[str], mark: str) -> str:
    """Return the rule of udev that opens these devices for the group; "" if none is needed."""
    systems = {"dma_heap": "dma_heap", "media": "media", "video": "video4linux"}
    kinds = sorted({system for name in names for prefix, system in systems.items() if name.startswith(prefix)})
    if not kinds:
        return ""
    lines = [f'SUBSYSTEM=="{kind}", GROUP="{GROUP}", MODE="0660"' for kind in kinds]
    return "\n".join([mark, *lines]) + "\n"
