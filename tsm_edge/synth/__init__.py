"""Clips of gestures, rendered: what the shipped model is trained and tested on.

``render(split, seed, index, size=110)`` draws one clip of a shape that moves; ``people.scene.render_take`` a take of a
person. The same arguments give the same bytes.

The classes are eleven of Jester's, chosen so that only the order of the frames tells most of them apart: a swipe to the
left is a swipe to the right played backwards, zooming in is zooming out backwards, and so for the two turns; every
class draws its shapes, textures, places, sizes and backgrounds from the same distributions.

**Whose left?** The person's own, as in Jester. A camera that does not mirror sees the person from the front, so the
person's left is the right side of the picture: "Swiping Left" moves towards larger x. In the same way "Turning Hand
Clockwise" is clockwise for the person who looks at the back of the hand, and counterclockwise in the picture.

``train`` and ``test`` differ in more than their seeds: shapes, textures, backgrounds and photographs, and the range of
speeds of one are never drawn by the other (:mod:`.families`).
"""

from __future__ import annotations

from ._clip import FRAMES, Clip, render
from .families import SPLITS
from .motion import LABELS, RATE_FPS

__all__ = ["FRAMES", "LABELS", "RATE_FPS", "SPLITS", "Clip", "render"]
