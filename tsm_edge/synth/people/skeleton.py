"""The joints of a body, and where they are when its bones are turned.

Metres, in the person's own axes: x to the person's left, y up, z forward. A rotation is relative to the parent bone and
in the axes of the rest pose, in which every rotation is the identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Skeleton:
    """``names`` of the B bones, ``parents`` int64 [B] (-1 for the root; a parent stands before its children), ``heads``
    float64 [B, 3]: where the joint of each bone is in the rest pose.
    """

    names: tuple[str, ...]
    parents: NDArray[np.int64]
    heads: Floats

    @cached_property
    def index(self) -> Mapping[str, int]:
        """The place of every bone by its name."""
        return {name: at for at, name in enumerate(self.names)}

    def head(self, name: str) -> Floats:
        """Where the joint of a bone is in the rest pose, [3]."""
        place: Floats = self.heads[self.index[name]]
        return place

    def posed(self, rotations: Mapping[str, Floats], root_rotation: Floats, root_shift: Floats) -> Floats:
        """Forward kinematics: how each bone moves its part of the body from the rest pose, float64 [T, B, 3, 4].

        Args:
            rotations: bone -> [T, 3, 3]; bones that are not named keep still relative to their parents.
            root_rotation: [T, 3, 3], of the whole body about its root.
            root_shift: [T, 3], metres.
        """
        frames, bones = len(root_shift), len(self.names)
        turned = np.empty((frames, bones, 3, 3))
        joints = np.empty((frames, bones, 3))
        for bone, (name, parent) in enumerate(zip(self.names, self.parents)):
            if parent < 0:
                turned[:, bone], joints[:, bone] = root_rotation, self.heads[bone] + root_shift
            else:
                turned[:, bone] = turned[:, parent]
                offset = self.heads[bone] - self.heads[parent]
                joints[:, bone] = joints[:, parent] + turned[:, parent] @ offset
            if name in rotations:
                turned[:, bone] = turned[:, bone] @ rotations[name]
        shifts = joints - np.einsum("tbij,bj->tbi", turned, self.heads)
        return np.concatenate([turned, shifts[..., None]], axis=3)
