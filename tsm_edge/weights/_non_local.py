"""Which of mmaction2's non-local blocks a checkpoint of its I3D has: its configuration tells it, the tensors do not.

An embedded Gaussian and a dot product have the same keys and shapes. What mmaction2 saves holds the text of the
configuration (`meta`, 0.x: `config`, 1.x: `cfg`); without it the user says it by the name of the network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ..errors import CheckpointError, UsageError

BEHIND = "i3d-nonlocal-resnet50"
_BLOCKS = re.compile(r"non_local_cfg['\"]?\s*[=:]\s*(?:dict\(|\{)((?:[^(){}]|\([^()]*\)|\{[^{}]*\})*)[)}]")
_MODE = re.compile(r"\bmode['\"]?\s*[=:]\s*['\"](\w+)['\"]")
_SCALE = re.compile(r"\buse_scale['\"]?\s*[=:]\s*(\w+)")
_TEXT = 1 << 20  # characters of a configuration that are looked at


def check_non_local(path: Path, content: object, name: str, asked: str | None) -> None:
    """Refuse blocks other than mmaction2's embedded Gaussian without a scale.

    Raises:
        CheckpointError: its configuration says another kind, or FAIR's network is asked for.
        UsageError: nothing says the kind, and the network is not asked for by its name.
    """
    if name != BEHIND:
        raise CheckpointError(
            f"'{path}' is of an I3D whose non-local blocks pool in another place.",
            found="mmaction2's: pools behind the convolutions phi and g",
            allowed="FAIR's: pools before them, and scales the scores",
            hint=f"--model {BEHIND}",
        )
    blocks = _configured(content)
    if blocks is None:
        if asked != name:
            raise UsageError(
                f"'{path}' does not say of which kind its non-local blocks are.",
                found="tensors that an embedded Gaussian and a dot product have alike",
                allowed="an embedded Gaussian",
                hint=f"if it is one (nl_embedded_gaussian in mmaction2's names): --model {name}",
            )
        return
    mode, scale = _MODE.search(blocks), _SCALE.search(blocks)
    found = mode[1] if mode else "embedded_gaussian"  # mmcv's own default
    scaled = scale is None or scale[1] != "False"  # mmcv scales where nothing is said
    if found != "embedded_gaussian" or scaled:
        raise CheckpointError(
            f"'{path}' has non-local blocks that are not here.",
            found=f"mode {found}{', scaled' if scaled else ''}, by its configuration",
            allowed="mode embedded_gaussian, use_scale False",
        )


def _configured(content: object) -> str | None:
    """What the configuration in a file says of the non-local blocks; None where there is none."""
    meta = content.get("meta") if isinstance(content, Mapping) else None
    texts = [meta.get(key) for key in ("cfg", "config")] if isinstance(meta, Mapping) else []
    for text in texts:
        if isinstance(text, str) and (found := _BLOCKS.search(text[:_TEXT])):
            return found[1]
    return None
