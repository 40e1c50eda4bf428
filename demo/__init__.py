"""tsm_edge.demo: the live demo over a camera, a video file or a folder of images.

It needs a bundle, numpy and OpenCV, never the compiler; ``command.py`` is the command line, ``loop.py`` the
loop.
"""

from __future__ import annotations

from pathlib import Path

_DATA = Path(__file__).parent / "data"
#: Two short clips that come with the package (see data/README.md): rendered gestures that the default model knows, and
#: people before a real camera who make none of them.
SAMPLE_CLIP, REAL_CLIP = _DATA / "gestures.mp4", _DATA / "movement.mp4"
