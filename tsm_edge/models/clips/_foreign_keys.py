"""The state_dict keys of other projects in the names of the family's networks. Pure text; the tensors never change.

MIT's TSM with non-local blocks, TRN and ECO as their authors published them, and mmaction2's TSM, TRN and I3D. What is
before the network ("module.base_model.", "backbone.") goes, and so do the wrappers of a shift (".net") and of a
non-local block (".block").
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .._foreign_keys import resnet_keys

_BEFORE = re.compile(r"^((module|_orig_mod|model|base_model|backbone|cls_head)\.)+")
_HEAD = re.compile(r"^(new_fc|fc_cls|fc|fc8|fc_final|classifier)\.(weight|bias)$")
#: (what projects write inside a non-local block, what it is here); mmcv's NonLocal3d and MIT's NONLocalBlock3D
_INSIDE = (
    (re.compile(r"\.(nl|non_local_block)\.(g|phi|theta)(\.0)?(\.conv)?\."), r".nl.\2."),
    (re.compile(r"\.non_local_block\.conv_out\.conv\."), ".nl.W.0."),
    (re.compile(r"\.non_local_block\.conv_out\.bn\."), ".nl.W.1."),
)


def our_keys(keys: Sequence[str], head: str) -> list[str]:
    """Return the keys in our names. head: of the layer that stands for every project's classification layer."""
    renamed = []
    for key in keys:
        key = _BEFORE.sub("", key)
        key = re.sub(r"\b(layer\d+\.\d+)\.block\.", r"\1.", key)
        key = re.sub(r"\.(conv1|conv1\.conv)\.net\.", r".\1.", key)
        for form, ours in _INSIDE:
            key = form.sub(ours, key)
        renamed.append(_HEAD.sub(rf"{head}.\2", key))
    return resnet_keys(renamed)
